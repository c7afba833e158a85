"""Heads of requests that were read before: a client sends the same one with each of its requests.

All that changes in the head of a client library's requests is the number behind `Content-Length`.
So a head that was read and found good is kept under its bytes without those digits, and a request
whose head is the same byte for byte, and whose body is there as a whole, is not parsed again.

Rules this module keeps:
- what is kept was read by llhttp and checked by `check_request`, on this worker;
- only a request that is exactly as long as its length says is found; everything else is parsed;
- what is kept is bounded, and forgotten when the door changes.

Units: sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tavo.proxy.http.door import Entry
from tavo.proxy.http.upstream import Pool
from tavo.proxy.messages import Headers

__all__ = ["Heads", "Known"]

_MOST = 256
_LONGEST = 4 << 10
_NAMES = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_NAME = len(_NAMES[0])


class Known(msgspec.Struct, gc=False):
    """A head that was read.

    `entry` is what the door said of it; `lines` are the headers `sent` as they go to an upstream,
    whose connections are in `pool`.
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


class Heads:
    """The heads that one worker keeps."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Known] = {}

    def find(self, data: bytes, before: bytes = b"") -> tuple[bytes, Known | None, int]:
        """Return the key of a whole request, what is known of its head, and where its body is.

        The key is empty for what has to be parsed anyway. `before` is what the connection puts
        before each path: the same bytes mean something else behind another one.
        """
        end = data.find(b"\r\n\r\n", 0, _LONGEST)
        if end < 0:
            return b"", None, 0
        at = data.find(_NAMES[0], 0, end)
        if at < 0:
            at = data.find(_NAMES[1], 0, end)
            if at < 0:
                return b"", None, 0
        at += _NAME
        stop = data.find(b"\r\n", at)
        digits = data[at:stop]
        if not digits.isdigit() or stop - at > 9 or int(digits) != len(data) - end - 4:
            return b"", None, 0
        key = data[:at] + data[stop:end] + before
        return key, self._kept.get(key), end + 4

    def keep(self, key: bytes, known: Known) -> None:
        """Keep a head that was read."""
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = known

    def forget(self) -> None:
        """Forget all: the door has changed."""
        self._kept.clear()
