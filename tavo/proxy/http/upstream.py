"""Connections to one upstream: a pool of those that are idle, and what each reads.

Rules this module keeps:
- a connection goes back to the pool only after an answer that ended as its head said, with nothing
  after it; anything else closes it;
- a connection carries one exchange at a time; bytes that nobody asked for close it;
- certificates are verified against the name in the configuration; a redirect is an answer like any.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Protocol, cast

import httptools

from tavo.proxy.http.answers import Answers
from tavo.proxy.http.clock import NEVER, Clock
from tavo.proxy.http.grammar import MalformedError, check_response
from tavo.proxy.http.limits import Limits
from tavo.proxy.http.reads import send
from tavo.proxy.messages import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Address", "Pool", "Taker", "UpstreamConnection"]

_BUFFER = 64 << 10


class Taker(Protocol):
    """Who an answer is for; see `tavo.proxy.http.flow`."""

    headless: bool
    takes_whole: bool

    def up_whole(self, up: UpstreamConnection, lines: bytes, body: bytes) -> bool: ...
    def up_head(
        self, status: int, headers: Headers, fields: dict[bytes, bytes], length: int | None
    ) -> None: ...
    def up_body(self, data: bytes) -> None: ...
    def up_end(self) -> None: ...
    def up_flush(self) -> None: ...
    def up_lost(self, reason: str, *, clean: bool) -> None: ...
    def up_writable(self, writable: bool) -> None: ...
    def up_late(self) -> None: ...
    def defect(self, error: BaseException) -> None: ...


class Address:
    """Where an upstream is: host, port, TLS context or None, the value of `Host`, and a path.

    `path` stands before that of each request, such as `/openai` where a provider is below it.
    """

    __slots__ = ("authority", "host", "path", "port", "tls")

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, path: str = "") -> None:
        self.host, self.port, self.tls = host, port, tls
        self.path = path.rstrip("/").encode("ascii")
        shown = f"[{host}]" if ":" in host else host
        usual = 443 if tls is not None else 80
        self.authority = (shown if port == usual else f"{shown}:{port}").encode("ascii")

    def joined(self, target: bytes) -> bytes:
        """Return the target below our path; a version that both name, as `/v1`, stands once."""
        path = self.path
        if path:
            last = path[path.rindex(b"/") :]
            if target.startswith(last) and target[len(last) : len(last) + 1] in (b"/", b"?", b""):
                path = path[: -len(last)]
        return path + target


class UpstreamConnection(asyncio.Protocol):
    """One connection; `taker` is the exchange that has it, None while it is idle."""

    __slots__ = (
        "_headers",
        "_length",
        "_parser",
        "_raw",
        "_size",
        "behind",
        "deadline",
        "ended",
        "failed",
        "keep_until",
        "number",
        "pool",
        "reads",
        "taker",
        "transport",
        "used",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.reads = pool.clock.reads
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.taker: Taker | None = None
        self.deadline = NEVER
        self.keep_until = NEVER
        self.used = 0
        self.ended = False
        self._headers: Headers = []
        self._size = 0
        self._length: int | None = 0
        self.failed: OSError | None = None
        self.number = -1
        self.behind = False
        self._raw = b""  # an answer that its lines can be learned from
        self._parser = httptools.HttpResponseParser(self)

    # -- for who has it

    def send(self, data: bytes, taker: Taker) -> None:
        """Send a request, or its head; the answer goes to `taker`."""
        self.taker = taker
        self.used += 1
        self.ended = False
        self._size = 0
        send(self, data)

    def pause(self, still: bool) -> None:
        """Read no more, or read again."""
        self.reads.pause(self, still)

    def done_whole(self, now: float) -> None:
        """Give it back after an answer that needed no parser, and said nothing of its end."""
        self.taker = None
        self.ended = True
        self._size = -1
        pool = self.pool
        self.deadline = self.keep_until = now + pool.limits.upstream_keep_s
        if pool.retired or (self.number < 0 and self.transport.is_closing()):
            self.drop()
        else:
            pool.idle_ones.append(self)

    def release(self) -> None:
        """Give it back after a complete answer: to the pool if it may be used again."""
        self.taker = None
        self.deadline = NEVER
        if self.keep_until <= 0 or self.transport.is_closing():
            self.drop()
        else:
            self.pool.put(self)

    def drop(self) -> None:
        """Close it at once, whatever is under way."""
        self.taker = None
        self.deadline = NEVER
        if self.transport is not None:
            self.reads.cut(self)

    def late(self) -> None:
        if self.taker is not None:
            self.taker.up_late()
        else:
            self.pool.discard(self)
            self.drop()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_BUFFER)
        self.pool.clock.watch(self)
        self.pool.open += 1
        self.reads.take(self)

    def data_received(self, data: bytes) -> None:
        taker = self.taker
        if taker is None or self.ended:
            self.pool.discard(self)
            self.drop()
            return
        if self._size >= 0:  # in the head
            if not self._size and taker.takes_whole:
                answer = self.pool.answers.read(data)
                if answer is not None:
                    try:
                        if taker.up_whole(self, *answer):
                            return
                    except Exception as error:  # noqa: BLE001 (a defect ends this exchange only)
                        self.drop()
                        taker.defect(error)
                        return
                self._raw = data
            self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._malformed(error, taker)
            taker.up_flush()  # an answer that was complete before this is one
            return
        if self._size > self.pool.limits.head_bytes and not self.ended:
            self._fail("the head of its answer is too large")
            return
        try:
            taker.up_flush()
        except Exception as error:  # noqa: BLE001 (a defect ends this exchange and no other)
            taker.defect(error)

    def eof_received(self) -> None:
        return None  # the transport closes itself, and connection_lost decides

    def connection_lost(self, error: Exception | None) -> None:
        error = error or self.failed
        self.pool.clock.forget(self)
        self.reads.forget(self)
        self.pool.closed(self)
        self.deadline = NEVER
        taker, self.taker = self.taker, None
        if taker is None or self.ended:
            return
        if self._size < 0 and self._length is None and error is None:
            self.keep_until = 0
            self.ended = True
            try:
                taker.up_end()
                taker.up_flush()
            except Exception as failure:  # noqa: BLE001 (as above)
                taker.defect(failure)
            return
        begun = self._size != 0
        taker.up_lost(
            f"it closed the connection {'in its answer' if begun else 'without an answer'}",
            clean=not begun,
        )

    def pause_writing(self) -> None:
        if self.taker is not None:
            self.taker.up_writable(False)

    def resume_writing(self) -> None:
        if self.taker is not None:
            self.taker.up_writable(True)

    # -- httptools; a callback that raises is wrapped by HttpParserCallbackError

    def on_message_begin(self) -> None:
        if self.taker is None or self.ended:
            raise MalformedError("it sent an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._size >= 0:  # those behind a body are for nobody
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        taker, parser = self.taker, self._parser
        headers, self._headers = self._headers, []
        if taker is None or self.ended:
            raise MalformedError("it sent an answer that nobody asked for")
        status = parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return  # interim: the real one follows
        if len(headers) > self.pool.limits.headers:
            raise MalformedError("its answer has too many headers")
        fields = dict(headers)
        empty = taker.headless or status == 204 or status == 304
        version = parser.get_http_version()
        self._length = check_response(status, version, headers, fields, empty=empty)
        self._size = -1
        self.keep_until = 0.0
        if parser.should_keep_alive():
            kept = self.pool.limits.upstream_keep_s
            if b"keep-alive" in fields:
                kept = min(kept, _told(fields[b"keep-alive"]))
            self.keep_until = self.pool.clock.now() + kept if kept > 0 else 0.0
        raw, self._raw = self._raw, b""
        if raw and status == 200 and self._length is not None and 0 <= self._length < len(raw):
            self.pool.answers.learn(raw, headers)
        taker.up_head(status, headers, fields, self._length)
        if taker.headless and self.taker is taker:
            # the parser expects the body that the head speaks of
            self._parser = httptools.HttpResponseParser(self)
            self._done(taker)

    def on_body(self, data: bytes) -> None:
        taker = self.taker
        if taker is not None and not self.ended:
            taker.up_body(data)
        elif self.ended:
            self.keep_until = 0

    def on_message_complete(self) -> None:
        taker = self.taker
        self._headers = []  # trailers, which nobody is told
        if taker is None or self.ended or self._size >= 0:
            return  # an interim answer, or one that was given up
        self._done(taker)

    # -- inside

    def _done(self, taker: Taker) -> None:
        self.ended = True
        self.deadline = NEVER
        taker.up_end()

    def _malformed(self, error: httptools.HttpParserError, taker: Taker) -> None:
        cause = error.__context__ if error.__context__ is not None else error
        if not isinstance(cause, MalformedError | httptools.HttpParserError):
            self.drop()
            taker.defect(cause)  # it may have given this connection back already
            return
        if isinstance(error, httptools.HttpParserUpgrade):
            self._fail("it changed the protocol")
            return
        self._fail(f"its answer is malformed: {cause}")

    def _fail(self, reason: str) -> None:
        taker = self.taker
        self.drop()
        if taker is not None:
            taker.up_lost(reason, clean=False)


class Pool:
    """The connections to one upstream, of one worker."""

    def __init__(self, name: str, address: Address, limits: Limits, clock: Clock) -> None:
        self.name, self.address, self.limits, self.clock = name, address, limits, clock
        self.answers = Answers(limits.headers)
        self.open = 0
        self.connects = 0
        self.connecting = 0
        self.idle_ones: list[UpstreamConnection] = []
        self.retired = False

    @property
    def idle(self) -> int:
        """How many connections wait for work."""
        return len(self.idle_ones)

    def take(self, now: float) -> UpstreamConnection | None:
        """Return an idle connection, the one used last, or None."""
        idle = self.idle_ones
        while idle:
            one = idle.pop()
            is_open = one.number >= 0 or not one.transport.is_closing()
            if is_open and one.keep_until > now:
                one.deadline = NEVER
                return one
            one.drop()
        return None

    def full(self) -> bool:
        """Tell whether no further connection may be made."""
        return self.open + self.connecting >= self.limits.upstream_connections

    async def connect(self) -> UpstreamConnection:
        """Make a connection. Raises OSError, ssl.SSLError, TimeoutError."""
        address = self.address
        options: dict[str, Any] = {}
        if address.tls is not None:
            options = {
                "ssl": address.tls, "server_hostname": address.host,
                "ssl_handshake_timeout": self.limits.upstream_connect_s,
            }  # fmt: skip
        if not _is_address(address.host):
            options["happy_eyeballs_delay"] = 0.25
        self.connecting += 1
        try:
            factory: Callable[[], UpstreamConnection] = lambda: UpstreamConnection(self)  # noqa: E731
            async with asyncio.timeout(self.limits.upstream_connect_s):
                _, one = await self.clock.loop.create_connection(
                    factory, address.host, address.port, **options
                )
        finally:
            self.connecting -= 1
        self.connects += 1
        return one

    def put(self, one: UpstreamConnection) -> None:
        """Keep a connection for the next exchange."""
        if self.retired:
            one.drop()
            return
        one.deadline = one.keep_until
        self.idle_ones.append(one)

    def discard(self, one: UpstreamConnection) -> None:
        """Take a connection out of those that are idle."""
        if one in self.idle_ones:
            self.idle_ones.remove(one)

    def closed(self, one: UpstreamConnection) -> None:
        """Note that a connection is gone."""
        self.open -= 1
        self.discard(one)

    def retire(self) -> None:
        """Close what is idle, and what comes back."""
        self.retired = True
        for one in self.idle_ones:
            one.drop()
        self.idle_ones.clear()


def _told(value: bytes) -> float:
    """Return for how long a server says that it keeps a connection, less a second."""
    for word in value.split(b","):
        key, _, number = word.strip().partition(b"=")
        if key.lower() == b"timeout" and number.isdigit():
            return int(number[:6]) - 1.0
    return NEVER


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
