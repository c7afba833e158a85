"""Files whose records are not lines: a JSON document with a list of records, CSV with line breaks.

Rules this module keeps:
- what comes out has a record on each line, and every byte of a record where it was: between records
  and in them white space is exchanged for white space, so that offsets are those of the file;
- a line break in a text of JSON, which is no JSON, becomes a blank, and a text that never ends ends
  with the file: then the rest is one line, and the readers say what is wrong with it;
- memory is bounded: one record at most, up to the bound of a line.

A line's number is the number of its record.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence

__all__ = ["Header", "csv_cells", "csv_column", "csv_header", "folding_of", "unfolded"]

LISTS = frozenset(
    {"records", "value", "data", "items", "entries", "events", "logs", "results", "observations",
     "traces", "hits", "flows", "spans", "requests", "logevents"}
)  # fmt: skip
"""Names of the lists of a document that hold its records, at most two levels below its top."""

Header = tuple[str, tuple[str, ...]]
"""What separates the cells of a CSV file, and the names of its columns."""

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.S)
_ONE_LINE = re.compile(
    rb'\s*(?:\{\s*"(?:log|Records|records|value|events|hits|data)"\s*:\s*[\[{]|\[\s*\{'
    rb'|\{\s*"took"\s*:\s*\d)'
)
_SUBSCRIBED = re.compile(rb'\s*\{\s*"messageType"\s*:\s*"(?:DATA|CONTROL)_MESSAGE"')
"""What CloudWatch sends to those who subscribe: documents, with or without a line's end between."""
_COLUMN = re.compile(r"[A-Za-z_@#][\w .@/:()%-]{0,63}\Z")
_LONGEST = 32 << 20
_DECIDES = 64 << 10
_LONGEST_ROW = 4 << 20
_MOST_LINES_OF_A_ROW = 20_000
_SEPARATORS = ",;\t|"
_WHITE = bytes.maketrans(b"\n\r", b"  ")

Piece = tuple[bytes, int, int]
"""Whole lines, their offset, and how many of them were cut."""


def folding_of(head: bytes, name: str = "") -> str:
    """Return how the first bytes of a file fold its records: list, csv, or not at all."""
    data = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if data[:1] in (b"{", b"["):
        return "list" if _is_document(data) else ""
    lines = data.split(b"\n")
    header = csv_header(lines[:-1] or lines, name)
    return "csv" if header is not None else ""


def _is_document(data: bytes) -> bool:
    if data[1:200].lstrip()[:1] not in (b'"', b"}", b"]", b"{", b"["):
        return False  # text that begins with a bracket
    if _SUBSCRIBED.match(data):
        return True
    lines = [line.strip() for line in data.split(b"\n") if line.strip()]
    first = lines[0]
    if _begins_again(first):
        return True
    if len(lines) == 1:
        return _ONE_LINE.match(data) is not None
    if _closes(first):
        return _ONE_LINE.match(first) is not None and not _closes(lines[1])
    if first == b"[":
        return True
    below = lines[1:51]
    return sum(map(_is_object, below)) * 2 < len(below)


def _is_object(line: bytes) -> bool:
    return line[:1] == b"{" and line[-1:] == b"}"


def _begins_again(line: bytes) -> bool:
    """Tell whether an object of a line is followed by another one, as Firehose writes them."""
    depth = 0
    if line[:1] != b"{":
        return False
    for token in _TOKEN.finditer(line):
        sign = token[0]
        depth += (sign in (b"{", b"[")) - (sign in (b"}", b"]"))
        if depth <= 0:
            return line[token.end() : token.end() + 64].lstrip()[:1] == b"{"
    return False


def _closes(line: bytes) -> bool:
    """Tell whether what a line opens is closed in it."""
    depth = 0
    for token in _TOKEN.finditer(line):
        sign = token[0]
        depth += (sign in (b"{", b"[")) - (sign in (b"}", b"]"))
    return depth <= 0 and line[-1:] in (b"}", b"]")


def unfolded(read: Callable[[int], bytes], kind: str, size: int) -> Iterator[Piece]:
    """Yield the records of a file as lines; `read` gives its next bytes."""
    return _rows(read, size) if kind == "csv" else _Document(read, size).pieces()


class _Document:
    """Finds the records of a document: objects in a list of records, or at the top."""

    def __init__(self, read: Callable[[int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._stack: list[bool] = []  # what is open: True for a list that holds records
        self._depth = 0  # what is open inside of a record, or of something that is none
        self._inside = False  # in a record
        self._skipping = False
        self._key = b""

    def pieces(self) -> Iterator[Piece]:
        """Yield the records as lines."""
        data, base, start = b"", 0, -1  # `start`: where the record begins that is open
        at = 0
        out: list[tuple[int, int]] = []
        while True:
            more = self._read(self._size)
            data += more
            last = not more
            if not base and not at:
                at = 3 if data[:3] == b"\xef\xbb\xbf" else 0
            for token in _TOKEN.finditer(data, at):
                first, end = token.span()
                sign = data[first]
                if sign == 34 and end - first == 1:
                    break  # a text that goes on in the next bytes
                if self._inside:
                    if sign in b"{[":
                        self._depth += 1
                    elif sign in b"}]":
                        self._depth -= 1
                        if not self._depth:
                            out.append((start, end))
                            self._inside, start = False, -1
                else:
                    opens = self._opens(sign, data, first, end, last=last)
                    if opens is None:
                        break  # the next bytes say what it is
                    if opens:
                        start = first
                at = end
            if last and start >= 0 and data[start:].strip():
                out.append((start, len(data)))
                at = len(data)
            if out:
                yield from _lines(data, base, out)
                out = []
            keep = start if start >= 0 else at
            if start < 0 and last and not self._inside:
                rest = data[at:].strip()
                if rest.strip(b",:]}[{ \t\r\n0123456789.eE+-truefalsn"):
                    yield data[at:].translate(_WHITE) + b"\n", base + at, 0
            if last:
                return
            if len(data) - keep > _LONGEST:
                yield data[keep:].translate(_WHITE) + b"\n", base + keep, 1
                self._inside, self._depth, start, keep = False, 0, -1, len(data)
                at = keep
            data, base, at = data[keep:], base + keep, at - keep
            start = 0 if start >= 0 else -1

    def _opens(self, sign: int, data: bytes, first: int, end: int, *, last: bool) -> bool | None:
        """Take a token outside of records; tell whether a record begins there, None: not yet."""
        if sign == 34:  # a quote
            if len(self._stack) <= 2 and end - first < 64:
                self._key = data[first + 1 : end - 1]
            return False
        if sign in b"}]":
            if self._stack:
                self._stack.pop()
            return False
        whole: bool | None = bool(self._stack) and self._stack[-1]
        if sign == 123 and not self._stack:
            whole = self._is_whole(data, end, last=last)
        if whole is None:
            return None
        if whole:
            self._inside, self._depth = True, 1
            return True
        holds = sign == 91 and (
            not self._stack
            or (len(self._stack) <= 2 and self._key.decode("latin-1").lower() in LISTS)
        )
        self._stack.append(holds)
        self._key = b""
        return False

    @staticmethod
    def _is_whole(data: bytes, end: int, *, last: bool) -> bool | None:
        """Tell whether an object at the top is a record itself, and does not hold a list of them.

        The names of the first two levels decide, in its first 64 KB; None: not all of that is here.
        """
        unsure = None if not last and len(data) < end + _DECIDES else True
        depth = 1
        key = b""
        for token in _TOKEN.finditer(data, end, end + _DECIDES):
            sign = token[0]
            if sign[:1] == b'"':
                if len(sign) == 1:
                    return unsure
                if depth <= 2:
                    key = sign[1:-1]
                continue
            if sign in (b"{", b"["):
                listed = sign == b"[" and depth <= 2 and key.decode("latin-1").lower() in LISTS
                after = data[token.end() : token.end() + 200].lstrip()[:1]
                if listed and after == b"{":
                    return False
                if listed and not after:
                    return unsure
                depth += 1
            else:
                depth -= 1
                if not depth:
                    return True
        return unsure


def _lines(data: bytes, base: int, spans: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    """Yield records as lines; two that touch have no room for a line's end between them."""
    out: list[bytes] = []
    begin = spans[0][0]
    for number, (start, end) in enumerate(spans):
        record = data[start:end].translate(_WHITE)
        out.append(record)
        following = spans[number + 1][0] if number + 1 < len(spans) else -1
        if following > end:
            between = bytearray(b" " * (following - end))
            between[max(0, data.find(b",", end, following) - end)] = 10
            out.append(bytes(between))
            continue
        yield b"".join(out) + b"\n", base + begin, 0
        out, begin = [], following


def _rows(read: Callable[[int], bytes], size: int) -> Iterator[Piece]:
    """Yield the rows of CSV as lines: breaks inside of quotes become blanks."""
    data, base = b"", 0
    while True:
        more = read(size)
        data += more
        end = len(data) if not more else data.rfind(b"\n") + 1
        if end and (cut := _whole_rows(data, end, last=not more)):
            out, used = cut
            yield out, base, 0
            data, base = data[used:], base + used
        if not more:
            if data:
                yield data.replace(b"\n", b" ") + b"\n", base, 0
            return
        if len(data) > _LONGEST:
            yield data.translate(_WHITE) + b"\n", base, 1
            data, base = b"", base + len(data)


def _whole_rows(data: bytes, end: int, *, last: bool) -> tuple[bytes, int] | None:
    if b'"' not in data[:end]:
        return data[:end], end
    out = bytearray(data[:end])
    at = used = 0
    while at < end:
        stop = data.find(b"\n", at, end)
        stop = end if stop < 0 else stop
        quotes, first, breaks = data.count(b'"', at, stop), stop, []
        while quotes % 2 and stop < end:
            breaks.append(stop)
            following = data.find(b"\n", stop + 1, end)
            following = end if following < 0 else following
            quotes += data.count(b'"', stop + 1, following)
            stop = following
            if stop - at > _LONGEST_ROW or len(breaks) > _MOST_LINES_OF_A_ROW:
                stop, breaks = first, []  # a quote that never closes is a letter
                break
        if quotes % 2 and breaks and not last:
            break  # goes on in the next bytes
        if quotes % 2 and breaks:
            stop, breaks = first, []
        for one in breaks:
            out[one] = 32
        at = used = min(stop + 1, end)
    return (bytes(out[:used]), used) if used else None


def csv_header(lines: Sequence[bytes], name: str = "") -> Header | None:
    """Return separator and columns where the first lines are those of a CSV file."""
    rows = [line for line in lines[:60] if line.strip()]
    if len(rows) < 2:
        return None
    first = rows[0].removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").rstrip("\r\n")
    ends = name.lower().removesuffix(".gz").removesuffix(".zst").endswith((".csv", ".tsv"))
    best: Header | None = None
    for separator in _SEPARATORS:
        cells = csv_cells(first, separator)
        if len(cells) < (2 if ends else 3) or not all(_COLUMN.match(one.strip()) for one in cells):
            continue
        if len(set(cells)) < len(cells):
            continue
        whole = [row for row in rows[1:] if row.count(b'"') % 2 == 0]
        same = sum(
            len(csv_cells(row.decode("utf-8", "replace"), separator)) == len(cells) for row in whole
        )
        if whole and same < 0.8 * len(whole):
            continue
        if best is None or len(cells) > len(best[1]):
            best = separator, tuple(map(csv_column, cells))
    return best


def csv_column(cell: str) -> str:
    """Return the name of a column: one of several words in lower case, with `_` between them."""
    name = cell.strip()
    return re.sub(r"\W+", "_", name).strip("_").lower() if re.search(r"[\s()%]", name) else name


def csv_cells(text: str, separator: str) -> list[str]:
    """Return the cells of a row."""
    text = text.rstrip("\r\n").replace("\n", " ").replace("\r", " ")
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:  # a cell that is larger than its bound
        return text.split(separator)
