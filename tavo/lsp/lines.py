"""The text of a document as lines, and positions in it as the client counts them.

Rules this module keeps:
- lines end as the protocol says: with a line feed, a carriage return, or both;
- a position beyond its line or beyond the text is its end, as the protocol says;
- a change costs what it changes, not what the document is long.

Units: lines and characters from 0 as the protocol has them; columns of findings from 1, in code
points. A character is a unit of the encoding that was agreed on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

__all__ = ["ENCODINGS", "Encoding", "Lines", "Position", "Range", "Span", "moved"]

Encoding = Literal["utf-8", "utf-16", "utf-32"]

ENCODINGS: tuple[Encoding, ...] = ("utf-32", "utf-8", "utf-16")
"""What can be agreed on, the best first: findings count code points."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z")
_END = "\r\n"


class Position(msgspec.Struct, frozen=True, order=True):
    """A place between two characters."""

    line: int
    character: int


class Range(msgspec.Struct, frozen=True):
    """From a place to another one, which is outside."""

    start: Position
    end: Position

    def touches(self, other: Range) -> bool:
        """Tell whether the two have a place in common, if only their ends."""
        return self.start <= other.end and other.start <= self.end


class Span(msgspec.Struct, frozen=True):
    """Lines and columns as findings have them: from 1, code points, the end outside."""

    start_line: int
    start_column: int
    end_line: int
    end_column: int


class Lines:
    """A text that is changed piece by piece."""

    def __init__(self, text: str, encoding: Encoding) -> None:
        self._encoding = encoding
        self._lines = _split(text)

    @property
    def text(self) -> str:
        """Return all of it."""
        return "".join(self._lines)

    @property
    def pieces(self) -> tuple[str, ...]:
        """Return the lines with their ends."""
        return tuple(self._lines)

    def change(self, where: Range, text: str) -> None:
        """Put a text in the place of a range."""
        start, end = sorted((where.start, where.end))
        first, column = self._place(start)
        last, end_column = self._place(end)
        before = self._line(first)[:column]
        after = self._line(last)[end_column:]
        low, high = max(first - 1, 0), last + 2  # a return and a line feed can come together
        around = "".join(self._lines[low:first]), "".join(self._lines[last + 1 : high])
        self._lines[low:high] = _split(f"{around[0]}{before}{text}{after}{around[1]}")

    def range_of(self, span: Span) -> Range:
        """Return the range of a finding's lines and columns."""
        return Range(
            self._position(span.start_line, span.start_column),
            self._position(span.end_line, span.end_column),
        )

    def end_of(self, line: int) -> Position:
        """Return the end of a line, from 0."""
        return Position(line, self._width(self._content(line)))

    def content(self, line: int) -> str:
        """Return a line, from 0, without its end; empty beyond the text."""
        return self._content(line)

    def _position(self, line: int, column: int) -> Position:
        if line > max(len(self._lines), 1):
            line, column = len(self._lines) + 1, 1
        content = self._content(line - 1)
        if line == 1 and content.startswith("\ufeff"):
            column += 1  # the scanner does not see a byte order mark
        return Position(line - 1, self._width(content[: column - 1]))

    def _place(self, position: Position) -> tuple[int, int]:
        """Return line, from 0, and index in it, of a position that may lie beyond."""
        if position.line < 0:
            return 0, 0
        if position.line >= len(self._lines):
            line = len(self._lines)
            if line and not self._lines[-1].endswith(("\n", "\r")):
                return line - 1, len(self._lines[-1])
            return line, 0
        content = self._content(position.line)
        return position.line, self._index(content, max(position.character, 0))

    def _line(self, line: int) -> str:
        return self._lines[line] if line < len(self._lines) else ""

    def _content(self, line: int) -> str:
        return self._line(line).rstrip(_END)

    def _width(self, text: str) -> int:
        if self._encoding == "utf-32" or text.isascii():
            return len(text)
        if self._encoding == "utf-8":
            return len(text.encode("utf-8", "replace"))
        return len(text) + sum(character > "\uffff" for character in text)

    def _index(self, content: str, units: int) -> int:
        """Return the index of a character by its units; inside a character is before it."""
        if self._encoding == "utf-32" or content.isascii():
            return min(units, len(content))
        for number, character in enumerate(content):
            units -= self._width(character)
            if units < 0:
                return number
        return len(content)


def moved(before: Sequence[str], after: Sequence[str], span: Span) -> Span | None:
    """Return where a span is after lines have changed, None if it touches what has changed."""
    same = 0
    most = min(len(before), len(after))
    while same < most and before[same] == after[same]:
        same += 1
    if span.end_line <= same:
        return span
    tail = 0
    while tail < most - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    if span.start_line <= len(before) - tail:
        return None
    by = len(after) - len(before)
    return msgspec.structs.replace(
        span, start_line=span.start_line + by, end_line=span.end_line + by
    )


def _split(text: str) -> list[str]:
    return _LINE.findall(text)
