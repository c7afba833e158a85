"""Tools as servers list them: answers to `tools/list`, and descriptions of tools in JSON files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from documents import Node

__all__ = ["Tool", "find_tools"]

_TEXTS = {
    "description",
    "title",
    "default",
    "const",
    "examples",
    "enum",
    "instructions",
    "$comment",
}
_MARKS = {"inputSchema", "input_schema", "parameters", "outputSchema"}


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its server, its name, and the texts that a model gets to read."""

    server: str
    name: str
    node: Node
    texts: tuple[Node, ...]

    def speaks_of(self, name: str) -> Node | None:
        """Return the text that gives an order about another tool."""
        about = re.compile(
            r"(?i)\b(?:when|whenever|before|after|if|instead of|always"
            r"|must)\b[^.\n]{0,80}(?<![\w-])" + re.escape(name) + r"(?![\w-])[^\n]{0,200}"
        )
        order = re.compile(
            r"(?i)\b(?:must|always|never|instead|change|replace|redirect|set|add|bcc|send|use"
            r"|append|only|first|without)\b"
        )
        for text in self.texts:
            match = about.search(text.text)
            if match is not None and order.search(match[0].replace(name, "")):
                return text
        return None


def find_tools(path: PurePosixPath, root: Node) -> Iterator[Tool]:
    """Yield the tools that a document describes."""
    server = _server_of(path, root)
    for key, node in root.walk():
        if key not in {"tools", ""} or not node.items:
            continue
        for one in node.items:
            inner = one.get("function") if one.get("function") else one
            name = inner.get("name") if inner else None
            if inner is None or name is None or not name.text:
                continue
            if inner.get("description") and (_MARKS & set(inner.fields) or key == "tools"):
                yield Tool(server, name.text, inner, tuple(_texts(inner)))


def _server_of(path: PurePosixPath, root: Node) -> str:
    for holder in (root.get("serverInfo"), root.get("server"), root):
        name = holder.get("name") if holder is not None and holder.fields else None
        if name is not None and name.text:
            return name.text
        if holder is not None and holder is not root and holder.text:
            return holder.text
    return str(path)


def _texts(tool: Node) -> Iterator[Node]:
    for key, node in tool.walk():
        if node.text and (key in _TEXTS or len(node.text) > 40):
            yield node
