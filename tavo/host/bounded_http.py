"""HTTP with strangers: one exchange has one end, in bytes and in time, whatever they do.

Rules this module keeps:
- the time is that of the whole exchange: who sends a byte now and then, in the head or in the body,
  is as late as who sends nothing;
- the bytes that come and the bytes that they unpack to are bounded alike. One gzip or deflate is
  undone here, no further than the bound; anything else, and several on top of each other, are
  refused: each multiplies by a thousand what the one below gave;
- no redirects, no cookies, and nothing from the environment;
- a connection is one thread's at a time (`signing.lent`).

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from signing.lent import Lent

__all__ = ["Answer", "BoundedClient", "UnusableAnswerError"]

_PIECE = 16 << 10
_GZIP, _DEFLATE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _DEFLATE}


class UnusableAnswerError(Exception):
    """The answer is too large, or packed in a way that is not undone. The message is a clause."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BoundedClient:
    """Makes requests; may be used from several threads. Close it when done."""

    def __init__(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        verify: Any = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`headers` go with each request. `transport` stands in for the network."""
        self._headers = headers
        self._verify = verify
        self._transport = transport
        self._clients = Lent(self._new_client)

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def exchange(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        timeout_s: float,
        most: int,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        json: Any = None,
    ) -> Answer:
        """Make one request; its answer has at most `most` bytes and comes within `timeout_s`.

        Raises UnusableAnswerError, httpx.HTTPError (TimeoutException for what is late),
        httpx.InvalidURL, and ValueError or RecursionError for what cannot be sent.
        """
        with self._clients.one() as client:
            client.clock.ends = time.monotonic() + timeout_s
            with client.stream(
                method, url, headers={"Accept-Encoding": "identity", **(headers or {})},
                content=content, json=json, timeout=timeout_s, extensions=dict(extensions or {}),
            ) as response:  # fmt: skip
                packing = response.headers.get("content-encoding", "identity").strip().lower()
                pieces = _bounded(response.iter_raw(), most)
                if packing not in {"", "identity"}:
                    pieces = _bounded(_unpacked(pieces, packing, most), most)
                body = b"".join(pieces)
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, names, body)

    def _new_client(self) -> _Client:
        if self._transport is None and not isinstance(self._verify, ssl.SSLContext):
            self._verify = httpx.create_ssl_context(verify=self._verify, trust_env=False)
        return _Client(self._headers, self._verify, self._transport)


class _Client(httpx.Client):
    """A client with at most one connection in use; its streams look at `clock`."""

    def __init__(
        self, headers: Mapping[str, str] | None, verify: Any, transport: httpx.BaseTransport | None
    ) -> None:
        self.clock = _Clock()
        if transport is None:
            over_tcp = httpx.HTTPTransport(verify=verify, trust_env=False)
            # httpx has no parameter for it; a test fails if this has no effect any more
            over_tcp._pool._network_backend = _Network(self.clock)
            transport = over_tcp
        super().__init__(
            headers=headers, transport=transport, trust_env=False, follow_redirects=False
        )
        self.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))


def _bounded(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise UnusableAnswerError(f"the answer is larger than {most >> 20} MB")
        yield piece


def _unpacked(pieces: Iterable[bytes], packing: str, most: int) -> Iterator[bytes]:
    window = _WINDOWS.get(packing)
    if window is None:
        raise UnusableAnswerError(f"the answer is packed as {packing[:40]!r}")
    inflater = zlib.decompressobj(window)
    empty = True  # as the answer to HEAD is, whatever its head says
    try:
        for piece in pieces:
            empty = False
            # the bound is kept by who takes this: one byte more than it allows ends it
            yield inflater.decompress(piece, most + 1)
    except zlib.error as error:
        raise UnusableAnswerError(f"the answer is damaged: {error}") from None
    if not (empty or inflater.eof):
        raise UnusableAnswerError("the answer is cut off")


class _Clock:
    """When the exchange must have ended, in time of the monotonic clock."""

    ends = float("inf")

    def left(self, late: type[Exception]) -> float:
        left = self.ends - time.monotonic()
        if left <= 0:
            raise late("the time for the whole exchange is over")
        return left


class _Network(httpcore.NetworkBackend):
    """Connects as usual, to streams that know when the exchange ends."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._clock.left(httpcore.ConnectTimeout)
        stream = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._clock)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, clock: _Clock) -> None:
        self._inner = inner
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._clock.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            left = self._clock.left(httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + _PIECE], left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._clock.left(httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
