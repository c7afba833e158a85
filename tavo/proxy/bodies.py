"""Bodies as bytes: how they are coded, and whether they have one reading.

Rules this module keeps:
- one place takes codings off; what it cannot take off cannot be judged, and says so;
- what comes out is bounded by what went in: `_MOST_RATIO` times as much, and a megabyte;
- a document that two readers could read in two ways is an error.

Sources: RFC 9110 section 8.4 (content codings), RFC 1950 to 1952, RFC 8259.
Units: sizes in bytes.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from tavo.llm.parts import strict_json

__all__ = ["BodyError", "Decoder", "check_charset", "decoded", "is_plain_text", "read_document"]

_FREE = 1 << 20
_MOST_RATIO = 200
_NONE = frozenset({b"", b"identity"})
_CHARSETS = frozenset({
    b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin1", b"windows-1252",
})  # fmt: skip
"""In these what is ASCII is what it is in UTF-8; in others, such as UTF-7, it is something else."""


class BodyError(ValueError):
    """A body cannot be read. The message is a clause."""


class Decoder:
    """Takes the coding off a body that comes in pieces. Raises BodyError.

    `coding` is the value of `content-encoding`: gzip or deflate; there is no decoder for others.
    """

    __slots__ = ("_coding", "_given", "_inner", "_taken")

    def __init__(self, coding: bytes) -> None:
        name = coding.strip().lower()
        if name not in {b"gzip", b"x-gzip", b"deflate"}:
            shown = name.decode("latin-1")[:40]
            raise BodyError(f"it is coded as {shown!r}, which is none of gzip and deflate")
        self._coding = name
        self._inner: Any = None
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> bytes:
        """Take a piece; return what it says."""
        self._taken += len(data)
        out: list[bytes] = []
        try:
            while data:
                if self._inner is None or self._inner.eof:
                    self._begin(data)
                room = _FREE + _MOST_RATIO * self._taken - self._given
                piece = self._inner.decompress(data, room + 1)
                self._given += len(piece)
                out.append(piece)
                if len(piece) > room:
                    raise BodyError(
                        f"it is more than {_MOST_RATIO} times as large as its coded form"
                    )
                data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail
        except zlib.error:
            raise BodyError(f"it is no {self._coding.decode()}") from None
        return b"".join(out)

    def _begin(self, data: bytes) -> None:
        if self._inner is not None and self._coding == b"deflate":
            raise BodyError("there are bytes behind its end")
        if self._coding != b"deflate":
            self._inner = zlib.decompressobj(31)
            return
        # RFC 9110 means zlib's form; some servers send the bare one
        is_zlib = data[0] & 15 == 8 and (len(data) < 2 or (data[0] * 256 + data[1]) % 31 == 0)
        self._inner = zlib.decompressobj(15 if is_zlib else -15)

    def end(self) -> None:
        """Take the end. Raises BodyError where something is missing."""
        if self._inner is not None and not self._inner.eof:
            raise BodyError("its coded form is cut off")

    @classmethod
    def of(cls, coding: bytes) -> Decoder | None:
        """Return a decoder, None where there is nothing to take off. Raises BodyError."""
        return None if coding.strip().lower() in _NONE else cls(coding)


def check_charset(content_type: bytes) -> None:
    """Raise BodyError where a body claims an encoding in which some reader reads another text."""
    for part in content_type.lower().split(b";")[1:]:
        name, _, value = part.partition(b"=")
        if name.strip() == b"charset" and value.strip(b" \t\"'") not in _CHARSETS:
            shown = value.decode("latin-1").strip()[:40]
            raise BodyError(f"it claims to be in {shown}, and only UTF-8 can be judged")


def decoded(body: bytes, coding: bytes) -> bytes:
    """Return a whole body without its coding. Raises BodyError."""
    decoder = Decoder.of(coding)
    if decoder is None:
        return body
    out = decoder.feed(body)
    decoder.end()
    return out


def read_document(body: bytes) -> Any:
    """Return a document that every reader reads alike. Raises BodyError."""
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise BodyError("it begins with a byte order mark")
    try:
        return strict_json(body.decode())
    except UnicodeDecodeError:
        raise BodyError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BodyError(f"it is no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BodyError("it is nested too deep") from None
    except ValueError as error:
        raise BodyError(str(error)) from None


def is_plain_text(body: bytes) -> bool:
    """Tell whether a body is text that no reader takes for JSON or for events, in any encoding."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    if "\0" in text or text.lstrip("\ufeff \t\r\n").startswith(("{", "[", '"')):
        return False
    return not any(line.lstrip("\ufeff \t").startswith(("data:", "{", "[")) for line in
                   text.splitlines())  # fmt: skip
