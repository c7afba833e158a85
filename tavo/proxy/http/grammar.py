"""What HTTP allows and we refuse, and what stays behind at a proxy: decisions over values, no I/O.

llhttp (in httptools, no leniency set) reads the bytes: it refuses bare line feeds, folded lines,
blanks before a colon, `Content-Length` twice or beside `Transfer-Encoding`, sizes that are no
number. This module refuses what llhttp lets pass and two parsers could read differently.

Rules this module keeps:
- what may stand once stands once, such as `Host` and credentials; HTTP/1.0 and 1.1;
  `Transfer-Encoding` is `chunked` alone, in 1.1 alone;
- a target is a path that has one reading: no empty, dot or backslash segments, also not encoded;
- hop-by-hop headers end here in both directions, with those that `Connection` names.

Source: RFC 9110 (7.6.1, 7.2), RFC 9112 (3.2, 6, 7.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from tavo.proxy.messages import Headers

__all__ = ["HOP", "PLAIN", "Framing", "MalformedError", "canonical", "check_request",
           "check_response", "lines_of"]  # fmt: skip

HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings",
    b"content-length",
})  # fmt: skip
"""Headers that belong to one connection; `content-length` is set anew."""

_ONCE = frozenset({
    b"host", b"content-length", b"content-type", b"content-encoding", b"transfer-encoding",
    b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"origin", b"expect",
    b"sec-fetch-site",
})  # fmt: skip
_USUAL = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})
_LONGEST_KEPT = 512
_MOST_STARTS = 1024
_STARTS: dict[bytes, bytes] = {}
_ENCODED = (b"%2f", b"%2e", b"%5c", b"%00", b"%25")


class MalformedError(Exception):
    """Bytes that are not HTTP as we take it. The message is a clause."""


class Framing(NamedTuple):
    """How a body is framed: its length, None for one in chunks; and whether 100 is waited for."""

    length: int | None
    expects: bool


PLAIN = Framing(0, False)


def check_request(
    method: bytes, target: bytes, version: str, headers: Headers, fields: Mapping[bytes, bytes]
) -> Framing:
    """Return the framing of a body; `fields` is `dict(headers)`. Raises MalformedError."""
    if version != "1.1" and version != "1.0":
        raise MalformedError(f"the version is HTTP/{version}, expected 1.1 or 1.0")
    if len(fields) != len(headers):
        _refuse_twice(headers)
    length: int | None = 0
    expects = False
    if b"content-length" in fields:
        length = int(fields[b"content-length"])  # llhttp has let digits pass only
    if b"transfer-encoding" in fields:
        if fields[b"transfer-encoding"].lower() != b"chunked":
            raise MalformedError("the Transfer-Encoding is not chunked alone")
        if version == "1.0":
            raise MalformedError("HTTP/1.0 has no Transfer-Encoding")
        length = None
    if b"expect" in fields:
        if fields[b"expect"].lower() != b"100-continue":
            raise MalformedError("Expect names something else than 100-continue")
        expects = version == "1.1"
    if b"host" not in fields and version == "1.1":
        raise MalformedError("there is no Host")
    if method == b"CONNECT":
        raise MalformedError("CONNECT is for forward proxies, and this is none")
    if target[:1] != b"/" or b"#" in target:
        raise MalformedError("the target is not a path")
    return Framing(length, expects)


def check_response(
    status: int, version: str, headers: Headers, fields: Mapping[bytes, bytes], *, empty: bool
) -> int | None:
    """Return the length of an answer's body: -1 in chunks, None until the connection is closed.

    `empty`: it has no body whatever the head says, as the answer to HEAD. Raises MalformedError.
    """
    if status < 200 or status > 599:
        raise MalformedError(f"the status is {status}")
    if version != "1.1" and version != "1.0":
        raise MalformedError(f"the version is HTTP/{version}")
    length: int | None = None
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
    if b"transfer-encoding" in fields:
        if fields[b"transfer-encoding"].lower() != b"chunked":
            raise MalformedError("the Transfer-Encoding is not chunked alone")
        if version == "1.0":
            raise MalformedError("HTTP/1.0 has no Transfer-Encoding")
        length = -1
    return 0 if empty else length


def canonical(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a target whose path has one reading. Raises MalformedError."""
    return _canonical(target) if len(target) <= _LONGEST_KEPT else _canonical.__wrapped__(target)


@lru_cache(maxsize=1024)
def _canonical(target: bytes) -> tuple[bytes, bytes]:
    path, _, query = target.partition(b"?")
    if b"//" in path or b"\\" in path or (b"/." in path and _dotted(path)):
        raise MalformedError("the path has an empty or dot segment or a backslash")
    if b"%" in path:
        low = path.lower()
        if any(code in low for code in _ENCODED):
            raise MalformedError("the path has an encoded slash, dot, backslash or per cent")
    return path, query


def lines_of(
    headers: Headers, fields: Mapping[bytes, bytes], without: frozenset[bytes] = HOP
) -> bytes:
    """Return the headers that go on, each behind its line break.

    Left out are those of `without`, and those that `Connection` names.
    """
    named = fields.get(b"connection", b"keep-alive")
    if named not in _USUAL or len(fields) != len(headers):
        words = [v for n, v in headers if n == b"connection"]
        without = without.union(
            word.strip(b" \t").lower() for value in words for word in value.split(b",")
        )
    out = []
    for name, value in headers:
        if name not in without:
            start = _STARTS.get(name)
            if start is None:
                start = b"\r\n%b: " % name
                if len(_STARTS) < _MOST_STARTS:
                    _STARTS[name] = start
            out.append(start + value)
    return b"".join(out)


def _refuse_twice(headers: Headers) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _ONCE:
            raise MalformedError(f"{name.decode('ascii')} stands there twice")
        seen.add(name)


def _dotted(path: bytes) -> bool:
    return any(segment in (b".", b"..") for segment in path.split(b"/"))
