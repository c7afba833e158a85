"""One exchange on the wire: a request from a client to an upstream, and the answer back.

It carries bytes between a `ClientConnection`, an `UpstreamConnection` and an `Exchange`, which
decides. Rules this module keeps:
- nothing goes to the upstream before the exchange, the door and the ledger have let it pass;
- nothing of an answer goes to the client but what the exchange returned; an answer that was cut
  off is never ended as if it were complete;
- while work is pending, or the other side does not take what it gets, nothing more is read;
- it ends once, in `_finish`, whatever happened, and the ledger is told how.

Units: sizes in bytes, times in seconds of the loop's clock.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tavo.proxy.http.clock import NEVER
from tavo.proxy.http.door import Entry
from tavo.proxy.http.grammar import HOP, PLAIN, Framing, lines_of
from tavo.proxy.http.heads import Known
from tavo.proxy.http.reasons import STATUS_LINES
from tavo.proxy.messages import (
    Exchange,
    Finished,
    Forward,
    Headers,
    Mode,
    Pending,
    Refusal,
    RequestHead,
    Route,
    plain_refusal,
)  # fmt: skip

if TYPE_CHECKING:
    from tavo.proxy.http.client import ClientConnection
    from tavo.proxy.http.upstream import Pool, UpstreamConnection
    from tavo.proxy.http.wire import Wire

__all__ = ["Flow"]

_FROM_UPSTREAM = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"content-length", b"alt-svc", b"strict-transport-security",
    b"x-tavo-request-id", b"x-tavo-observe",
})  # fmt: skip
_TO_UPSTREAM = HOP | {b"host", b"expect", b"x-tavo-request-id"}
_NO_LENGTH = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"})

# members of an enumeration are properties: looked up once, not with each event
_PASS, _WATCH, _WHOLE = Mode.PASS, Mode.WATCH, Mode.WHOLE
_DONE, _REFUSED, _GONE = Finished.DONE, Finished.REFUSED, Finished.CLIENT_GONE


class Flow:
    """One exchange; `asked` is set once nothing more is expected of the client."""

    # what most exchanges never set stands here, so that making one is cheap
    path = b""
    first_at = 0.0
    ended = 0.0
    asked = False
    status = 0  # what the client was told
    code = ""  # of a refusal
    how: Finished = _DONE
    taken = 0  # bytes of the request's body
    received = 0  # bytes of the answer from the upstream
    sent = 0  # bytes of the answer to the client
    exchange: Exchange | None = None
    heard: Callable[[bytes], None] | None = None  # told of each piece that is sent
    _entry: Entry | None = None
    _known: Known | None = None
    _route: Route | None = None
    _forward: Forward | None = None
    _refusal: Refusal | None = None
    _limit = 0
    _pool: Pool | None = None
    _up: UpstreamConnection | None = None
    _outbound = b""
    _retried = False
    _task: asyncio.Task[None] | None = None
    _waiting = False
    _mode: Mode = _PASS
    _length: int | None = 0
    _ahead: tuple[int, Headers, Mapping[bytes, bytes]] | None = None  # a head not yet sent
    _head = b""  # a head that goes with the next piece
    _ending = False

    def __init__(self, wire: Wire, client: ClientConnection, method: bytes) -> None:
        self.wire = wire
        self._client = client
        self.id = wire.next_id()
        self.method = method
        self.headless = method == b"HEAD"
        self.started = wire.clock.now()
        self.judge = wire.current
        self._door = wire.door  # one for the whole exchange: its upstream goes with its credential
        self._pieces: list[bytes] = []
        self._queued: list[bytes | None] = []
        self._out: list[bytes] = []
        self._framing = PLAIN

    @property
    def entry(self) -> Entry | None:
        """Who asked, once that is known."""
        return self._entry

    def header(self, name: bytes) -> str:
        """Return a header of the request, empty if it has none."""
        fields = self._known.fields if self._known is not None else {}
        return fields.get(name, b"").decode("latin-1")

    @property
    def body_sent(self) -> bytes:
        """The body for the upstream, empty for one that is passed as it comes."""
        return self._forward.body if self._forward is not None else b""

    @property
    def body_taken(self) -> bytes:
        """What came of the body of a request that does not go on."""
        return b"".join(self._pieces)

    @property
    def upstream(self) -> str:
        """The name of the upstream, once it is chosen."""
        return self._pool.name if self._pool is not None else ""

    # -- the request

    def begin(self, known: Known, framing: Framing) -> None:
        """Take the head of a request."""
        wire = self.wire
        self._known = known
        self._framing = framing
        self.path = known.path
        self._limit = wire.limits.body_bytes
        entry = known.entry
        if entry is None:
            answer = self._door.enter(known.path, known.query, known.fields)
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
        pool = self._door.pool(entry, route.dialect)
        if isinstance(pool, Refusal):
            self._refuse_after_body(pool)
            return
        self._pool = pool
        length = framing.length
        if length is not None and length > self._limit and route.whole:
            self.refuse_request(self._too_large())
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
        route = self._route
        if route is None:
            return
        if not route.whole:
            self._stream(data)
            return
        if self.taken > self._limit:
            self.refuse_request(self._too_large())
            return
        self.wire.buffered += len(data)
        if self.wire.buffered > self.wire.limits.buffered_bytes:
            self.wire.buffered -= len(data)
            self.refuse_request(
                plain_refusal(503, "overloaded", "the proxy holds too many requests; try later")
            )
            return
        self._pieces.append(data)

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
        route, exchange = self._route, self.exchange
        if route is None or exchange is None:
            return
        if not route.whole:
            self._stream_end()
            return
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
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
        length = self._framing.length
        if self._framing.expects or (length is not None and length > self._limit):
            self.refuse_request(refusal)

    def _too_large(self) -> Refusal:
        return self._worded(
            413, "too_large", f"the request is larger than {self.wire.limits.body_bytes} bytes"
        )

    def _worded(self, status: int, code: str, reason: str) -> Refusal:
        if self.exchange is not None:
            return self.exchange.refusal(status, code, reason)
        return plain_refusal(status, code, reason)

    def _decided(self, answer: Forward | Refusal | Pending) -> None:
        if isinstance(answer, Pending):
            self._await(answer)
        elif isinstance(answer, Refusal):
            self._answer(answer)
        elif self._admitted(answer):
            self._note()

    def _admitted(self, forward: Forward) -> bool:
        self._forward = forward
        entry = self._entry
        if entry is None:
            raise RuntimeError("a request goes on that was not let in")
        refusal = self._door.admit(entry, forward, self._worded)
        if refusal is None:
            return True
        if self.asked:
            self._answer(refusal)
        else:
            self._refuse_after_body(refusal)
        return False

    def _note(self) -> None:
        ledger = self.wire.ledger
        if ledger is None:
            self._forward_now("")
        else:
            ledger.asked(self, self._forward_now)

    def _forward_now(self, refused: str) -> None:
        if self.ended:
            return
        if refused:
            self._answer(self._worded(503, "not_audited", refused))
            return
        route, pool, forward = self._route, self._pool, self._forward
        if route is None or pool is None or forward is None:
            raise RuntimeError("a request goes on that was not judged")
        known = self._known
        if known is None:
            raise RuntimeError("a request goes on that has no head")
        own = route.headers is known.headers
        if own and known.pool is pool:
            lines = known.lines
        else:
            headers = self._door.outbound(pool, route.headers)
            lines = lines_of(headers, known.fields, _TO_UPSTREAM)
            if own:
                known.lines, known.pool = lines, pool
        address = pool.address
        target = address.joined(route.target) if address.path else route.target
        parts = [
            self.method, b" ", target, b" HTTP/1.1\r\nhost: ", address.authority, lines,
        ]  # fmt: skip
        body = forward.body
        if not route.whole:
            length = self._framing.length
            if length is None:
                parts.append(b"\r\ntransfer-encoding: chunked\r\n\r\n")
            else:
                parts.append(b"\r\ncontent-length: %d\r\n\r\n" % length)
        elif body or self.method not in _NO_LENGTH:
            parts += (b"\r\ncontent-length: %d\r\n\r\n" % len(body), body)
        else:
            parts.append(b"\r\n\r\n")
        self._outbound = b"".join(parts)
        self._hold(-sum(map(len, self._pieces)))
        self._pieces = []
        self._connect(fresh=False)

    def _hold(self, size: int) -> None:
        self.wire.buffered += size

    def _connect(self, *, fresh: bool) -> None:
        pool = self._pool
        if pool is None:
            raise RuntimeError("a request goes on that has no upstream")
        up = None if fresh else pool.take()
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
        limits = self.wire.limits
        now = self.wire.clock.now()
        up.deadline = now + limits.upstream_head_s
        if self.asked:
            self._client.deadline = self.started + limits.exchange_s
        up.send(self._outbound, self)
        route = self._route
        if route is not None and not route.whole:
            for piece in self._queued:
                if piece is not None:
                    self._chunk(piece)
            self._queued = []
            if self.asked:
                self._stream_end()
            else:
                self._client.pause(False)

    # -- a body that goes on as it comes

    def _stream(self, data: bytes) -> None:
        if self._up is None:
            self._queued.append(data)
            self._client.pause(True)
            self._client.deadline = NEVER
        else:
            self._chunk(data)

    def _chunk(self, data: bytes) -> None:
        up = self._up
        if up is None:
            return
        if self._framing.length is None:
            up.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            up.transport.write(data)

    def _stream_end(self) -> None:
        if self._up is not None and self._framing.length is None:
            self._up.transport.write(b"0\r\n\r\n")

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

    # -- the answer

    def up_head(
        self, status: int, headers: Headers, fields: Mapping[bytes, bytes], length: int | None
    ) -> None:
        """Take the head of the answer."""
        self.first_at = self.wire.clock.now()
        self._outbound = b""  # nothing is sent again now; a stream may last
        self._forward = None
        exchange = self._judging()
        head = exchange.response_head(status, headers)
        if isinstance(head, Refusal):
            self._replace(head)
            return
        self._mode = head.mode
        if status == 204 or status == 304 or (length == 0 and not self.headless):
            self._length = 0
        elif self.headless or head.mode is _PASS or head.mode is _WATCH:
            self._length = length if length != -1 else None
        else:
            self._length = None
        self._ahead = (head.status, head.headers, fields)
        if self.headless:
            declared = fields.get(b"content-length")
            self._length = int(declared) if declared is not None else None
        if head.mode is not _WHOLE:
            self._send_head()

    def up_body(self, data: bytes) -> None:
        """Take a piece of the answer."""
        self.received += len(data)
        exchange = self.exchange
        if self.ended or exchange is None:
            return
        mode = self._mode
        if mode is _WATCH:
            self._out.append(data)
            exchange.response_data(data)
        elif mode is _PASS:
            self._out.append(data)
        elif self._waiting:
            self._queued.append(data)
        else:
            self._judged(exchange.response_data(data))

    def up_end(self) -> None:
        """Take the end of the answer."""
        if self.ended:
            return
        up, self._up = self._up, None
        if up is not None:
            if self.asked:
                up.release()
            else:
                up.drop()
        mode = self._mode
        if mode is _PASS or self.headless:
            self._ending = True
        elif mode is _WATCH:
            self._ending = True
            self._judging().response_end()
        elif self._waiting:
            self._queued.append(None)
        else:
            self._ending = True
            self._judged(self._judging().response_end())

    def up_flush(self) -> None:
        """Send what there is; called when everything that came at once was taken."""
        if self.ended or (self._waiting and not self._out):
            return
        up = self._up
        if up is not None:
            up.deadline = self.wire.clock.now() + self.wire.limits.upstream_body_s
        self._write(last=self._ending and not self._waiting)

    def up_lost(self, reason: str, *, clean: bool) -> None:
        """Take it that the upstream has failed. `clean`: it closed and had said nothing."""
        up, self._up = self._up, None
        if self.ended:
            return
        route = self._route
        again = (
            clean and up is not None and up.used > 1 and not self._retried and self.asked
            and route is not None and route.whole and route.dialect != "mcp"
        )  # fmt: skip
        if again:  # it was idle for too long, and this request was never looked at
            self._retried = True
            self._connect(fresh=True)
        elif self._ahead is None and self.status:
            self._cut(Finished.UPSTREAM_FAILED)
        else:
            name = self._pool.name if self._pool is not None else "the upstream"
            self._answer(
                self._worded(502, "upstream_failed", f"{name}: {reason}"), Finished.UPSTREAM_FAILED
            )

    def up_late(self) -> None:
        """Take it that the upstream has not answered in time."""
        self._drop_upstream()
        if self._ahead is None and self.status:
            self._cut(Finished.TIMED_OUT)
        else:
            self._answer(
                self._worded(504, "upstream_timeout", f"{self.upstream} took too long to answer"),
                Finished.TIMED_OUT,
            )

    # -- the client

    def client_writable(self, writable: bool) -> None:
        """Note whether the client takes more; nothing more is read for one that does not."""
        up = self._up
        limits = self.wire.limits
        if not writable:
            self._client.deadline = self.wire.clock.now() + limits.client_write_s
            if up is not None:
                up.deadline = NEVER
                up.transport.pause_reading()
        else:
            self._client.deadline = self.started + limits.exchange_s
            if up is not None and not self._waiting:
                up.deadline = self.wire.clock.now() + limits.upstream_body_s
                up.transport.resume_reading()

    def client_slow(self) -> None:
        """Give up a client that does not read, or an exchange that lasts too long."""
        if self._client.paused or self.status:
            self._cut(_GONE if self._client.paused else Finished.TIMED_OUT)
        else:
            self._answer(
                self._worded(504, "upstream_timeout", "the exchange took too long"),
                Finished.TIMED_OUT,
            )

    def client_lost(self) -> None:
        """Cancel what a client asked for that has gone."""
        if not self.ended:
            self._drop_upstream()
            self._finish(_GONE)

    def defect(self, error: BaseException) -> None:
        """End because of a defect of ours or of a filter: nothing more passes."""
        self.wire.report(error)
        if self.ended:
            return
        self._ahead = None if self._head else self._ahead
        self._head, self._out = b"", []
        if self.status:
            self._cut(Finished.DEFECT)
        else:
            reason = "the proxy has a defect, so nothing was passed on"
            self._answer(plain_refusal(500, "defect", reason), Finished.DEFECT)

    def shut_down(self) -> None:
        """End, because the proxy does."""
        if not self.ended:
            self._cut(Finished.SHUT_DOWN)

    # -- inside

    def _judging(self) -> Exchange:
        exchange = self.exchange
        if exchange is None:
            raise RuntimeError("there is an answer and nobody asked")
        return exchange

    def _judged(self, answer: Sequence[bytes] | Pending) -> None:
        if isinstance(answer, Pending):
            self._await(answer)
            return
        self._out += answer
        exchange = self._judging()
        blocked = exchange.blocked
        if blocked is None:
            return
        self._drop_upstream()
        self._ending = True
        self.code = blocked.code
        self.how = Finished.BLOCKED
        if self._ahead is not None:
            self._out.clear()
            self._answer(blocked, Finished.BLOCKED)
        else:
            self._write(last=True)

    def _replace(self, refusal: Refusal) -> None:
        self._drop_upstream()
        self._answer(refusal, Finished.BLOCKED)

    def _await(self, pending: Pending) -> None:
        self._waiting = True
        if self._up is not None:
            self._up.deadline = NEVER
            self._up.transport.pause_reading()
        self._task = self.wire.clock.loop.create_task(self._resumed(pending))

    async def _resumed(self, pending: Pending) -> None:
        try:
            await pending.run()
            self._task = None
            self._resume()
        except Exception as error:  # noqa: BLE001 (a defect ends this exchange and no other)
            self._task = None
            self.defect(error)

    def _resume(self) -> None:
        if self.ended:
            return
        self._waiting = False
        exchange = self._judging()
        answer = exchange.resume()
        if isinstance(answer, Forward | Refusal):
            self._decided(answer)
            return
        if isinstance(answer, Pending):
            self._await(answer)
            return
        self._judged(answer)
        queued, self._queued = self._queued, []
        while queued and not self._waiting and not self.ended:
            piece = queued.pop(0)
            if piece is None:
                self._ending = True
                self._judged(exchange.response_end())
            else:
                self._judged(exchange.response_data(piece))
        self._queued = queued
        if self.ended:
            return
        if self._up is not None and not self._waiting and not self._client.paused:
            self._up.transport.resume_reading()
        self.up_flush()

    def _send_head(self) -> None:
        if self._ahead is None:
            raise RuntimeError("a head is sent twice")
        status, headers, fields = self._ahead
        self._ahead = None
        self.status = status
        client = self._client
        length = self._length
        parts = [
            STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status,
            lines_of(headers, fields, _FROM_UPSTREAM),
        ]
        if length is not None:
            if status != 204 and status != 304:
                parts.append(b"\r\ncontent-length: %d" % length)
        elif self.headless:
            pass
        elif client.minor:
            parts.append(b"\r\ntransfer-encoding: chunked")
        else:
            client.keep = False
        parts += (b"\r\nx-tavo-request-id: ", self.id, self.wire.stamp)
        if not client.keep:
            parts.append(b"\r\nconnection: close")
        elif not client.minor:
            parts.append(b"\r\nconnection: keep-alive")
        parts.append(b"\r\n\r\n")
        self._head = b"".join(parts)

    def _write(self, *, last: bool) -> None:
        out = self._out
        usual = not last and not self._head and self._ahead is None and self.heard is None
        if usual and len(out) == 1 and self._length is None and self._client.minor:
            data = out.pop()
            size = len(data)
            self.sent += size
            if size:
                self._client.transport.write(b"%x\r\n%b\r\n" % (size, data))
            return
        if self._ahead is not None:  # it waited for what may be sent, or for the end
            if not out and not last:
                return
            if last and self._length is None and not self.headless:
                self._length = sum(map(len, out))
            self._send_head()
        parts: list[bytes] = []
        if self._head:
            parts.append(self._head)
            self._head = b""
        if out and not self.headless:
            self._out = []
            size = sum(map(len, out))
            self.sent += size
            if self.heard is not None:
                for piece in out:
                    self.heard(piece)
            if self._length is None and self._client.minor:
                if size:
                    parts.append(b"%x\r\n" % size)
                    parts += out
                    parts.append(b"\r\n")
            else:
                parts += out
        if last and self._length is None and self._client.minor and not self.headless:
            parts.append(b"0\r\n\r\n")
        if parts:
            self._client.write(b"".join(parts))
        if last:
            self._finish(self.how)

    def _answer(self, refusal: Refusal, how: Finished = Finished.REFUSED) -> None:
        """Answer with a refusal; nothing of another answer was sent."""
        if self.ended:
            return
        self._drop_upstream()
        client = self._client
        if not self.asked:
            self.asked = True
            client.keep = False
        self.status, self.code = refusal.status, refusal.code
        exchange = self.exchange
        if how is _REFUSED and exchange is not None and exchange.record.verdict == "block":
            how = Finished.BLOCKED
        parts = [STATUS_LINES.get(refusal.status) or b"HTTP/1.1 %d " % refusal.status]
        for name, value in refusal.headers:
            parts += (b"\r\n", name, b": ", value)
        parts.append(b"\r\ncontent-length: %d" % len(refusal.body))
        parts += (b"\r\nx-tavo-request-id: ", self.id, self.wire.stamp)
        if not client.keep:
            parts.append(b"\r\nconnection: close")
        elif not client.minor:
            parts.append(b"\r\nconnection: keep-alive")
        parts.append(b"\r\n\r\n")
        if not self.headless:
            parts.append(refusal.body)
            self.sent += len(refusal.body)
        client.write(b"".join(parts))
        self._finish(how)

    def _cut(self, how: Finished) -> None:
        """End an answer that has begun: the client sees that it is not complete."""
        self._drop_upstream()
        client = self._client
        self._finish(how, answered=False)
        client.abort()

    def _drop_upstream(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        up, self._up = self._up, None
        if up is not None:
            up.drop()

    def _finish(self, how: Finished, *, answered: bool = True) -> None:
        if self.ended:
            return
        self.ended = self.wire.clock.now()
        self.how = how
        self._queued = []
        self._outbound = b""
        if self.exchange is not None:
            try:
                self.exchange.close(how)
            except Exception as error:  # noqa: BLE001 (what it held is dropped with it)
                self.wire.report(error)
        self.wire.finished(self)
        if self._pieces:
            self._hold(-sum(map(len, self._pieces)))
            self._pieces = []
        if answered and how is not _GONE:
            self._client.answered(self.ended)
