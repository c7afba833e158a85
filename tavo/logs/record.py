"""Places in a record: `a/b` is the key `b` below the key `a`, `*` every entry of a list.

Rules this module keeps:
- a path leads to values or to nothing; it never raises, whatever the record holds;
- a step that ends with `!` reads the text there as JSON, which is how some logs nest records, or as
  the events of a stream, put together; a text in quotes is read as what they hold, and one whose
  map says `encoding: base64` as what it encodes;
- a step `?key=value` keeps the maps that have such a value, whatever the case of its letters.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from tavo.logs.blocks import has_twins
from tavo.logs.lenient import TWICE, read_json, without_halves
from tavo.logs.streams import is_stream, put_together

__all__ = ["Path", "leaves", "nested_json", "parse_path", "values_at", "values_by_name"]

Path = tuple[str, ...]

_MOST_LEAVES = 20_000
_REMEMBERED = 1 << 20
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.S)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_decode = msgspec.json.Decoder().decode


def parse_path(text: str) -> Path:
    """Return the steps of a path."""
    return tuple(text.split("/"))


def values_at(record: Any, path: Path) -> list[Any]:
    """Return the values that a path leads to, an empty list where there is none."""
    found = [record]
    for step in path:
        if step[:1] == "?":
            found = _with_value(found, step[1:])
            if not found:
                return found
            continue
        nested = step.endswith("!")
        name = step[:-1] if nested else step
        below: list[Any] = []
        for value in found:
            if isinstance(value, dict):
                if name in value:
                    below.append(value[name])
                elif name == "*":
                    below += value.values()
            elif isinstance(value, list):
                if name == "*":
                    below += value
                elif name.isdigit() and int(name) < len(value):
                    below.append(value[int(name)])
                elif name == "-1" and value:
                    below.append(value[-1])
        if not below:
            return below
        found = [_spelt(one) for one in _unpacked(found, name, below)] if nested else below
    return found


def _with_value(found: list[Any], wanted: str) -> list[Any]:
    """Return the maps among some values, or in lists among them, in which a key has a value."""
    key, _, word = wanted.partition("=")
    word = word.lower()
    maps = [one for value in found for one in (value if isinstance(value, list) else (value,))]
    return [one for one in maps if isinstance(one, dict) and str(one.get(key, "")).lower() == word]


def _unpacked(holders: list[Any], name: str, below: list[Any]) -> list[Any]:
    """Return values; of a map that says `encoding: base64`, as HAR does, what the text encodes."""
    if not any(isinstance(one, dict) and one.get("encoding") == "base64" for one in holders):
        return below
    out = []
    for holder in holders:
        value = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(value, str) and holder.get("encoding") == "base64":
            with contextlib.suppress(ValueError):
                value = base64.b64decode(value).decode("utf-8", "replace")
        out.append(value)
    return [one for one in out if one is not None]


def _spelt(value: Any) -> Any:
    """Return what a text spells as JSON, or as a text in quotes of Python, Go or JSON."""
    if isinstance(value, str) and len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]:
        return without_halves(_ESCAPE.sub(_escaped, value[1:-1]))
    return nested_json(value)


def _escaped(match: re.Match[str]) -> str:
    sign = match[1]
    if len(sign) > 1:
        number = int(sign[1:], 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    return _LETTERS.get(sign, sign)


def nested_json(value: Any) -> Any:
    """Return what a text spells as JSON or as a stream's events, else the value itself."""
    if not isinstance(value, str):
        return value
    return _nested(value) if len(value) < _REMEMBERED else _nested.__wrapped__(value)


@lru_cache(16)  # several fields ask for the same text, one after the other
def _nested(value: str) -> Any:
    text = value.lstrip("\ufeff \t\r\n")
    if text[:1] not in ("{", "["):
        return put_together(value) if is_stream(value) else value
    try:
        found = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    else:
        return _with_twins(text, found)
    try:
        return without_halves(json.loads(text))
    except (ValueError, RecursionError):
        return value


def _with_twins(text: str, found: Any) -> Any:
    """Return both values of a key that stands twice: servers differ in which of them they take."""
    data = text.encode()
    if has_twins(data, found):
        both, problems = read_json(data)
        if TWICE in problems:
            return both
    return found


def values_by_name(record: Any, name: str) -> list[Any]:
    """Return the values of a dotted name: the key as it is, else one key below the other."""
    if not isinstance(record, dict):
        return []
    if name in record:
        return [record[name]]
    head, dot, tail = name.partition(".")
    while dot:
        below = record.get(head)
        if isinstance(below, dict):
            if found := values_by_name(below, tail):
                return found
        elif isinstance(below, list):
            found = [v for one in below[:1000] for v in values_by_name(one, tail)]
            if found:
                return found
        more, dot, tail = tail.partition(".")
        head = f"{head}.{more}"
    return []


def leaves(value: Any) -> Iterator[Any]:
    """Yield the scalar values below a value, in order; of those beyond 20,000 the texts alone.

    No depth and no number costs more than the time to look at each.
    """
    if not isinstance(value, dict | list):
        yield value
        return
    left = _MOST_LEAVES
    stack = [iter(value.values() if isinstance(value, dict) else value)]
    while stack:
        for one in stack[-1]:
            if isinstance(one, dict):
                stack.append(iter(one.values()))
                break
            if isinstance(one, list):
                stack.append(iter(one))
                break
            if left:
                left -= 1
                yield one
            elif isinstance(one, str):
                yield one
        else:
            stack.pop()
