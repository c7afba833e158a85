"""A line of a log -> its records: JSON, spans of OTLP, requests of a web server, rows, text.

Rules this module keeps:
- a fast parser reads what it can; what it refuses goes to a lenient one, and what is wrong with the
  line is said, so that it can be counted;
- a line is never dropped: one that holds no record is a record of its text;
- a line in a line, as the journal and syslog have them, is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tavo.detect.regex import Regex
from tavo.logs.encoded import MARK
from tavo.logs.folded import Header, csv_cells, csv_column
from tavo.logs.lenient import read_all, read_json
from tavo.logs.mapping import Mapping
from tavo.logs.otlp import spans_of
from tavo.logs.record import Path, leaves, values_at

__all__ = ["Records", "line_reader"]

Records = tuple[list[Any], tuple[str, ...]]
"""The records of a line, and what is wrong with it."""

_Found = tuple[list[dict[str, Any]], tuple[str, ...]]

_decode = msgspec.json.Decoder().decode
_UNREAD = "no record that this reader knows"
_UVICORN = re.compile(
    r"(?:INFO:\s{1,9})?\[?([0-9A-Fa-f.:]{2,45})\]?:\d{1,5} - "
    r'"([A-Z]{1,16}) ([^ "]*) HTTP/[0-9.]{1,3}" (\d{3})'
)
_GIN = re.compile(
    r"\[GIN\] \d{4}/\d\d/\d\d - \d\d:\d\d:\d\d \|\s*(\d{3}) \|[^|]{1,40}\|"
    r"\s*([0-9A-Fa-f.:]{2,45}) \| "
    r'([A-Z]{1,16})\s+"([^"]*)"'
)
_PROMPT = re.compile(
    r"""(?:prompt: |\bprompt=)('(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")(?:, |\s|$)"""
)
_PAIR = re.compile(r'([A-Za-z_@][\w./@-]*+)(?:=("(?:[^"\\]|\\.)*+"|[^\s"]*+))?')
_MOVED = "a text that lies in another file, which was not looked at"
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_CELLS = "a row with more or fewer cells than the header"


def line_reader(table: Mapping) -> Callable[[bytes], Records]:
    """Return what reads the lines of a format."""
    return _Inside(table) if table.inside else _reader(table)


def _reader(table: Mapping) -> Callable[[bytes], Records]:
    if table.lines == "json":
        return _Moved(table.elsewhere) if table.elsewhere else _json
    if table.lines == "otlp":
        return _otlp
    if table.lines == "access":
        return _access
    if table.columns is not None:
        return _Rows(table.columns)
    return _Patterns(table.patterns)


def _value(line: bytes) -> tuple[Any, tuple[str, ...]]:
    try:
        return _decode(line), ()
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    if line.startswith(MARK):
        line = line[len(MARK) :]
        try:
            return _decode(line), ()
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
    return read_json(line)


def _values(line: bytes) -> tuple[list[Any], tuple[str, ...]]:
    """Return the values of a line, of which there are several where a line's end was lost."""
    try:
        return [_decode(line)], ()
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    if line.startswith(MARK):
        line = line[len(MARK) :]
        try:
            return [_decode(line)], ()
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
    return read_all(line)


def _json(line: bytes) -> Records:
    values, problems = _values(line)
    records: list[Any] = []
    loose: list[Any] = []
    for value in values:
        for one in value if isinstance(value, list) else (value,):
            (records if isinstance(one, dict) else loose).append(one)
    if records and loose:  # beside records, which makes the line no record of ours
        text = "\n".join(str(one) for one in leaves(loose))
        return [*records, {"log.body": text}], (*problems, _UNREAD)
    if records:
        return records, problems
    unread = () if isinstance(values[0], list) else (_UNREAD,)
    return [{"log.body": _text(line)}], problems or unread


def _otlp(line: bytes) -> Records:
    values, problems = _values(line)
    found: list[Any] = []
    for value in values:
        spans, more = spans_of(value)
        found += spans
        problems += more
    return (found, problems) if found else ([{"log.body": _text(line)}], problems or (_UNREAD,))


class _Moved:
    """Reads JSON of a format that puts long texts into other files, and says where it did."""

    def __init__(self, elsewhere: tuple[Path, ...]) -> None:
        self._elsewhere = elsewhere

    def __call__(self, line: bytes) -> Records:
        records, problems = _json(line)
        moved = any(values_at(one, path) for one in records for path in self._elsewhere)
        return records, (*problems, _MOVED) if moved else problems


class _Inside:
    """Reads lines whose records have a line of another log in them: its fields come beside."""

    def __init__(self, table: Mapping) -> None:
        self._read = _reader(table)
        self._key = table.inside
        self._tells = table.name == "program"  # others have text behind the JSON of their lines

    def __call__(self, line: bytes) -> Records:
        records, problems = self._read(line)
        out = []
        for record in records:
            given = record if isinstance(record, dict) else {}
            if isinstance(pairs := given.get("pairs"), str):
                out.append({**given, **_of_pairs(pairs)})
                continue
            text = given.get(self._key)
            if not isinstance(text, str):
                out.append(record)
                continue
            found, more = _of_line(text.strip())
            out += [{**given, **one} for one in found]
            problems += more if self._tells else ()
        return out, problems


def _of_pairs(text: str) -> dict[str, Any]:
    """Return what a line of logfmt says; a key that stands more than once has all its values."""
    out: dict[str, Any] = {}
    for found in _PAIR.finditer(text):
        name, value = found[1], found[2] or ""
        if value[:1] == '"':
            value = values_at({"": value}, ("!",))[0]
        else:
            value = _cell(value) if value else value
        out[name] = f"{out[name]}\n{value}" if name in out else value
    return out


def _of_line(text: str) -> _Found:
    """Return what a line of JSON or of a web server says; empty for other text."""
    if text[:1] == "{":
        values, problems = _values(text.encode("utf-8", "replace"))
        found: list[dict[str, Any]] = [one for one in values if isinstance(one, dict)]
        unread = () if len(found) == len(values) else (_UNREAD,)
        return found or [{}], (*problems, *unread)
    return [_of_text_line(text)], ()


def _of_text_line(text: str) -> dict[str, Any]:
    if (prompt := _PROMPT.search(text)) is not None:  # as vLLM and Ollama log it
        return {"prompt": values_at({"": prompt[1]}, ("!",))[0]}
    if '"' not in text:
        return {}
    if (gin := _GIN.match(text)) is not None:
        path, _, query = gin[4].partition("?")
        return {"address": gin[2], "method": gin[3], "target": gin[4], "path": path,
                "args": query, "status": int(gin[1])}  # fmt: skip
    if (found := _UVICORN.match(text)) is not None:
        target = found[3]
        path, _, query = target.partition("?")
        return {"address": found[1], "method": found[2], "target": target, "path": path,
                "args": query, "status": int(found[4])}  # fmt: skip
    records, problems = _access(text.encode("utf-8", "replace"))
    if problems:
        return {}
    record: dict[str, Any] = records[0]
    return {"args": record.pop("query", ""), **record}


class _Rows:
    """Reads rows of CSV; the row of the header is none."""

    def __init__(self, header: Header) -> None:
        self._separator, self._columns = header

    def __call__(self, line: bytes) -> Records:
        cells = csv_cells(_text(line), self._separator)
        columns = self._columns
        if cells and tuple(map(csv_column, cells)) == columns:
            return [], ()
        record: dict[str, Any] = {
            name: _cell(cell) for name, cell in zip(columns, cells, strict=False) if cell
        }
        if len(cells) > len(columns):
            record["csv.more"] = cells[len(columns) :]
        record["csv.cells"] = len(cells)
        return [record], () if len(cells) == len(columns) else (_CELLS,)


def _cell(text: str) -> Any:
    """Return a cell as the number that it spells the way that JSON would, else as the text."""
    if text[:1] not in "-0123456789" or len(text) > 25:
        return text
    try:
        number: int | float = int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text
    return number if str(number) == text else text


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n").removeprefix("\ufeff")


def _access(line: bytes) -> Records:
    """Read the combined and the common format: address, user, [time], "request", status, size.

    A virtual host may stand before the address, as in Debian's `other_vhosts_access.log`.
    """
    text = _text(line)
    front, bracket, rest = text.partition(" [")
    time, closed, rest = rest.partition('] "')
    parts = _quoted(rest)
    words = front.split(" ")
    host = ""
    if len(words) > 3 and not _is_address(words[0]) and _is_address(words[1]):
        host, *words = words
    after = parts[1].split() if len(parts) > 1 else []
    if not bracket or not closed or len(after) < 1 or not after[0].isdigit() or len(words) < 3:
        return [{"log.body": text}], (_UNREAD,)
    method, _, target = parts[0].partition(" ")
    target, _, protocol = target.rpartition(" ")
    if not protocol.startswith("HTTP/"):
        target, protocol = (f"{target} {protocol}".strip(), "")
    path, _, query = target.partition("?")
    record: dict[str, Any] = {
        "address": words[0], "user": "" if words[-1] == "-" else " ".join(words[2:]), "time": time,
        "request": parts[0], "method": method, "path": path, "query": query, "target": target,
        "protocol": protocol, "status": int(after[0][:5]),
    }  # fmt: skip
    if host:
        record["host"] = host
    if len(after) > 1 and after[1].isdigit():
        record["size"] = int(after[1][:18])
    if len(parts) > 2 and parts[2] != "-":
        record["referrer"] = parts[2]
    if len(parts) > 4 and parts[4] != "-":
        record["agent"] = parts[4]
    if len(parts) > 5 and parts[5].strip():
        record["more"] = parts[5].strip()
    return [record], ()


def _is_address(word: str) -> bool:
    return _ADDRESS.fullmatch(word) is not None


def _quoted(text: str) -> list[str]:
    """Cut at quotes that are not escaped, and read the escapes of nginx and Apache."""
    if "\\" not in text:
        return text.split('"')
    parts: list[str] = []
    for piece in text.split('"'):
        if parts and (len(parts[-1]) - len(parts[-1].rstrip("\\"))) % 2:
            parts[-1] += f'"{piece}'
        else:
            parts.append(piece)
    return [_unescaped(part) for part in parts]


def _unescaped(text: str) -> str:
    r"""Read `\xHH` and `\"`; bytes above 127 are read as UTF-8."""
    if "\\" not in text:
        return text
    out = bytearray()
    at, end = 0, len(text)
    while at < end:
        if text[at] == "\\" and at + 1 < end:
            if text[at + 1] == "x" and _is_hex(text[at + 2 : at + 4]):
                out.append(int(text[at + 2 : at + 4], 16))
                at += 4
                continue
            out += text[at + 1].encode("utf-8", "replace")
            at += 2
            continue
        stop = text.find("\\", at + 1)
        stop = end if stop < 0 else stop
        out += text[at:stop].encode("utf-8", "replace")
        at = stop
    return out.decode("utf-8", "replace")


def _is_hex(text: str) -> bool:
    return len(text) == 2 and all(one in "0123456789abcdefABCDEF" for one in text)


class _Patterns:
    """Reads lines of text by expressions, whose groups are the keys of the record."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = [Regex(pattern) for pattern in patterns]

    def __call__(self, line: bytes) -> Records:
        text = _text(line)
        data = text.encode("utf-8", "replace")
        for pattern in self._patterns:
            for spans in pattern.matches(data):
                record = {
                    name: data[first:last].decode("utf-8", "replace")
                    for name, (first, last) in zip(pattern.groups, spans[1:], strict=True)
                    if first >= 0
                }
                record["log.body"] = text
                return [record], ()
        return [{"log.body": text}], (_UNREAD,)
