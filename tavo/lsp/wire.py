"""JSON-RPC messages on a byte stream, as the Language Server Protocol frames them.

Rules this module keeps:
- what is read is bounded before it is read: the header, and the length that it names;
- a message that is no JSON, or too deep, is answered as such and the stream goes on; a frame that
  is wrong ends it, because nobody knows where the next one begins;
- half a pair of surrogates, which editors can hold and UTF-8 cannot, counts as one character.

Source: LSP 3.17, "Base Protocol"; JSON-RPC 2.0.

Units: sizes in bytes.
"""

from __future__ import annotations

import json
import re
from typing import IO, Any

import msgspec

from tavo.errors import InputError

__all__ = [
    "LARGEST_MESSAGE", "ErrorCode", "Message", "MessageError", "decode_message", "framed",
    "read_frame",
]  # fmt: skip

LARGEST_MESSAGE = 64 << 20
"""The longest message that is read: a document of 16 MB, written in the worst way."""

_LONGEST_LINE = 4_096
_MOST_HEADERS = 16
_LENGTH = re.compile(rb"[0-9]{1,12}\Z")


class ErrorCode:
    """The numbers of errors that are answered."""

    PARSE = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL = -32603
    NOT_INITIALIZED = -32002
    REQUEST_CANCELLED = -32800
    REQUEST_FAILED = -32803


class MessageError(Exception):
    """A message that cannot be understood, with the number of the error for its sender."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Message(msgspec.Struct):
    """A request, a notification (no `id`) or an answer (no `method`); its parts as raw JSON."""

    jsonrpc: str = ""
    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_DECODER = msgspec.json.Decoder(Message)


def read_frame(stream: IO[bytes], *, largest: int = LARGEST_MESSAGE) -> bytes | None:
    """Return the next message's bytes, None at the end. Raises InputError for a broken frame."""
    length: int | None = None
    for number in range(_MOST_HEADERS + 1):
        line = stream.readline(_LONGEST_LINE)
        if not line:
            if number == 0:
                return None
            raise _broken("it ended in the middle of a header")
        if line in (b"\r\n", b"\n"):
            break
        name, colon, value = line.partition(b":")
        if not line.endswith(b"\n") or not colon:
            raise _broken("a line of the header is not 'Name: value'")
        if name.strip().lower() == b"content-length":
            text = value.strip()
            if length is not None or not _LENGTH.match(text):
                raise _broken("Content-Length is not one number")
            length = int(text)
    else:
        raise _broken(f"a header has more than {_MOST_HEADERS} lines")
    if length is None:
        raise _broken("a header has no Content-Length")
    if length > largest:
        raise _broken(f"a message has {length} bytes, at most {largest} are read")
    body = stream.read(length)
    if len(body) < length:
        raise _broken("it ended in the middle of a message")
    return body


def decode_message(body: bytes) -> Message:
    """Read one message. Raises MessageError."""
    try:
        try:
            message = _DECODER.decode(body)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = _DECODER.decode(_without_halves(body))
    except msgspec.ValidationError as error:
        raise MessageError(ErrorCode.INVALID_REQUEST, f"not a message: {error}") from None
    except RecursionError:
        raise MessageError(ErrorCode.PARSE, "not JSON that is read here: nested too deep") from None
    except ValueError as error:
        raise MessageError(ErrorCode.PARSE, f"not JSON: {error}") from None
    if message.jsonrpc != "2.0":
        raise MessageError(ErrorCode.INVALID_REQUEST, "not a message: jsonrpc is not '2.0'")
    if message.method is None and message.id is None:
        raise MessageError(ErrorCode.INVALID_REQUEST, "not a message: no method and no id")
    return message


def framed(value: Any) -> bytes:
    """Return a message as bytes with its header."""
    body = msgspec.json.encode(value)
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _without_halves(body: bytes) -> bytes:
    """Return JSON with a question mark for each half of a pair of surrogates. Raises ValueError."""
    return json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")


def _broken(reason: str) -> InputError:
    return InputError(
        f"standard input: not the Language Server Protocol: {reason}",
        hint="An editor starts `tavo lsp` and speaks to it; see docs/editors.md.",
    )
