"""Jupyter notebooks: the Python of all code cells as one file, with positions in the notebook.

Rules this module keeps:
- what one cell imports counts in those below it, as when the notebook is run from top to bottom;
- lines for IPython, such as `%pip` or `!ls`, are no Python and do nothing here; a cell for another
  language, such as `%%bash`, is left out;
- keys and types are read as JSON reads them, escaped or twice, and each cell stands by itself:
  what one leaves open hides nothing of the next;
- every position is one in the notebook's own file, and a finding says in which cell it is.

Source: the notebook format, nbformat 4.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right

from tavo.plugins import Region
from tavo.scan.languages.python import parse
from tavo.scan.parsed import ParsedFile
from tavo.scan.tree import SourceText

__all__ = ["NotebookText", "parse_notebook"]

_ESCAPE = re.compile(rb"\\u[0-9A-Fa-f]{4}|\\.", re.DOTALL)
_MAGIC = re.compile(r"(?m)^([ \t]*)(?:%{1,2}[A-Za-z_]|!|\?{1,2}\w|[\w.]+\?{1,2}[ \t]*$)[^\n]*")
_ASSIGNED = re.compile(r"(?m)^([ \t]*[\w., \t]+=[ \t]*)(?:%[A-Za-z_]|!)[^\n]*")
_PYTHON_CELLS = frozenset({
    "time", "timeit", "capture", "prun", "debug", "python", "python2", "python3", "pypy",
})  # fmt: skip
# A string with a colon where it is a key, or a bracket; what is escaped outside is neither.
_JSON = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")(\s*+:)?|([\[\]{}])|\\.', re.DOTALL)
_SOURCES = ([b"cells", b"*", b"source"], [b"cells", b"*", b"source", b"*"])
_LANGUAGES = (
    [b"metadata", b"kernelspec", b"name"],  # what Jupyter starts, whatever the others say
    [b"metadata", b"language_info", b"name"],
    [b"metadata", b"kernelspec", b"language"],
)
_MOST_CODE = 2 << 20
_MOST_PARTS = 4_000_000
_DEEPEST = 500
_NO_NOTEBOOK = "not a notebook of format 4"
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
    cells, languages, problem = _cells_of(data)
    problems = [f"parsed in part: {problem}"] if problem else []
    pieces: list[_Piece] = []
    left = _MOST_CODE
    if not languages or any("python" in one.lower() for one in languages):
        for number, (kind, strings) in enumerate(cells, start=1):
            if kind != b"code":
                continue
            left -= sum(end - start for start, end in strings)
            if left < 0:
                problems.append(
                    f"more than {_MOST_CODE >> 20} MB of code: the cells from {number} on were"
                    " left out"
                )
                break
            _read_cell(strings, number, data, pieces)
    parsed = parse(b"".join(piece.data for piece in pieces))
    if parsed.problems and not problems:
        problems.append("parsed in part: some cell is not valid Python")
    elif (number := _runs_over(parsed, pieces)) and not problems:
        problems.append(f"parsed in part: cell {number} is not valid Python by itself")
    parsed.source = NotebookText(pieces, SourceText(data))
    parsed.problems = problems
    return parsed


_Cell = tuple[bytes, list[tuple[int, int]]]


def _cells_of(data: bytes) -> tuple[list[_Cell], list[str], str]:
    """Return the cells, each with its type and the ranges of its source's strings.

    Also the names of kernel and language as far as they are there, and what is wrong with the
    notebook, empty for nothing. What cells printed is passed over without being read, however
    large it is.
    """
    cells: list[_Cell] = []
    languages: list[str] = []
    kind, strings = b"", list[tuple[int, int]]()
    path: list[bytes] = []
    found_cells = False
    problem = ""
    for count, found in enumerate(_JSON.finditer(data)):
        if count > _MOST_PARTS or len(path) > _DEEPEST:
            return cells, languages, _NO_NOTEBOOK
        token = found.group(1) or found.group(3)
        if token is None:
            continue
        if token in b"{[":
            found_cells |= token == b"[" and path == [b"cells"]
            if token == b"{" and path == [b"cells", b"*"]:
                kind, strings = b"", []
            elif path == _SOURCES[1]:
                problem = f"the source of cell {len(cells) + 1} is no text"
            path.append(b"*" if token == b"[" else b"")
        elif token in b"}]":
            if not path:
                return cells, languages, _NO_NOTEBOOK
            path.pop()
            if token == b"}" and path == [b"cells", b"*"]:
                cells.append((kind, strings))
        elif found.group(2):
            if path:
                path[-1] = _key_of(token)
            if path == _SOURCES[0]:
                strings = []  # of a key that is there twice the last one counts
                if data[found.end() : found.end() + 64].lstrip()[:1] not in {b'"', b"["}:
                    problem = f"the source of cell {len(cells) + 1} is no text"
        elif path in _SOURCES:
            strings.append((found.start(1) + 1, found.end(1) - 1))
        elif path == [b"cells", b"*", b"cell_type"]:
            kind = _key_of(token)
        elif path in _LANGUAGES:
            languages.append(_key_of(token).decode("utf-8", "replace"))
    return cells, languages, problem if found_cells and not path else _NO_NOTEBOOK


def _key_of(token: bytes) -> bytes:
    """Return what a string of JSON says, without its quotes and escapes."""
    inside = token[1:-1]
    return _text_of(inside).encode("utf-8", "replace") if b"\\" in inside else inside


def _runs_over(parsed: ParsedFile, pieces: list[_Piece]) -> int:
    """Return the first cell, from 1, that a statement goes on behind; 0 for none."""
    ends = [(piece.at, pieces[n - 1].cell) for n, piece in enumerate(pieces) if not piece.cell]
    number = 0
    for statement in parsed.root.children:
        while number < len(ends) and ends[number][0] < statement.end:
            if statement.start < ends[number][0]:
                return ends[number][1]
            number += 1
    return 0


def _read_cell(
    strings: list[tuple[int, int]], number: int, data: bytes, pieces: list[_Piece]
) -> None:
    raw = [data[start:end] for start, end in strings]
    text = "".join(_text_of(one) for one in raw)
    magic = _CELL_MAGIC.match(text)
    if not strings or (magic is not None and magic.group(1) not in _PYTHON_CELLS):
        return
    at = pieces[-1].at + len(pieces[-1].data) if pieces else 0
    first = len(pieces)
    for (start, _), one in zip(strings, raw, strict=True):
        piece = _Piece(at, start, one, number)
        pieces.append(piece)
        at += len(piece.data)
    _quiet(pieces[first:], text)
    end = _Piece(at, strings[-1][1] + 1, b"", 0)
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
