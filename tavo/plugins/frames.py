"""The wire format of `tavo-worker/1`, for both sides: length, JSON, and nothing else.

Rules this module keeps:
- a frame is an unsigned 32-bit big-endian length and that many bytes of UTF-8 JSON, an object with
  a text `type`;
- a length above the limit is refused before anything is read or reserved for it;
- NaN, infinities, numbers of thousands of digits and deep nesting are refused;
- standard library only.

The conversation is one request at a time; every request is answered exactly once:

    host                                     worker                      state of the worker
    hello {protocol, nonce, sandbox,                                     NEW
           folder, environment}
                                             listening {}, a descriptor  (only with declared hosts)
                                             hello {protocol, nonce, …}  (sandbox is on) LOCKED
                                             refused {layer, reason}     ends
    configure {entry_point, folders, …}
                                             ready {rules, …}            READY
                                             failed {kind, message, …}   ends
    analyze {id, items}                                                  BUSY
                                             partial {id, items} …
                                             result {id, items}          READY
    project {id, paths}                                                  BUSY
                                             result {id, items}          READY
    cancel {id}, with SIGUSR1                the request's own result
    shutdown {}                              bye {}                      ends

Units: sizes in bytes.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NoReturn

__all__ = [
    "FLUSH_EVERY_S",
    "MOST_FINDINGS_PER_FILE",
    "MOST_FROM_HOST",
    "MOST_FROM_WORKER",
    "PROTOCOL",
    "FrameError",
    "FrameReader",
    "decode",
    "encode",
]

PROTOCOL = 1
MOST_FROM_WORKER = 8 << 20
MOST_FROM_HOST = 16 << 20
MOST_FINDINGS_PER_FILE = 10_000
FLUSH_EVERY_S = 0.02

_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """What came over the wire is no frame of this protocol."""


class FrameReader:
    """Cuts a stream of bytes, fed in any pieces, into the bodies of frames."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Return how many bytes wait for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._buffer += data

    def take(self) -> bytes | None:
        """Return the body of the next complete frame, or None. Raises FrameError."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._limit:
            raise FrameError(f"a frame of {length} bytes, the limit is {self._limit}")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return body


def encode(message: dict[str, Any], *, limit: int) -> bytes:
    """Return the frame of a message. Raises FrameError when it is longer than `limit`."""
    body = json.dumps(message, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    data = body.encode("utf-8", "replace")
    if len(data) > limit:
        raise FrameError(f"a frame of {len(data)} bytes, the limit is {limit}")
    return _LENGTH.pack(len(data)) + data


def decode(body: bytes) -> dict[str, Any]:
    """Return the message of a frame's body. Raises FrameError."""
    try:
        message = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame that is not JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise FrameError("a frame that is not an object with a type")
    return message


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
