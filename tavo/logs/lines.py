"""A line of a log -> its records: JSON objects, spans of OTLP, requests of a web server, text.

Rules this module keeps:
- a fast parser reads what it can; what it refuses goes to a lenient one, and what is wrong with the
  line is said, so that it can be counted;
- a line is never dropped: one that holds no record is a record of its text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tavo.detect.regex import Regex
from tavo.logs.lenient import read_json
from tavo.logs.mapping import Mapping
from tavo.logs.otlp import spans_of

__all__ = ["Records", "line_reader"]

Records = tuple[list[Any], tuple[str, ...]]
"""The records of a line, and what is wrong with it."""

_decode = msgspec.json.Decoder().decode
_UNREAD = "no record that this reader knows"


def line_reader(table: Mapping) -> Callable[[bytes], Records]:
    """Return what reads the lines of a format."""
    if table.lines == "json":
        return _json
    if table.lines == "otlp":
        return _otlp
    if table.lines == "access":
        return _access
    return _Patterns(table.patterns)


def _value(line: bytes) -> tuple[Any, tuple[str, ...]]:
    try:
        return _decode(line), ()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return read_json(line)


def _json(line: bytes) -> Records:
    value, problems = _value(line)
    if isinstance(value, dict):
        return [value], problems
    if isinstance(value, list):
        return [one for one in value if isinstance(one, dict)] or [
            {"log.body": _text(line)}
        ], problems
    return [{"log.body": _text(line)}], problems or (_UNREAD,)


def _otlp(line: bytes) -> Records:
    value, problems = _value(line)
    found = spans_of(value)
    return (found, problems) if found else ([{"log.body": _text(line)}], problems or (_UNREAD,))


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _access(line: bytes) -> Records:
    """Read the combined and the common format: address, user, [time], "request", status, size."""
    text = _text(line)
    front, bracket, rest = text.partition(" [")
    time, closed, rest = rest.partition('] "')
    parts = _quoted(rest)
    words = front.split(" ")
    after = parts[1].split() if len(parts) > 1 else []
    if not bracket or not closed or len(after) < 1 or not after[0].isdigit() or len(words) < 3:
        return [{"log.body": text}], (_UNREAD,)
    method, _, target = parts[0].partition(" ")
    target, _, protocol = target.rpartition(" ")
    if not protocol.startswith("HTTP/"):
        target, protocol = (f"{target} {protocol}".strip(), "")
    path, _, query = target.partition("?")
    record: dict[str, Any] = {
        "address": words[0], "user": "" if words[-1] == "-" else words[-1], "time": time,
        "request": parts[0], "method": method, "path": path, "query": query, "target": target,
        "protocol": protocol, "status": int(after[0][:5]),
    }  # fmt: skip
    if len(after) > 1 and after[1].isdigit():
        record["size"] = int(after[1][:18])
    if len(parts) > 2 and parts[2] != "-":
        record["referrer"] = parts[2]
    if len(parts) > 4 and parts[4] != "-":
        record["agent"] = parts[4]
    if len(parts) > 5 and parts[5].strip():
        record["more"] = parts[5].strip()
    return [record], ()


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
