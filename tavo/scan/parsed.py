"""A parsed file in whatever language, with everything that matching asks of it.

Rules this module keeps:
- every language is lowered to the same kinds of nodes, those of the general tree; what is made
  from them here is made once, when it is first asked for.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from tavo.scan.constants import Constant, Constants
from tavo.scan.names import Imports
from tavo.scan.scopes import Scopes
from tavo.scan.tree import Node, SourceText

__all__ = ["DECLARED", "Comment", "ParsedFile", "identifiers", "scope_of", "unescaped"]

_SCOPES = frozenset({"function_definition", "lambda", "class_definition", "module"})
_DECLARING = re.compile(rb"\b(?:const|let|var)\s+\Z")
_MOST_DECLARED = 50
DECLARED = frozenset({"const", "let", "var"})
_ESCAPES = re.compile(rb"\\u[0-9A-Fa-f{]")
_ESCAPE = re.compile(r"\\u(?:\{0*([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{4}))")
_NAMES = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")


class Comment(msgspec.Struct, frozen=True):
    """One comment: the byte offset at which it starts, and its text with the `#`."""

    start: int
    text: str


def identifiers(data: bytes) -> frozenset[bytes]:
    """Return every run of ASCII letters, digits and `_` in a file that could be a name.

    Also those that are written in another way: Python reads `ｅｖａｌ` as `eval`, JavaScript
    `\\u0065val`.
    """
    found = frozenset(_NAMES.findall(data))
    if not data.isascii():
        text = data.decode("utf-8", "replace")
        if not unicodedata.is_normalized("NFKC", text):
            found |= frozenset(_NAMES.findall(unicodedata.normalize("NFKC", text).encode()))
    if _ESCAPES.search(data):
        found |= frozenset(_NAMES.findall(unescaped(data.decode("utf-8", "replace")).encode()))
    return found


def unescaped(text: str) -> str:
    """Return a text with JavaScript's `\\u0065` and `\\u{65}` as the characters that they are."""
    return _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    code = int(found[1] or found[2], 16)
    is_one = code <= sys.maxunicode and not 0xD800 <= code < 0xE000
    return chr(code) if is_one else found.group()


@dataclass
class ParsedFile:
    """A parsed file with everything that matching asks for, made once.

    `by_kind` and `calls` are in the order of the source; `calls` lists calls by the last part of
    the called name, and by its name before an alias. `lasting` is false where time ran out.
    """

    language: str
    source: SourceText
    root: Node
    comments: list[Comment]
    problems: list[str]
    by_kind: dict[str, list[Node]]
    read_imports: Callable[[ParsedFile], Imports]
    memory: dict[object, object] = field(default_factory=dict)
    lasting: bool = True

    def text(self, node: Node) -> str:
        """Return the node's source."""
        return node.label if node.label is not None else self.source.text(node.start, node.end)

    @cached_property
    def names(self) -> frozenset[bytes]:
        """Every name in the file, as `identifiers` returns them."""
        return identifiers(self.source.data)

    @cached_property
    def scopes(self) -> Scopes:
        """In which function a name lives."""
        return Scopes(self.by_kind, declared=self.language == "javascript")

    @cached_property
    def imports(self) -> Imports:
        """What the imports of the file bring."""
        return self.read_imports(self)

    @cached_property
    def calls(self) -> dict[str, list[Node]]:
        """The calls by the last part of the called name, and by its name before an alias."""
        calls: dict[str, list[Node]] = {}
        for node in self.by_kind.get("call", ()):
            callee = node.children[0]
            if callee.kind == "attribute":
                callee = callee.children[-1]
            name = callee.label if callee.kind == "identifier" else ""
            calls.setdefault(name or "", []).append(node)
            if name and callee is node.children[0]:
                before = (self.imports.of(callee) or name).rpartition(".")[2]
                if before != name:
                    calls.setdefault(before, []).append(node)
        return calls

    @cached_property
    def constants(self) -> Constants:
        """What names stand for at each place where that is known."""
        return Constants(self.root, self.by_kind, declared=self.language == "javascript")

    def declared_from(self, node: Node) -> int:
        """Return where the `const`, `let` or `var` stands that an assignment belongs to."""
        first = node
        if node.op not in DECLARED or node.parent is None:
            return node.start
        siblings = node.parent.children
        at = siblings.index(node)
        for before in reversed(siblings[max(0, at - _MOST_DECLARED) : at]):
            between = self.source.data[before.end : first.start]
            if before.kind != "assignment" or between.strip() != b",":
                break
            first = before
        word = _DECLARING.search(self.source.data, max(0, first.start - 40), first.start)
        return word.start() if word is not None else node.start

    def release(self) -> None:
        """Let go of the tree, whose nodes know each other; the file cannot be used any more."""
        for nodes in self.by_kind.values():
            for node in nodes:
                node.parent = None
        self.memory.clear()
        self.by_kind.clear()

    def constant(self, node: Node) -> Constant | None:
        """Return the constant that an expression always has at this place, or None."""
        return self.constants.of(node)

    def dotted(self, node: Node) -> str | None:
        """Return the full dotted name that an expression stands for, imports resolved.

        `b.c` after `import a as b` is `a.c`; None if the expression is not a chain of names.
        """
        parts: list[str] = []
        while node.kind == "attribute" and len(node.children) == 2:
            parts.append(node.children[1].label or "")
            node = node.children[0]
        if node.kind != "identifier":
            return None
        parts.append(self.imports.of(node) or node.label or "")
        return ".".join(reversed(parts))


def scope_of(node: Node) -> Node | None:
    """Return the function, lambda, class or module around a node; None for the module itself."""
    for parent in node.ancestors():
        if parent.kind in _SCOPES:
            return parent
    return None
