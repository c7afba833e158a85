"""Jupyter notebooks: the Python of all code cells as one file, with positions in the notebook.

Rules this module keeps:
- what one cell imports counts in those below it, as when the notebook is run from top to bottom;
- lines for IPython, such as `%pip` or `!ls`, are no Python and do nothing here; a cell for another
  language, such as `%%bash`, is left out;
- every position is one in the notebook's own file, and a finding says in which cell it is.

Source: the notebook format, nbformat 4.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right

from tavo.plugins import Region
from tavo.scan.languages.data import parse_json
from tavo.scan.languages.python import parse
from tavo.scan.parsed import ParsedFile
from tavo.scan.tree import Node, SourceText

__all__ = ["NotebookText", "parse_notebook"]

_ESCAPE = re.compile(rb"\\u[0-9A-Fa-f]{4}|\\.", re.DOTALL)
_MAGIC = re.compile(r"(?m)^([ \t]*)(?:%{1,2}[A-Za-z_]|!|\?{1,2}\w|[\w.]+\?{1,2}[ \t]*$)[^\n]*")
_ASSIGNED = re.compile(r"(?m)^([ \t]*[\w., \t]+=[ \t]*)(?:%[A-Za-z_]|!)[^\n]*")
_PYTHON_CELLS = frozenset({"time", "timeit", "capture", "prun", "python", "python3"})
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")


class _Piece:
    """One string of the notebook: where its text begins here, and where it is in the notebook."""

    __slots__ = ("at", "cell", "data", "raw", "start")

    def __init__(self, at: int, start: int, raw: bytes, cell: int) -> None:
        self.at = at
        self.start = start
        self.raw = raw
        self.cell = cell
        self.data = _text_of(raw).encode("utf-8", "replace")

    def offset(self, at: int) -> int:
        """Return where a byte of the text is in the notebook."""
        wanted = min(max(at - self.at, 0), len(self.data))
        if b"\\" not in self.raw:
            return self.start + wanted
        here = 0
        position = 0
        while position < len(self.raw) and here < wanted:
            found = _ESCAPE.match(self.raw, position)
            if found is None:
                position += 1
                here += 1
                continue
            position = found.end()
            here += len(_text_of(found.group()).encode("utf-8", "replace"))
        return self.start + position


class NotebookText(SourceText):
    """The Python of a notebook, whose lines and columns are those of the notebook."""

    def __init__(self, pieces: list[_Piece], notebook: SourceText) -> None:
        super().__init__(b"".join(piece.data for piece in pieces))
        self._pieces = pieces
        self._begins = [piece.at for piece in pieces]
        self._notebook = notebook
        self._code: dict[int, tuple[int, int]] = {}
        for piece in pieces:
            if piece.cell:
                line = notebook.line_of(piece.start)
                start = piece.start - notebook.line_starts[line - 1]
                end = start + len(piece.raw) - (2 if piece.raw.endswith(b"\\n") else 0)
                self._code[line] = start, end

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column in the notebook."""
        piece = self._piece(offset)
        return self._notebook.position(piece.offset(offset)) if piece is not None else (1, 1)

    def region(self, start: int, end: int) -> Region:
        """Return the region in the notebook."""
        first_line, first_column = self.position(start)
        inside = self._piece(max(end - 1, start))
        last_line, last_column = (
            self._notebook.position(inside.offset(end)) if inside else (first_line, first_column)
        )
        return Region(
            start_line=first_line, start_column=first_column, end_line=last_line,
            end_column=last_column,
        )  # fmt: skip

    def lines(self, first: int, last: int) -> str:
        """Return lines of the notebook, of those with code the code alone, at its columns."""
        out = []
        for number in range(first, last + 1):
            text = self._notebook.lines(number, number)
            if number in self._code:
                start, end = self._code[number]
                code = text.encode()[start:end].decode("utf-8", "replace")
                text = " " * len(text.encode()[:start].decode("utf-8", "replace")) + code
            out.append(text)
        return "\n".join(out)

    def where(self, offset: int) -> str:
        """Return the cell, from 1, that holds an offset."""
        piece = self._piece(offset)
        return f"cell {piece.cell}" if piece is not None and piece.cell else ""

    def _piece(self, offset: int) -> _Piece | None:
        number = bisect_right(self._begins, offset) - 1
        return self._pieces[number] if number >= 0 else None


def parse_notebook(data: bytes) -> ParsedFile:
    """Parse a notebook; `problems` says what of it could not be read. Never raises."""
    notebook = SourceText(data)
    tree = parse_json(data)
    top = tree.root.children[0] if tree.root.children else None
    cells = _value(top, "cells")
    problems = []
    pieces: list[_Piece] = []
    if cells is None or cells.kind != "list" or tree.problems:
        problems.append("parsed in part: not a notebook of format 4")
    if cells is not None and _is_python(top):
        for number, cell in enumerate(cells.children, start=1):
            _read_cell(cell, number, data, pieces)
    parsed = parse(b"".join(piece.data for piece in pieces))
    parsed.source = NotebookText(pieces, notebook)
    if parsed.problems and not problems:
        problems.append("parsed in part: some cell is not valid Python")
    parsed.problems = problems
    return parsed


def _is_python(top: Node | None) -> bool:
    about = _value(top, "metadata")
    for name, key in (("language_info", "name"), ("kernelspec", "language")):
        language = _value(_value(about, name), key)
        if language is not None and language.value:
            return language.value.lower() in {"python", "ipython", "python3"}
    return True


def _value(node: Node | None, key: str) -> Node | None:
    for pair in node.children if node is not None and node.kind == "dictionary" else ():
        if pair.kind == "pair" and len(pair.children) == 2:
            name = pair.children[0]
            if (name.label or name.value) == key:
                return pair.children[1]
    return None


def _read_cell(cell: Node, number: int, data: bytes, pieces: list[_Piece]) -> None:
    kind, source = _value(cell, "cell_type"), _value(cell, "source")
    if kind is None or kind.value != "code" or source is None:
        return
    strings = source.children if source.kind == "list" else [source]
    found = [node for node in strings if node.kind == "string" and node.end - node.start >= 2]
    raw = [data[node.start + 1 : node.end - 1] for node in found]
    text = "".join(_text_of(one) for one in raw)
    magic = _CELL_MAGIC.match(text)
    if magic is not None and magic.group(1) not in _PYTHON_CELLS:
        return
    at = pieces[-1].at + len(pieces[-1].data) if pieces else 0
    first = len(pieces)
    for node, one in zip(found, raw, strict=True):
        piece = _Piece(at, node.start + 1, one, number)
        pieces.append(piece)
        at += len(piece.data)
    _quiet(pieces[first:], text)
    if found:
        end = _Piece(at, found[-1].end, b"", 0)
        end.data = b"\n"
        pieces.append(end)


def _quiet(pieces: list[_Piece], text: str) -> None:
    """Put `pass` and `None`, filled up with blanks, where IPython's own lines are."""
    quiet = _ASSIGNED.sub(lambda m: _filled(m.group(1) + "None", m.group()), text)
    quiet = _MAGIC.sub(lambda m: _filled(m.group(1) + "pass", m.group()), quiet)
    if quiet == text:
        return
    data = quiet.encode("utf-8", "replace")
    at = 0
    for piece in pieces:
        size = len(piece.data)
        piece.data = data[at : at + size]
        at += size


def _filled(text: str, whole: str) -> str:
    """Return a text of as many bytes as another; one that is too short becomes a comment."""
    size = len(whole.encode("utf-8", "replace"))
    return text.ljust(size) if len(text.encode()) <= size else "#".ljust(size)


def _text_of(raw: bytes) -> str:
    if b"\\" not in raw:
        return raw.decode("utf-8", "replace")
    try:
        return str(json.loads(b'"' + raw + b'"', strict=False))
    except ValueError:
        return raw.decode("utf-8", "replace")
