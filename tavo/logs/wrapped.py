"""Lines that a container's runtime wraps: Docker's json-file and the CRI's text, taken apart.

Rules this module keeps:
- each line stays one line, so that numbers of lines are those of the file; of a line in parts the
  last has the text, and the others are empty; one that a block cuts in two is two;
- what is not wrapped stays as it is.

Sources: Docker's documentation of the json-file driver; the CRI's format of container logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tavo.logs.encoded import MARK

__all__ = ["WRAPPINGS", "unwrapped", "wrapping_of"]

WRAPPINGS = {"docker": "in Docker's json-file", "cri": "in lines of the CRI"}
_ENOUGH = 0.9
_LONGEST = 32 << 20
_STREAMS = (b"stdout", b"stderr")


class _Docker(msgspec.Struct):
    log: str
    stream: str
    time: str = ""


_decode = msgspec.json.Decoder(_Docker).decode


def wrapping_of(lines: Sequence[bytes]) -> str:
    """Return how lines are wrapped, empty where they are not."""
    lines = [line for line in lines if line.strip()]
    for kind in WRAPPINGS:
        read = _READ[kind]
        if lines and sum(read(line) is not None for line in lines) >= _ENOUGH * len(lines):
            return kind
    return ""


def unwrapped(lines: Iterable[bytes], kind: str) -> list[bytes]:
    """Return what is in each line."""
    read = _READ[kind]
    out: list[bytes] = []
    open_lines: dict[bytes, tuple[int, list[bytes]]] = {}
    for number, line in enumerate(lines):
        found = read(line)
        if found is None:
            out.append(line)
            continue
        stream, text, whole = found
        parts = open_lines.pop(stream, (0, []))[1]
        parts.append(text)
        out.append(b"")
        if whole or sum(map(len, parts)) > _LONGEST:
            out[number] = b"".join(parts)
        else:
            open_lines[stream] = number, parts
    for number, parts in open_lines.values():  # what there is of it is looked at
        out[number] = b"".join(parts)
    return out


def _docker(line: bytes) -> tuple[bytes, bytes, bool] | None:
    try:
        found = _decode(line.removeprefix(MARK))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found.stream.encode() not in _STREAMS:
        return None
    text = found.log.encode("utf-8", "replace")
    whole = text.endswith(b"\n")
    # a program's carriage returns or further ends of lines would make two of it
    return found.stream.encode(), text.rstrip(b"\r\n").replace(b"\n", b" "), whole


def _cri(line: bytes) -> tuple[bytes, bytes, bool] | None:
    parts = line.removeprefix(MARK).rstrip(b"\r").split(b" ", 3)
    if len(parts) < 4 or parts[1] not in _STREAMS or parts[2][:1] not in (b"F", b"P"):
        return None
    if parts[0][4:5] != b"-" or b"T" not in parts[0]:
        return None
    return parts[1], parts[3], parts[2][:1] == b"F"


_READ = {"docker": _docker, "cri": _cri}
