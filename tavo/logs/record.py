"""Places in a record: `a/b` is the key `b` below the key `a`, `*` every entry of a list.

Rules this module keeps:
- a path leads to values or to nothing; it never raises, whatever the record holds;
- a step that ends with `!` reads the text there as JSON, which is how some logs nest records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

__all__ = ["Path", "leaves", "parse_path", "values_at", "values_by_name"]

Path = tuple[str, ...]

_MOST_LEAVES = 20_000
_decode = msgspec.json.Decoder().decode


def parse_path(text: str) -> Path:
    """Return the steps of a path."""
    return tuple(text.split("/"))


def values_at(record: Any, path: Path) -> list[Any]:
    """Return the values that a path leads to, an empty list where there is none."""
    found = [record]
    for step in path:
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
        found = [nested_json(one) for one in below] if nested else below
    return found


def nested_json(value: Any) -> Any:
    """Return what a text spells as JSON, the value itself where it spells nothing."""
    if not isinstance(value, str | bytes) or value.lstrip()[:1] not in ("{", "[", b"{", b"["):
        return value
    try:
        return _decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


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
    """Yield the scalar values below a value, in order, at most 20,000; never deeper than it is."""
    if not isinstance(value, dict | list):
        yield value
        return
    left = _MOST_LEAVES
    stack = [iter(value.values() if isinstance(value, dict) else value)]
    while stack and left:
        for one in stack[-1]:
            if isinstance(one, dict):
                stack.append(iter(one.values()))
                break
            if isinstance(one, list):
                stack.append(iter(one))
                break
            left -= 1
            yield one
            if not left:
                return
        else:
            stack.pop()
