"""The request of an exchange on its way to an upstream; the answer is `tavo.proxy.http.flow`'s.

Rules this module keeps:
- nothing goes to the upstream before the exchange, the door and the ledger have let it pass;
- a body counts against the bound for all that is held from its first piece until the upstream has
  answered, because until then it may have to be sent again;
- while work is pending nothing more is read, and the work has a deadline.

Units: sizes in bytes, times in seconds of the loop's clock.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from tavo.proxy.http.clock import NEVER
from tavo.proxy.http.door import Entry
from tavo.proxy.http.grammar import HOP, PLAIN, Framing, lines_of
from tavo.proxy.http.heads import Known, Way
from tavo.proxy.http.lines import request_bytes
from tavo.proxy.http.masking import Mask
from tavo.proxy.http.reads import send
from tavo.proxy.messages import (
    Exchange,
    Finished,
    Forward,
    Pending,
    Refusal,
    RequestHead,
    Route,
    plain_refusal,
)  # fmt: skip

if TYPE_CHECKING:
    from tavo.proxy.http.client import ClientConnection
    from tavo.proxy.http.upstream import Pool, Taker, UpstreamConnection
    from tavo.proxy.http.wire import Wire

__all__ = ["FULL", "Asking", "gathered"]

T = TypeVar("T")

FULL = "the proxy holds too much for others; try again later"
_TO_UPSTREAM = HOP | {b"host", b"expect", b"x-tavo-request-id"}
_DONE = Finished.DONE


class Asking(ABC):
    """The request of an exchange; `asked` is set once nothing more is expected of the client."""

    # what most exchanges never set stands here: an object with up to 30 attributes of its own is
    # made and used in half the time of one with more
    headless = False
    ended = 0.0
    asked = False
    is_forwarded = False  # the upstream was sent it, or its head
    status = 0  # what the client was told
    code = ""  # of a refusal
    how: Finished = _DONE
    taken = 0  # bytes of the request's body
    exchange: Exchange | None = None
    heard: Callable[[bytes], None] | None = None  # told of each piece that is sent
    way: Way | None = None  # that of an exchange before it, which it goes
    cost = 0.0  # in US dollars, once it has ended
    _known: Known | None = None
    _entry: Entry | None = None  # this and the next two are set if there is no way
    _route: Route | None = None
    _pool: Pool | None = None
    _forward: Forward | None = None
    _refusal: Refusal | None = None
    _limit = 0
    _held = 0
    _up: UpstreamConnection | None = None
    _mask: Mask | None = None
    _outbound = b""
    _task: asyncio.Task[None] | None = None
    _waiting = False
    _framing = PLAIN
    _pieces: Sequence[bytes] = ()
    _queued: Sequence[bytes | None] = ()
    _out: list[bytes] = cast("list[bytes]", ())  # a list once there is an answer

    def __init__(self, wire: Wire, client: ClientConnection) -> None:
        self.wire = wire
        self._client = client
        self.id = wire.next_id()
        self.started = wire.clock.now()
        self.judge = wire.current
        self._door = wire.door  # one for the whole exchange: its upstream goes with its credential

    @property
    def entry(self) -> Entry | None:
        """Who asked, once that is known."""
        return self.way.entry if self.way is not None else self._entry

    @property
    def route(self) -> Route | None:
        """Where the exchange sends the request, once that is decided."""
        return self.way.route if self.way is not None else self._route

    @property
    def pool(self) -> Pool | None:
        """The connections to the upstream, once it is chosen."""
        return self.way.pool if self.way is not None else self._pool

    @property
    def upstream(self) -> str:
        """The name of the upstream, empty until it is chosen."""
        pool = self.pool
        return pool.name if pool is not None else ""

    @property
    def method(self) -> bytes:
        """The method of the request, empty for one that could not be read."""
        return self._known.method if self._known is not None else b""

    @property
    def path(self) -> bytes:
        """The path as the client named it."""
        return self._known.path if self._known is not None else b""

    def header(self, name: bytes) -> str:
        """Return a header of the request, empty if it has none."""
        return self._known.fields.get(name, b"").decode("latin-1") if self._known else ""

    @property
    def body_sent(self) -> bytes:
        """The body for the upstream, empty for one that is passed as it comes."""
        return self._forward.body if self._forward is not None else b""

    @property
    def body_taken(self) -> bytes:
        """What came of the body of a request that does not go on."""
        return b"".join(self._pieces)

    # -- what the answer's side does

    @abstractmethod
    def _answer(self, refusal: Refusal, how: Finished = Finished.REFUSED) -> None:
        """Answer with a refusal."""

    @abstractmethod
    def _cut(self, how: Finished) -> None:
        """End an answer that has begun."""

    @abstractmethod
    def _judged(self, answer: Sequence[bytes] | Pending) -> None:
        """Take what the exchange has said about a part of the answer."""

    @abstractmethod
    def _go_on(self) -> None:
        """Take what came of the answer while work was pending."""

    @abstractmethod
    def _break_off(self, refusal: Refusal, how: Finished) -> None:
        """End an answer for a reason of the proxy's own."""

    @abstractmethod
    def defect(self, error: BaseException) -> None:
        """End because of a defect of ours."""

    # -- the request

    def begin(self, known: Known, framing: Framing) -> None:
        """Take the head of a request."""
        wire = self.wire
        self._known = known
        if known.method == b"HEAD":
            self.headless = True
        self._framing = framing
        self._limit = wire.limits.body_bytes
        entry = known.entry
        if entry is None:
            answer = self._door.enter(known.method, known.path, known.query, known.fields)
            if isinstance(answer, Refusal):
                self._refuse_after_body(answer)
                return
            entry = known.entry = answer
        self._entry = entry
        exchange = self.exchange = self.judge.judge.exchange()
        route = exchange.request_head(
            RequestHead(
                method=known.method, path=entry.path, query=entry.query, headers=known.headers,
                client=entry.client, secret=entry.secret, upstream=entry.upstream,
                now=time.time(),
            )
        )  # fmt: skip
        if isinstance(route, Refusal):
            self._refuse_after_body(route)
            return
        self._route = route
        pool = self._door.pool(entry, route.dialect, self._worded)
        if isinstance(pool, Refusal):
            self._refuse_after_body(pool)
            return
        self._pool = pool
        if (framing.length or 0) > self._limit and route.whole:
            self._refuse_size()
            return
        if not route.whole and not self._admitted(Forward(body=b"")):
            return
        if framing.expects:
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not route.whole:
            self._note()

    def body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.taken += len(data)
        if self._refusal is not None:
            if self.taken > self._limit:
                self.refuse_request(self._refusal)
            return
        route = self.route
        if route is None:
            return
        if not route.whole:
            self._stream(data)
            return
        if self.taken > self._limit:
            self._refuse_size()
        elif not self._hold(len(data)):
            self.refuse_request(self._worded(503, "overloaded", FULL))
        else:
            self._pieces = gathered(self._pieces, data)

    def more_body(self, now: float) -> None:
        """Note that something came while the body is under way."""
        limits = self.wire.limits
        if self._up is None or self._client.deadline != NEVER:
            self._client.deadline = min(
                now + limits.client_body_s, self.started + limits.client_body_total_s
            )

    def body_end(self) -> None:
        """Take the end of the request."""
        self.asked = True
        if self._refusal is not None:
            self._answer(self._refusal)
            return
        route, exchange = self.route, self.exchange
        if route is None or exchange is None:
            return
        if not route.whole:
            self._stream_end()
            return
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._decided(exchange.request_body(body))

    def refuse_request(self, refusal: Refusal) -> None:
        """Answer before the request is complete, and close the connection after that."""
        self.asked = True
        self._client.keep = False
        if self.status:
            self._cut(Finished.TIMED_OUT)
            return
        self._answer(refusal)

    def _refuse_after_body(self, refusal: Refusal) -> None:
        """Answer when the body is there, so that the connection can stay; a large one is cut."""
        self._refusal = refusal
        self._limit = 1 << 20
        if self._framing.expects or (self._framing.length or 0) > self._limit:
            self.refuse_request(refusal)

    def _refuse_size(self) -> None:
        reason = f"the request is larger than {self.wire.limits.body_bytes} bytes"
        self.refuse_request(self._worded(413, "too_large", reason))

    def _worded(self, status: int, code: str, reason: str) -> Refusal:
        if self.exchange is not None:
            return self.exchange.refusal(status, code, reason)
        return plain_refusal(status, code, reason)

    def _hold(self, size: int) -> bool:
        """Count what is held, as long as all may hold so much; `_let_go` takes it back."""
        wire = self.wire
        if wire.buffered + size > wire.limits.buffered_bytes:
            return False
        wire.buffered += size
        self._held += size
        return True

    def _let_go(self) -> None:
        """Count no more of what was held."""
        self.wire.buffered -= self._held
        self._held = 0

    # -- judged, admitted, noted

    def _decided(self, answer: Forward | Refusal | Pending) -> None:
        if isinstance(answer, Pending):
            self._await(answer)
        elif isinstance(answer, Refusal):
            self._answer(answer)
        elif self._admitted(answer):
            self._note()

    def _admitted(self, forward: Forward) -> bool:
        self._forward = forward
        entry = self.entry
        if entry is None:
            raise RuntimeError("a request goes on that was not let in")
        refusal = self._door.admit(entry, forward, self._worded, time.time())
        if refusal is None:
            return True
        if self.asked:
            self._answer(refusal)
        else:
            self._refuse_after_body(refusal)
        return False

    def _note(self) -> None:
        if self.wire.ledger is None:
            self._forward_now("")
        else:
            self.wire.ledger.asked(self, self._forward_now)

    def _await(self, pending: Pending) -> None:
        self._waiting = True
        if self._up is not None:
            self._up.deadline = NEVER
            self._up.pause(True)
        self._task = self.wire.clock.loop.create_task(self._resumed(pending))

    async def _resumed(self, pending: Pending) -> None:
        try:
            async with asyncio.timeout(self.wire.limits.judging_s):
                await pending.run()
            self._task = None
            self._resume()
        except TimeoutError:
            self._task = None
            reason = f"the filters took longer than {self.wire.limits.judging_s:g} s"
            self._break_off(self._worded(503, "tavo_filter_late", reason), Finished.TIMED_OUT)
        except Exception as error:  # noqa: BLE001 (a defect ends this exchange and no other)
            self._task = None
            self.defect(error)

    def _resume(self) -> None:
        exchange = self.exchange
        if self.ended or exchange is None:
            return
        self._waiting = False
        answer = exchange.resume()
        if isinstance(answer, Forward | Refusal):
            self._decided(answer)
        elif isinstance(answer, Pending):
            self._await(answer)
        else:
            self._judged(answer)
            self._go_on()

    # -- to the upstream

    def _forward_now(self, refused: str) -> None:
        if self.ended:
            return
        if refused:
            self._answer(self._worded(503, "not_audited", refused))
            return
        route, pool, forward = self.route, self.pool, self._forward
        known, entry = self._known, self.entry
        if route is None or pool is None or forward is None or known is None or entry is None:
            raise RuntimeError("a request goes on that was not judged")
        if route.headers is known.sent and known.pool is pool:
            lines = known.lines
        else:
            headers = self._door.outbound(entry, pool, route.headers)
            lines = lines_of(headers, known.fields, _TO_UPSTREAM)
            known.lines, known.pool, known.sent = lines, pool, route.headers
        address = pool.address
        target = address.joined(route.target) if address.path else route.target
        self._outbound = request_bytes(
            self.method, target, address.authority, lines, forward.body,
            streamed=not route.whole, length=self._framing.length,
        )  # fmt: skip
        self._pieces = ()
        if secret := self._door.secret(pool):
            self._mask = Mask(secret)
        self._connect(fresh=False)

    def _connect(self, *, fresh: bool) -> None:
        pool = self.pool
        if pool is None:
            raise RuntimeError("a request goes on that has no upstream")
        up = None if fresh else pool.take(self.wire.clock.now())
        if up is not None:
            self._send(up)
        elif pool.full():
            self._answer(self._worded(503, "overloaded", f"{pool.name} has no free connection"))
        else:
            self._task = self.wire.clock.loop.create_task(self._connected(pool))

    async def _connected(self, pool: Pool) -> None:
        try:
            up = await pool.connect()
        except TimeoutError:
            self._failed(
                504, "upstream_timeout", f"{pool.name} does not answer", Finished.TIMED_OUT
            )
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or "TLS failed"
            self._failed(502, "upstream_failed", f"{pool.name} cannot be trusted: {why}")
        except OSError as error:
            why = error.strerror or str(error)
            self._failed(502, "upstream_failed", f"{pool.name} cannot be reached: {why}")
        else:
            self._task = None
            if self.ended:
                up.drop()
            else:
                self._send(up)

    def _failed(
        self, status: int, code: str, reason: str, how: Finished = Finished.UPSTREAM_FAILED
    ) -> None:
        self._task = None
        if not self.ended:
            self._answer(self._worded(status, code, reason), how)

    def _send(self, up: UpstreamConnection) -> None:
        self._up = up
        self.is_forwarded = True
        limits = self.wire.limits
        up.deadline = self.wire.clock.now() + limits.upstream_head_s
        if self.asked:
            self._client.deadline = self.started + limits.exchange_s
        up.send(self._outbound, cast("Taker", self))  # the answer's side is a subclass
        route = self.route
        if route is not None and not route.whole:
            for piece in self._queued:
                if piece is not None:
                    self._chunk(piece)
            self._queued = ()
            if self.asked:
                self._stream_end()
            else:
                self._client.pause(False)

    # -- a body that goes on as it comes

    def _stream(self, data: bytes) -> None:
        if self._up is None:
            self._queued = gathered(self._queued, data)
            self._client.pause(True)
            self._client.deadline = NEVER
        else:
            self._chunk(data)

    def _chunk(self, data: bytes) -> None:
        up = self._up
        if up is None:
            return
        if self._framing.length is None:
            send(up, b"%x\r\n%b\r\n" % (len(data), data))
        else:
            send(up, data)

    def _stream_end(self) -> None:
        if self._up is not None and self._framing.length is None:
            send(self._up, b"0\r\n\r\n")

    def up_writable(self, writable: bool) -> None:
        """Note whether the upstream takes more."""
        up = self._up
        if up is None:
            return
        limits = self.wire.limits
        span = limits.upstream_head_s if writable else limits.upstream_write_s
        up.deadline = self.wire.clock.now() + span
        if not self.asked:
            self._client.deadline = (
                self.wire.clock.now() + limits.client_body_s if writable else NEVER
            )
            self._client.pause(not writable)


def gathered(pieces: Sequence[T], one: T) -> Sequence[T]:
    """Return what was gathered, and one more: a list, once there is something."""
    if isinstance(pieces, list):
        pieces.append(one)
        return pieces
    return [one]
