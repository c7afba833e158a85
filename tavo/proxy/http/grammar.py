"""What HTTP allows and we refuse, and what stays behind at a proxy: decisions over values, no I/O.

llhttp (in httptools, no leniency set) reads the bytes: it refuses bare line feeds, folded lines,
blanks before a colon, `Content-Length` twice or beside `Transfer-Encoding`, sizes that are no
number. This module refuses what llhttp lets pass and two parsers could read differently.

Rules this module keeps:
- one `Host`, and one only; HTTP/1.0 and 1.1; `Transfer-Encoding` is `chunked` alone, in 1.1 alone;
- a target is a path that has one reading: no empty, dot or backslash segments, also not encoded;
- hop-by-hop headers end here in both directions, with those that `Connection` names.

Source: RFC 9110 (7.6.1, 7.2), RFC 9112 (3.2, 6, 7.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tavo.proxy.messages import Headers

__all__ = ["HOP", "Framing", "MalformedError", "canonical", "check_request", "check_response",
           "onward"]  # fmt: skip

HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings",
    b"content-length",
})  # fmt: skip
"""Headers that belong to one connection; `content-length` is set anew."""

_ENCODED = (b"%2f", b"%2e", b"%5c", b"%00", b"%25")


class MalformedError(Exception):
    """Bytes that are not HTTP as we take it. The message is a clause."""


class Framing(NamedTuple):
    """How a body is framed: its length, None for one in chunks; and whether 100 is waited for."""

    length: int | None
    expects: bool


def check_request(
    method: bytes, target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> Framing:
    """Return the framing of a request's body. Raises MalformedError."""
    if version != "1.1" and version != "1.0":
        raise MalformedError(f"the version is HTTP/{version}, expected 1.1 or 1.0")
    hosts = 0
    length: int | None = 0
    expects = False
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            length = int(value)  # llhttp has let digits pass only
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise MalformedError("the Transfer-Encoding is not chunked alone")
            if version == "1.0":
                raise MalformedError("HTTP/1.0 has no Transfer-Encoding")
            length = None
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise MalformedError("Expect names something else than 100-continue")
            expects = version == "1.1"
    if hosts != 1 and (hosts or version == "1.1"):
        raise MalformedError(f"there are {hosts} Host headers, expected one")
    if method == b"CONNECT":
        raise MalformedError("CONNECT is for forward proxies, and this is none")
    if not target.startswith(b"/") or b"#" in target:
        raise MalformedError("the target is not a path")
    return Framing(length, expects)


def check_response(
    status: int, version: str, headers: Iterable[tuple[bytes, bytes]], *, empty: bool
) -> int | None:
    """Return the length of an answer's body: -1 in chunks, None until the connection is closed.

    `empty`: it has no body whatever the head says, as the answer to HEAD. Raises MalformedError.
    """
    if status < 200 or status > 599:
        raise MalformedError(f"the status is {status}")
    if version != "1.1" and version != "1.0":
        raise MalformedError(f"the version is HTTP/{version}")
    length: int | None = None
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise MalformedError("the Transfer-Encoding is not chunked alone")
            if version == "1.0":
                raise MalformedError("HTTP/1.0 has no Transfer-Encoding")
            length = -1
    return 0 if empty else length


def canonical(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a target whose path has one reading. Raises MalformedError."""
    path, _, query = target.partition(b"?")
    if b"//" in path or b"\\" in path or (b"/." in path and _dotted(path)):
        raise MalformedError("the path has an empty or dot segment or a backslash")
    if b"%" in path:
        low = path.lower()
        if any(code in low for code in _ENCODED):
            raise MalformedError("the path has an encoded slash, dot, backslash or per cent")
    return path, query


def _dotted(path: bytes) -> bool:
    return any(segment in (b".", b"..") for segment in path.split(b"/"))


def onward(headers: Headers, without: frozenset[bytes] = HOP) -> Headers:
    """Return the headers that go on: neither hop-by-hop ones nor those that `Connection` names."""
    named: set[bytes] | None = None
    for name, value in headers:
        if name == b"connection":
            low = value.lower()
            if low != b"keep-alive" and low != b"close":
                named = (named or set()) | {word.strip(b" \t") for word in low.split(b",")}
    if named is None:
        return [pair for pair in headers if pair[0] not in without]
    return [pair for pair in headers if pair[0] not in without and pair[0] not in named]
