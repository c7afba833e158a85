"""Heads as bytes: of requests for upstreams, and of answers for clients.

Units: sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from tavo.proxy.http.grammar import lines_of
from tavo.proxy.http.reasons import STATUS_LINES
from tavo.proxy.messages import Headers, Refusal

__all__ = [
    "FROM_UPSTREAM",
    "SHOWN",
    "answer_head",
    "refusal_head",
    "request_bytes",
    "request_start",
]

FROM_UPSTREAM = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"content-length", b"alt-svc", b"strict-transport-security",
    b"x-tavo-request-id", b"x-tavo-observe",
})  # fmt: skip
"""Headers of an answer that do not go on to a client."""

_MOST_SHOWN = 16 << 10


class _Shown(dict[int, bytes]):
    """Numbers as they stand in heads; the most usual ones are made once."""

    def __missing__(self, number: int) -> bytes:
        shown = b"%d" % number
        if len(self) < _MOST_SHOWN:
            self[number] = shown
        return shown


SHOWN = _Shown()
"""Lengths in decimal digits."""

_NO_LENGTH = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"})


def request_bytes(
    method: bytes, target: bytes, authority: bytes, lines: bytes, body: bytes, *,
    streamed: bool, length: int | None,
) -> bytes:  # fmt: skip
    """Return a request with its body; `streamed`: the body follows, of a `length` or in chunks."""
    start = _start(method, target, authority, lines)
    if streamed:
        end = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    elif body or method not in _NO_LENGTH:
        end = b"content-length: %d" % len(body)
    else:
        return start + b"\r\n"
    return b"%b%b\r\n\r\n%b" % (start, end, body)


def request_start(method: bytes, target: bytes, authority: bytes, lines: bytes) -> bytes:
    """Return what stands in front of the length of a request's body, as `request_bytes` does."""
    return _start(method, target, authority, lines) + b"content-length: "


def _start(method: bytes, target: bytes, authority: bytes, lines: bytes) -> bytes:
    return b"%b %b HTTP/1.1\r\nhost: %b%b\r\n" % (method, target, authority, lines)


def answer_head(
    status: int, headers: Headers, fields: Mapping[bytes, bytes], length: int | None,
    request_id: bytes, *, keep: bool, minor: int, headless: bool,
) -> bytes:  # fmt: skip
    """Return the head of an answer of the upstream; `length` is None for one in chunks.

    `fields` are the headers as they came; `minor` and `keep` are those of the client's connection.
    """
    if length is not None:
        framing = b"\r\ncontent-length: %d" % length if status not in (204, 304) else b""
    else:
        framing = b"\r\ntransfer-encoding: chunked" if minor and not headless else b""
    return b"%b%b%b\r\nx-tavo-request-id: %b%b\r\n\r\n" % (
        STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status,
        lines_of(headers, fields, FROM_UPSTREAM), framing, request_id, _connection(keep, minor),
    )  # fmt: skip


def refusal_head(refusal: Refusal, request_id: bytes, *, keep: bool, minor: int) -> bytes:
    """Return the head of an answer of our own."""
    status = refusal.status
    lines = b"".join([b"\r\n%b: %b" % pair for pair in refusal.headers])
    return b"%b%b\r\ncontent-length: %d\r\nx-tavo-request-id: %b%b\r\n\r\n" % (
        STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status,
        lines, len(refusal.body), request_id, _connection(keep, minor),
    )  # fmt: skip


def _connection(keep: bool, minor: int) -> bytes:
    if not keep:
        return b"\r\nconnection: close"
    return b"" if minor else b"\r\nconnection: keep-alive"
