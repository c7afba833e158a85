"""One exchange on the wire: a request from a client to an upstream, and the answer back.

It carries bytes between a `ClientConnection`, an `UpstreamConnection` and an `Exchange`, which
decides. How the request goes on is in `tavo.proxy.http.asking`. Rules this module keeps:
- nothing of an answer goes to the client but what the exchange returned, without the upstream's
  credential; an answer that was cut off is never ended as if it were complete;
- while work is pending, or the other side does not take what it gets, nothing more is read; what
  is gathered of an answer counts against the bound for all that is held;
- it ends once, in `_finish`, whatever happened, and the ledger is told how.

Units: sizes in bytes, times in seconds of the loop's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tavo.proxy.http.asking import FULL, Asking, gathered
from tavo.proxy.http.clock import NEVER
from tavo.proxy.http.lines import answer_head, refusal_head
from tavo.proxy.messages import (
    Exchange,
    Finished,
    Headers,
    Mode,
    Pending,
    Refusal,
    plain_refusal,
)

if TYPE_CHECKING:
    from tavo.proxy.http.masking import Mask

__all__ = ["Flow"]

# members of an enumeration are properties: looked up once, not with each event
_PASS, _WATCH, _WHOLE = Mode.PASS, Mode.WATCH, Mode.WHOLE
_DONE, _REFUSED, _GONE = Finished.DONE, Finished.REFUSED, Finished.CLIENT_GONE


class Flow(Asking):
    """One exchange."""

    takes_whole = False  # the answer may come in one go: see `tavo.proxy.http.usual`
    first_at = 0.0
    answered = 0  # the status of the upstream's answer
    sent = 0  # bytes of the answer to the client
    _retried = False
    _last_mask: Mask | None = None
    _mode: Mode = _PASS
    _length: int | None = 0
    _ahead: tuple[int, Headers, Mapping[bytes, bytes]] | None = None  # a head not yet sent
    _head = b""  # a head that goes with the next piece
    _ending = False

    # -- the answer

    def up_head(
        self, status: int, headers: Headers, fields: Mapping[bytes, bytes], length: int | None
    ) -> None:
        """Take the head of the answer."""
        self.first_at = self.wire.clock.now()
        self.answered = status
        self._out = []
        self._outbound = b""  # nothing is sent again now; a stream may last
        self._forward = None
        self._let_go()
        exchange = self._judging()
        head = exchange.response_head(status, headers)
        if isinstance(head, Refusal):
            self._replace(head)
            return
        if self._mask is not None and _is_packed(fields):
            if head.mode is _PASS or head.mode is _WATCH:
                reason = "the upstream compressed its answer, though it was asked not to"
                self._replace(self._worded(502, "unreadable", reason))
                return
            self._mask, self._last_mask = None, self._mask  # behind who unpacks it
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
        if self.ended:
            return
        mask = self._mask
        if mask is not None:
            data = mask.feed(data)
        if data:
            self._take(data)

    def _take(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        mode = self._mode
        if mode is _WATCH:
            self._out.append(data)
            exchange.response_data(data)
        elif mode is _PASS:
            self._out.append(data)
        elif self._waiting:
            self._queued = gathered(self._queued, data)
        else:
            self._judged(exchange.response_data(data))
            if exchange.held != self._held and not self.ended:
                self._let_go()
                if not self._hold(exchange.held):
                    reason = self._worded(503, "overloaded", FULL)
                    self._break_off(reason, Finished.UPSTREAM_FAILED)

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
        if self._mask is not None and (rest := self._mask.end()):
            self._take(rest)
            if self.ended:
                return
        mode = self._mode
        if mode is _PASS or self.headless:
            self._ending = True
        elif mode is _WATCH:
            self._ending = True
            self._judging().response_end()
        elif self._waiting:
            self._queued = gathered(self._queued, None)
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
        route = self.route
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
            name = self.upstream or "the upstream"
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
                up.pause(True)
        else:
            self._client.deadline = self.started + limits.exchange_s
            if up is not None and not self._waiting:
                up.deadline = self.wire.clock.now() + limits.upstream_body_s
                up.pause(False)

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
        mask = self._last_mask
        if mask is not None:
            answer = [mask.feed(piece) for piece in answer]
            if self._ending:
                answer.append(mask.end())
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

    def _go_on(self) -> None:
        exchange = self._judging()
        queued, self._queued = self._queued, ()
        taken = 0
        while taken < len(queued) and not self._waiting and not self.ended:
            piece = queued[taken]
            taken += 1
            if piece is None:
                self._ending = True
                self._judged(exchange.response_end())
            else:
                self._judged(exchange.response_data(piece))
        self._queued = queued[taken:]
        if self.ended:
            return
        if self._up is not None and not self._waiting and not self._client.paused:
            self._up.pause(False)
        self.up_flush()

    def _break_off(self, refusal: Refusal, how: Finished) -> None:
        if self.ended:
            return
        self._drop_upstream()
        if self._ahead is not None or not self.status:
            self._ahead, self._out = None, []
            self._answer(refusal, how)
            return
        self._waiting = False
        self.code, self.how = refusal.code, how
        rest = self._judging().broken_off(refusal.status, refusal.code, refusal.reason)
        if self._length is not None or not rest:
            self._cut(how)
            return
        self._out += rest
        self._ending = True
        self._write(last=True)

    def _replace(self, refusal: Refusal) -> None:
        self._drop_upstream()
        self._answer(refusal, Finished.BLOCKED)

    def _send_head(self) -> None:
        if self._ahead is None:
            raise RuntimeError("a head is sent twice")
        status, headers, fields = self._ahead
        self._ahead = None
        self.status = status
        client = self._client
        if self._length is None and not self.headless and not client.minor:
            client.keep = False  # its end is the connection's
        self._head = answer_head(
            status, headers, fields, self._length, self.id + self.wire.stamp,
            keep=client.keep, minor=client.minor,
            headless=self.headless,
        )  # fmt: skip
        mask = self._mask or self._last_mask
        if mask is not None:
            self._head = mask.whole(self._head)

    def _write(self, *, last: bool) -> None:
        out = self._out
        usual = not last and not self._head and self._ahead is None and self.heard is None
        if usual and len(out) == 1 and self._length is None and self._client.minor:
            data = out.pop()
            size = len(data)
            self.sent += size
            if size:
                self._client.write(b"%x\r\n%b\r\n" % (size, data))
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
        head = refusal_head(
            refusal, self.id + self.wire.stamp, keep=client.keep, minor=client.minor
        )
        body = b"" if self.headless else refusal.body
        self.sent += len(body)
        client.write(head + body)
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
        now = self.wire.clock.now()
        if how is not _DONE:
            self.how = how
        if self._queued:
            self._queued = ()
        self._close(how, now)
        if self._pieces:
            self._pieces = ()
        if self._held:
            self._let_go()
        if answered and how is not _GONE:
            self._client.answered(now)

    def _close(self, how: Finished, now: float) -> None:
        """Tell the exchange, and all who count and write down, that this is over."""
        self.ended = now
        self._outbound = b""
        if self.exchange is not None:
            try:
                self.exchange.close(how)
            except Exception as error:  # noqa: BLE001 (what it held is dropped with it)
                self.wire.report(error)
        self.wire.finished(self)


def _is_packed(fields: Mapping[bytes, bytes]) -> bool:
    return fields.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity")
