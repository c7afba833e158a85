"""The usual exchange in one go: a known head with its whole body, and an answer that is whole.

Everything here is a shorter way between two states of `tavo.proxy.http.flow`: from a client that
waits for nothing to a request that was sent, and from there to an answer that was given. Where
anything is not as usual, the flow's own way is gone from the same state, with the same result.

Rules this module keeps:
- who asks, where to and with which headers is decided once for each head; whether this request may
  go on is asked each time: the exchange, the door, the ledger;
- an answer is taken here only if nothing of it has to be masked, and the exchange takes it whole.

Units: sizes in bytes, times in seconds of the loop's clock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tavo.proxy.http.flow import Flow
from tavo.proxy.http.grammar import PLAIN
from tavo.proxy.http.heads import Known, Way
from tavo.proxy.http.lines import SHOWN, request_start
from tavo.proxy.http.masking import Mask
from tavo.proxy.http.reads import send
from tavo.proxy.messages import Finished, Forward

if TYPE_CHECKING:
    from tavo.proxy.http.upstream import UpstreamConnection

__all__ = ["First", "Usual"]

_DONE, _BLOCKED = Finished.DONE, Finished.BLOCKED
_STATUS, _LENGTH, _ID = b"HTTP/1.1 200 OK", b"\r\ncontent-length: ", b"\r\nx-tavo-request-id: "


class Usual(Flow):
    """An exchange whose request came at once, with a head that was read before.

    CPython keeps the attributes of a class's objects cheaply up to thirty names; so many has one
    that is masked and noted, and whose answer does not come as a whole.
    """

    asked = True  # but where `ask` has to go the long way

    def ask(self, known: Known, body: bytes) -> None:
        """Take the whole request."""
        wire, way = self.wire, known.way
        size = len(body)
        limits = wire.limits
        held = wire.buffered + size
        if (
            way is None or not size or size > limits.body_bytes or held > limits.buffered_bytes
        ):  # fmt: skip
            self.asked = False
            self.begin(known, PLAIN)
            if not self.asked:
                if body:
                    self.body(body)
                if not self.asked:
                    self.body_end()
            return
        wire.buffered = held
        self.taken = self._held = size
        self.way = way
        self._known = known
        now = time.time()
        exchange = self.exchange = way.like.another(now)
        if exchange is None:
            raise RuntimeError("a head was judged for all that have it, and is not")
        answer = exchange.request_body(body)
        if type(answer) is not Forward:
            self._pieces = [body]
            self._decided(answer)
            return
        self._forward = answer
        refusal = self._door.admit(way.entry, answer, self._worded, now)
        if refusal is not None:
            self._pieces = [body]
            self._answer(refusal)
        elif wire.ledger is None and answer.body:
            self._go(way, answer, self.started)
        elif wire.ledger is None:
            self._forward_now("")
        else:
            wire.ledger.asked(self, self._forward_now)

    def _forward_now(self, refused: str) -> None:
        way, forward = self.way, self._forward
        if way is None or forward is None or refused or self.ended or not forward.body:
            super()._forward_now(refused)
        else:
            self._go(way, forward, self.wire.clock.now())

    def _go(self, way: Way, forward: Forward, now: float) -> None:
        """Send what may go on."""
        body = forward.body
        self._outbound = b"".join((way.start, SHOWN[len(body)], b"\r\n\r\n", body))
        if self._pieces:
            self._pieces = ()
        if way.secret:
            self._mask = Mask(way.secret)
        up = way.pool.take(now)
        if up is None:
            self._connect(fresh=False)
            return
        self._up = up
        self.is_forwarded = True
        # from here on the answer comes first, or the upstream is dropped: nothing was said yet
        self.takes_whole = not forward.stream
        limits = self.wire.limits
        up.deadline = now + limits.upstream_head_s
        self._client.deadline = self.started + limits.exchange_s
        up.send(self._outbound, self)

    def up_whole(self, up: UpstreamConnection, lines: bytes, body: bytes) -> bool:
        """Take a whole answer of status 200 whose head says no more; False: nothing was taken."""
        exchange, mask = self.exchange, self._mask
        if exchange is None:
            return False
        if mask is not None and (mask.is_in(lines) or mask.is_in(body)):
            return False
        out = exchange.response_whole(body)
        if out is None:
            return False
        wire, client = self.wire, self._client
        self.first_at = now = wire.clock.now()
        self.answered = 200
        wire.buffered -= self._held
        self._held = 0
        self._up = None
        up.done_whole(now)
        if exchange.blocked is not None:
            self._ending = True
            self.code, self.how = exchange.blocked.code, _BLOCKED
            self._answer(exchange.blocked, _BLOCKED)
            return True
        self.status = 200
        self.sent = size = len(out)
        if self.heard is not None:
            self.heard(out)
        if client.keep and client.minor:
            end = b"\r\n\r\n"
        elif client.keep:
            end = b"\r\nconnection: keep-alive\r\n\r\n"
        else:
            end = b"\r\nconnection: close\r\n\r\n"
        parts = (_STATUS, lines, _LENGTH, SHOWN[size], _ID, self.id, wire.stamp, end, out)
        send(client, b"".join(parts))
        self._close(_DONE, now)  # as `_finish` does: nothing waits and nothing is held any more
        client.answered(now)
        return True


class First(Usual):
    """The first exchange with a head: it finds the way that others with it then go.

    It is a class of its own because it sets other attributes, and CPython keeps those of a class
    cheaply only up to thirty.
    """

    def _forward_now(self, refused: str) -> None:
        super()._forward_now(refused)
        if self.is_forwarded:
            self._remember()

    def _remember(self) -> None:
        """Keep the way that this request has gone, for those with the same head."""
        known, entry, route, pool = self._known, self._entry, self._route, self._pool
        exchange = self.exchange
        if known is None or entry is None or route is None or pool is None or exchange is None:
            return
        like = exchange.another(0.0) if route.whole and known.pool is pool else None
        if like is None or known.sent is not route.headers or self.headless:
            return
        known.way = Way(
            like, entry, route, pool,
            request_start(self.method, pool.address.joined(route.target), pool.address.authority,
                          known.lines),
            self._door.secret(pool),
        )  # fmt: skip
