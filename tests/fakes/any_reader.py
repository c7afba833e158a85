"""What any client could make of the bytes of an answer, however it reads them.

It knows nothing of dialects and nothing of tavo: it takes the bytes for server-sent events, for
lines of JSON and for one document, and puts together every text that stands at the same path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_BREAK = re.compile(rb"\r\n|\r|\n")
_PYTHON = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")


def whatwg(data: bytes) -> list[str]:
    """Return the data of server-sent events, as the HTML Living Standard reads them."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    return _events(_BREAK.split(text.encode()))


def as_httpx(data: bytes) -> list[str]:
    """Return the data of events for who takes every line break of Unicode for one."""
    lines = _PYTHON.split(data.decode("utf-8", "replace"))
    return _events([line.encode() for line in lines])


def _events(lines: list[bytes]) -> list[str]:
    found: list[str] = []
    said: list[bytes] = []
    for line in [*lines, b""]:
        if not line:
            if said:
                found.append(b"\n".join(said).decode())
            said = []
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            said.append(value.removeprefix(b" "))
    return found


def documents(data: bytes) -> Iterator[list[Any]]:
    """Yield the documents in an answer, one list for each way to read it."""
    text = data.decode("utf-8", "replace")
    ways = [whatwg(data), as_httpx(data), text.split("\n"), _PYTHON.split(text), [text]]
    ways.append([one.removeprefix("data:") for one in _PYTHON.split(text)])
    for way in ways:
        found = []
        for one in way:
            try:
                found.append(json.loads(one))
            except (ValueError, RecursionError):
                continue
        yield found


def texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield (*path, "a name"), key
            yield from texts(entry, (*path, key))
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry, path)


def heard_anyhow(data: bytes) -> set[str]:
    """Return every text that a client could put together."""
    found = {data.decode("utf-8", "replace")}
    for way in documents(data):
        joined: dict[tuple[str, ...], str] = {}
        for document in way:
            for path, text in texts(document):
                joined[path] = joined.get(path, "") + text
                found.add(text)
        found |= set(joined.values())
    return found
