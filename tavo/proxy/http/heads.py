"""Heads of requests that were read before: a client sends the same one with each of its requests.

All that changes in the head of a client library's requests is the number behind `Content-Length`.
So a head that was read and found good is kept under its bytes without those digits, and a request
whose head is the same byte for byte, and whose body is there as a whole, is not parsed again.

Rules this module keeps:
- what is kept was read by llhttp and checked by `check_request`, on this worker;
- only a request that is exactly as long as its length says is found; everything else is parsed;
- what is kept is bounded, and forgotten when the door or the judge changes.

Units: sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tavo.proxy.http.door import Entry
from tavo.proxy.http.lines import SHOWN
from tavo.proxy.http.upstream import Pool
from tavo.proxy.messages import Exchange, Headers, Route

__all__ = ["Heads", "Key", "Known", "Way", "body_behind"]

_MOST = 256
_LONGEST = 4 << 10
_MOST_DIGITS = 9
_NAMES = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_NAME = len(_NAMES[0])


Key = tuple[bytes, bytes, bytes]
"""A head up to the digits of its length and behind them, and what stands before its path."""


class Way(msgspec.Struct, frozen=True):
    """Where requests with a head went: what is the same for each of them.

    `like` is an exchange that has judged the head, from which others are made; `start` is what goes
    to the upstream, up to the digits of the length; `secret` is what no answer may show. `places`
    and `parts` are what those who count and log keep of it, by model; both are bounded.
    """

    like: Exchange
    entry: Entry
    route: Route
    pool: Pool
    start: bytes
    secret: bytes
    places: dict[str, Any] = {}
    parts: dict[str, Any] = {}


class Known(msgspec.Struct, gc=False):
    """A head that was read.

    `entry` is what the door said of it; `lines` are the headers `sent` as they go to an upstream,
    whose connections are in `pool`. `start` and `rest` are those of its key, `size` is what both
    have, `home` is who keeps it, `way` where a request with it went.
    """

    method: bytes
    path: bytes
    query: bytes
    headers: Headers
    fields: Mapping[bytes, bytes]
    minor: int
    keep: bool
    entry: Entry | None = None
    pool: Pool | None = None
    lines: bytes = b""
    sent: Headers | None = None
    start: bytes = b""
    rest: bytes = b""
    size: int = 0
    home: Heads | None = None
    way: Way | None = None


class Heads:
    """The heads that one worker keeps, for one door and one judge."""

    def __init__(self) -> None:
        self._kept: dict[Key, Known] = {}

    def find(self, data: bytes, before: bytes = b"") -> tuple[Key | None, Known | None, int]:
        """Return the key of a whole request, what is known of its head, and where its body is.

        There is no key for what has to be parsed anyway. `before` is what the connection puts
        before each path: the same bytes mean something else behind another one.
        """
        end = data.find(b"\r\n\r\n", 0, _LONGEST)
        if end < 0:
            return None, None, 0
        at = data.find(_NAMES[0], 0, end)
        if at < 0:
            at = data.find(_NAMES[1], 0, end)
            if at < 0:
                return None, None, 0
        at += _NAME
        stop = data.find(b"\r\n", at)
        digits = data[at:stop]
        if not digits.isdigit() or stop - at > _MOST_DIGITS or int(digits) != len(data) - end - 4:
            return None, None, 0
        key = data[:at], data[stop : end + 4], before
        return key, self._kept.get(key), end + 4

    def keep(self, key: Key, known: Known) -> None:
        """Keep a head that was read."""
        if len(self._kept) >= _MOST:
            self._kept.clear()
        known.start, known.rest, known.home = key[0], key[1], self
        known.size = len(key[0]) + len(key[1])
        self._kept[key] = known


def body_behind(known: Known, data: bytes) -> int:
    """Return where the body is of a whole request with the very same head, 0 for anything else."""
    more = len(data) - known.size  # digits and body
    if more < 1:
        return 0
    digits = len(SHOWN[more])
    size = SHOWN[more - digits]
    if len(size) != digits:  # the body is shorter by a digit than both together
        size = SHOWN[more - digits + 1]
        if len(size) != digits - 1:
            return 0
    head = known.start + size + known.rest
    behind = len(head)
    return behind if data[:behind] == head else 0
