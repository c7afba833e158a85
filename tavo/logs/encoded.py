"""Logs that are not UTF-8: what a shell of Windows redirects into a file, read as if they were.

Rules this module keeps:
- UTF-16 is known by its mark, or by the zeros in its first letters; what is broken in it becomes
  U+FFFD;
- the mark of UTF-8 is no part of a line.

Units: sizes in bytes.
"""

from __future__ import annotations

import codecs
import io
from typing import Any

__all__ = ["MARK", "Decoded", "decoded", "encoding_of"]

MARK = codecs.BOM_UTF8
"""What some programs of Windows write at the beginning of a file in UTF-8."""

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_LOOKS = 64
_STEP = 256 << 10


def encoding_of(front: bytes) -> str:
    """Return which UTF-16 a file is by its first bytes, empty for one that is none."""
    if front[:2] in _MARKS:
        return _MARKS[front[:2]]
    some = front[:_LOOKS]
    if len(some) < 8 or len(some) % 2:
        some = some[: len(some) // 2 * 2]
    for name, zeros, letters in (("utf-16-le", some[1::2], some[::2]),
                                 ("utf-16-be", some[::2], some[1::2])):  # fmt: skip
        if len(some) >= 8 and not any(zeros) and all(letters):
            return name
    return ""


def decoded(data: bytes, encoding: str) -> bytes:
    """Return the beginning of a file in UTF-8."""
    text = data[: len(data) // 2 * 2].decode(encoding, "replace")
    return text.removeprefix("\ufeff").encode("utf-8", "replace")


class Decoded(io.RawIOBase):
    """A stream of UTF-16 as one of UTF-8."""

    def __init__(self, inner: Any, encoding: str) -> None:
        self._inner = inner
        self._some = getattr(inner, "read1", inner.read)
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._left = b""
        self._begun = self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._ended:
            data = self._some(_STEP)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            if not self._begun and text:
                self._begun = True
                text = text.removeprefix("\ufeff")
            self._left = text.encode("utf-8", "replace")
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()
