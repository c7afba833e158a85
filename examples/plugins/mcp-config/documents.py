"""JSON with comments, TOML and plain YAML as trees whose values know where they stand.

Rules this module keeps:
- what is not understood raises ValueError; nothing is guessed;
- depth is bounded, and each reader goes through its text once.

Units: `start` and `end` are offsets in characters, the end exclusive.
"""

from __future__ import annotations

import bisect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

__all__ = ["Lines", "Node", "read_document"]

_DEEPEST = 64
_BLANK = re.compile(r"(?:[\s\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_WORD = re.compile(r"[-+.\w]+")
_YAML_KEY = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#:'"\[\]{}&*!|>%@`-][^#:]*?)\s*:(?=\s|$)"""
)


@dataclass(frozen=True, slots=True)
class Node:
    """A value: text, number, True, False, None, a list of nodes, or nodes by their keys."""

    value: Any
    start: int
    end: int

    @property
    def text(self) -> str:
        """The value if it is text, else nothing."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def items(self) -> list[Node]:
        """The values of a list; nothing for others."""
        return self.value if isinstance(self.value, list) else []

    @property
    def fields(self) -> dict[str, Node]:
        """The values of a mapping by key; nothing for others."""
        return self.value if isinstance(self.value, dict) else {}

    def get(self, *names: str) -> Node | None:
        """Return the first of these fields that is there."""
        return next((self.fields[name] for name in names if name in self.fields), None)

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Yield every mapping and value below, each with the key that led to it."""
        todo = [("", self)]
        while todo:
            key, node = todo.pop()
            yield key, node
            todo += [(key, one) for one in reversed(node.items)]
            todo += reversed(node.fields.items())


class Lines:
    """Lines and columns, from 1, of offsets in a text."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset."""
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def read_document(path: PurePosixPath, text: str) -> Node:
    """Read a file by the ending of its name. Raises ValueError."""
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return _located(tomllib.loads(text), text, 0)
    if suffix in {".yaml", ".yml"}:
        return _Yaml(text).document()
    reader = _Json(text)
    node = reader.value(0)
    reader.blank()
    if reader.at != len(text):
        raise ValueError(f"more behind the value, at {reader.at}")
    return node


class _Json:
    """JSON as editors take it: comments, commas before a closing bracket, a byte order mark."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def blank(self) -> str:
        """Go to what comes next, and return it."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Node:
        """Read the value that comes next."""
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        first, start = self.blank(), self.at
        if first == "{":
            fields: dict[str, Node] = {}
            while self._next(start, "}"):
                key = self._string()
                if self.blank() != ":":
                    raise ValueError(f"no colon at {self.at}")
                self.at += 1
                fields[key] = self.value(depth + 1)
            return Node(fields, start, self.at)
        if first == "[":
            items: list[Node] = []
            while self._next(start, "]"):
                items.append(self.value(depth + 1))
            return Node(items, start, self.at)
        if first == '"':
            text = self._string()
            return Node(text, start, self.at)
        word = _WORD.match(self.text, start)
        if word is None:
            raise ValueError(f"no value at {start}")
        self.at = word.end()
        try:
            return Node(json.loads(word[0]), start, self.at)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def _next(self, start: int, closing: str) -> bool:
        """Step over an opening bracket or a comma; tell whether another value follows."""
        here = self.blank()
        if here == closing:
            self.at += 1
            return False
        if self.at == start or here == ",":
            self.at += 1
        else:
            raise ValueError(f"no comma at {self.at}")
        if self.blank() != closing:
            return True
        self.at += 1
        return False

    def _string(self) -> str:
        self.blank()
        match = _STRING.match(self.text, self.at)
        if match is None:
            raise ValueError(f"no string at {self.at}")
        self.at = match.end()
        read = json.loads(match[0], strict=False)
        return str(read)


def _located(value: object, text: str, after: int) -> Node:
    """Give the values of TOML places: the next one, behind its key, that is written like that."""
    if isinstance(value, Mapping):
        fields: dict[str, Node] = {}
        for key, one in value.items():
            found = re.compile(rf"(?m)^[^#\n]*?\b{re.escape(key)}\b").search(text, after)
            fields[key] = _located(one, text, found.end() if found else after)
        return Node(fields, after, after)
    if isinstance(value, list):
        items: list[Node] = []
        for one in value:
            items.append(_located(one, text, items[-1].end if items else after))
        return Node(items, after, items[-1].end if items else after)
    written = value if isinstance(value, str) else str(value).lower()
    start = text.find(written, after) if written else -1
    return Node(value, start, start + len(written)) if start >= 0 else Node(value, after, after)


class _Yaml:
    """Mappings, lists and one-line values in block form; anything else is not plain."""

    def __init__(self, text: str) -> None:
        self._lines: list[tuple[int, int, str]] = []
        offset = 0
        for line in text.split("\n"):
            bare = line.strip()
            if bare and not bare.startswith("#") and bare != "---":
                if "\t" in line[: len(line) - len(line.lstrip())]:
                    raise ValueError("indented by a tab")
                indent = len(line) - len(line.lstrip(" "))
                self._lines.append((indent, offset + indent, line.rstrip()[indent:]))
            offset += len(line) + 1
        self._next = 0

    def document(self) -> Node:
        """Read all lines."""
        if not self._lines:
            raise ValueError("empty")
        node = self._block(self._lines[0][0], 0)
        if self._next != len(self._lines):
            raise ValueError("a line is not indented as the others")
        return node

    def _block(self, indent: int, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        _, start, _ = self._lines[self._next]
        fields: dict[str, Node] = {}
        items: list[Node] = []
        while self._next < len(self._lines) and self._lines[self._next][0] == indent:
            _, offset, line = self._lines[self._next]
            if line == "-" or line.startswith("- "):
                rest = line[1:].lstrip()
                moved = len(line) - len(rest)
                if rest and _YAML_KEY.match(rest) and rest[0] not in "[{":
                    self._lines[self._next] = (indent + moved, offset + moved, rest)
                    items.append(self._block(indent + moved, depth + 1))
                else:
                    self._next += 1
                    items.append(self._after(rest, offset + moved, indent, depth))
                continue
            match = _YAML_KEY.match(line)
            if match is None or items:
                raise ValueError(f"not plain: {line[:40]}")
            self._next += 1
            rest = line[match.end() :].lstrip()
            key = match[1].strip("\"'")
            fields[key] = self._after(rest, offset + len(line) - len(rest), indent, depth)
        end = self._lines[self._next - 1]
        return Node(items if items else fields, start, end[1] + len(end[2]))

    def _after(self, rest: str, offset: int, indent: int, depth: int) -> Node:
        rest = re.sub(r"(?:^|\s+)#.*$", "", rest) if '"' not in rest and "'" not in rest else rest
        if not rest:
            if self._next < len(self._lines):
                deeper, _, line = self._lines[self._next]
                if deeper > indent or (deeper == indent and line.startswith("- ")):
                    return self._block(deeper, depth + 1)
            return Node(None, offset, offset)
        if rest[0] in "|>":
            while self._next < len(self._lines) and self._lines[self._next][0] > indent:
                self._next += 1
            return Node(None, offset, offset + len(rest))
        if rest[0] in "&*!%@`":
            raise ValueError(f"not plain: {rest[:40]}")
        end = offset + len(rest)
        if rest[0] == "[" and rest.endswith("]"):
            parts = [one.strip().strip("\"'") for one in rest[1:-1].split(",")]
            return Node([Node(one, offset, end) for one in parts if one], offset, end)
        if rest[0] in "[{":
            return Node(None, offset, end)
        if rest in {"true", "false"}:
            return Node(rest == "true", offset, end)
        if rest[0] in "\"'" and rest[-1] == rest[0] and len(rest) > 1:
            return Node(rest[1:-1], offset, end)
        return Node(rest, offset, end)
