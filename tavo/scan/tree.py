"""The light syntax tree that rules are matched on.

Rules this module keeps:
- a tree is made once per file and never changes; nodes know their parent and their byte range;
- what rules treat as equal is equal here: comments are gone, parentheses only widen the range of
  what they hold, an expression statement is its expression, adjacent literals are one string;
- building and walking never recurse, so that deeply nested source cannot exhaust the stack.

Units: `start` and `end` are byte offsets; lines and columns count from 1, columns in code points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from tavo.plugins import Region

__all__ = ["Node", "SourceText"]


class Node:
    """One node: its kind, the children that carry meaning, and its own role below its parent.

    `field` is that role, such as `body` or `name`, empty for a child that has none.
    `op` holds what tells two nodes of a kind apart besides their children: the operator, the
    prefix of a string, `async`. `label` is the source of a name or number, None for other nodes.
    `value` is the content of a string literal as written, None for all other nodes.
    """

    __slots__ = (
        "children",
        "end",
        "field",
        "kind",
        "label",
        "op",
        "parent",
        "start",
        "value",
    )

    def __init__(self, kind: str, start: int, end: int, parent: Node | None) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.parent = parent
        self.children: list[Node] = []
        self.field = ""
        self.op = ""
        self.label: str | None = None
        self.value: str | None = None

    def __repr__(self) -> str:
        return f"Node({self.kind!r}, {self.start}, {self.end})"

    def role(self, name: str) -> Node | None:
        """Return the first child with this role, such as `body` or `name`, or None."""
        for child in self.children:
            if child.field == name:
                return child
        return None

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, parents first, in the order of the source."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            if node.children:
                stack.extend(reversed(node.children))

    def ancestors(self) -> Iterator[Node]:
        """Yield the parent, its parent, and so on."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


class SourceText:
    """The bytes of a file and the way from byte offsets to lines and columns."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._starts: list[int] | None = None

    def text(self, start: int, end: int) -> str:
        """Return the source between two byte offsets."""
        return self.data[start:end].decode("utf-8", "replace")

    @property
    def line_starts(self) -> list[int]:
        """Return the byte offset at which each line starts."""
        if self._starts is None:
            starts = [0]
            find = self.data.find
            position = find(b"\n")
            while position >= 0:
                starts.append(position + 1)
                position = find(b"\n", position + 1)
            self._starts = starts
        return self._starts

    def line_of(self, offset: int) -> int:
        """Return the line, from 1, that holds the offset."""
        return bisect_right(self.line_starts, offset)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, both from 1, the column in code points."""
        line = self.line_of(offset)
        start = self.line_starts[line - 1]
        return line, len(self.text(start, offset)) + 1

    def region(self, start: int, end: int) -> Region:
        """Return the region between two byte offsets."""
        first_line, first_column = self.position(start)
        last_line, last_column = self.position(max(end, start))
        return Region(
            start_line=first_line,
            start_column=first_column,
            end_line=last_line,
            end_column=last_column,
        )

    def where(self, offset: int) -> str:
        """Return what a reader needs to find an offset besides its line; empty for most files."""
        return ""

    def lines(self, first: int, last: int) -> str:
        """Return whole lines, from 1 and inclusive, without the last line end."""
        starts = self.line_starts
        begin = starts[first - 1]
        end = starts[last] if last < len(starts) else len(self.data)
        return self.text(begin, end).rstrip("\r\n")
