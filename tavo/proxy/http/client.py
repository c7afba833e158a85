"""A client's connection: its requests one after another, read strictly, and what is sent to it.

Rules this module keeps:
- what is not plain HTTP/1.1 is answered with 400 and the connection is closed;
- one request at a time: what a client sends before it has its answer is dropped and the connection
  is closed after the answer, so that no second reading of those bytes exists;
- a client that goes away cancels what it asked for;
- a head that was read before is not parsed again: see `tavo.proxy.http.heads`;
- all waiting is bounded, and so is what is held for a client that does not read.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from tavo.proxy.http.clock import NEVER
from tavo.proxy.http.flow import Flow
from tavo.proxy.http.grammar import MalformedError, canonical, check_request
from tavo.proxy.http.heads import Key, Known, body_behind
from tavo.proxy.http.reads import send
from tavo.proxy.http.usual import First, Usual
from tavo.proxy.messages import Headers, Refusal, plain_refusal

if TYPE_CHECKING:
    from tavo.proxy.http.wire import Wire

__all__ = ["ClientConnection"]

_BUFFER = 64 << 10
_MOST_DROPPED = 1 << 20
_LINGER_S = 2.0


class ClientConnection(asyncio.Protocol):
    """One connection of a client."""

    __slots__ = (
        "_begun",
        "_body",
        "_dropped",
        "_framing",
        "_head",
        "_headers",
        "_key",
        "_last",
        "_parser",
        "_target",
        "_within",
        "before",
        "behind",
        "closing",
        "deadline",
        "failed",
        "flow",
        "keep",
        "minor",
        "number",
        "paused",
        "reads",
        "transport",
        "wire",
    )  # fmt: skip

    def __init__(self, wire: Wire, before: bytes = b"") -> None:
        """`before` stands before the path of each request: who connected has said where to."""
        self.wire = wire
        self.reads = wire.clock.reads
        self.before = before
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.flow: Flow | None = None
        self.deadline = NEVER
        self.keep = True  # the connection outlives the answer
        self.minor = 1
        self.paused = False  # its buffer is full
        self.closing = False  # everything that it still sends is dropped
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._head = 0  # bytes of the head so far, -1 behind it
        self._body = 0  # bytes of the body so far
        self._framing = 0  # bytes that came in, with the head and the body
        self._dropped = 0
        self._within = False  # the parser is inside a request
        self._key: Key | None = None  # under which a head may be kept
        self._last: Known | None = None  # the head of the last request, if it was found
        self.failed: OSError | None = None
        self.number = -1
        self.behind = False
        self._begun = False  # the first part of a request has come just now

    # -- for the exchange

    def write(self, data: bytes) -> None:
        """Send bytes of an answer."""
        send(self, data)

    def answered(self, now: float) -> None:
        """Take it that the answer is complete."""
        self.flow = None
        if not self.keep:
            self._linger()
            return
        wire = self.wire
        self._dropped = 0
        self.deadline = now + wire.limits.client_idle_s
        if wire.draining:
            self.reads.end(self)

    def abort(self) -> None:
        """Close at once, so that the client sees that its answer is cut off."""
        self.flow = None
        self.closing = True
        self.deadline = NEVER
        self.reads.cut(self)

    def pause(self, still: bool) -> None:
        """Read no more, or read again, while a body goes on to the upstream."""
        if self.transport.is_closing():
            return
        self.reads.pause(self, still)

    def late(self) -> None:
        flow = self.flow
        if flow is not None and not flow.asked:
            flow.refuse_request(
                plain_refusal(408, "client_timeout", "the request took too long to arrive")
            )
        elif flow is not None:
            flow.client_slow()
        elif self._head > 0 and not self.closing:
            self._refuse(plain_refusal(408, "client_timeout", "the request took too long"))
        else:
            self.reads.cut(self)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        wire = self.wire
        if len(wire.clients) >= wire.limits.clients or wire.draining:
            wire.turned_away += 1
            self.closing = True
            self.reads.cut(self)
            return
        self.transport.set_write_buffer_limits(high=_BUFFER)
        wire.clients.add(self)
        wire.clock.watch(self)
        self.deadline = wire.clock.now() + wire.limits.client_head_s
        if not self.before:
            self.reads.take(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.wire.clients.discard(self)
        self.wire.clock.forget(self)
        self.reads.forget(self)
        self.closing = True
        self.deadline = NEVER
        flow, self.flow = self.flow, None
        if flow is not None:
            flow.client_lost()
        self.wire.emptied()

    def eof_received(self) -> None:
        return None  # half a connection is none: the transport closes

    def data_received(self, data: bytes) -> None:
        last = self._last
        try:
            if (
                last is None or last.home is not self.wire.heads or self.flow is not None
                or self._within or self.closing or not (start := body_behind(last, data))
            ):  # fmt: skip
                self._received(data)
            else:
                self._again(last, data[start:])
        except Exception as error:  # noqa: BLE001 (a defect ends this exchange and no other)
            self._defect(error)

    def _received(self, data: bytes) -> None:
        flow = self.flow
        if self.closing or (flow is not None and flow.asked):
            self._drop(len(data))
            return
        key = None
        if flow is None and not self._within:
            key, known, start = self.wire.heads.find(data, self.before)
            if known is not None:
                self._last = known
                self._again(known, data[start:])
                return
        self._key = key
        size = len(data)
        if self._head >= 0:
            if self._head == 0:
                self._framing = 0
                self._begun = True
            self._head += size
        self._framing += size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # an offer that a server may ignore; the parser has stopped behind this request
            self.keep = False
            self._parser = httptools.HttpRequestParser(self)
            if self.flow is None and not self.closing:
                self._linger()
            return
        except httptools.HttpParserError as error:
            self._malformed(error)
            return
        if self._head:
            self._incomplete()

    def _again(self, known: Known, body: bytes) -> None:
        """Take a whole request whose head was read before."""
        wire = self.wire
        self.minor = known.minor
        self.keep = known.keep and not wire.draining
        self.deadline = NEVER
        self.flow = flow = First(wire, self) if known.way is None else Usual(wire, self)
        flow.ask(known, body)

    def _incomplete(self) -> None:
        """Look after a request of which a part has come."""
        wire, flow = self.wire, self.flow
        most = wire.limits.head_bytes
        if self._begun:
            self._begun = False
            self.deadline = wire.clock.now() + wire.limits.client_head_s
        if self._head > most:
            self._refuse(plain_refusal(431, "head_too_large", f"the head is larger than {most} B"))
        elif flow is not None and not flow.asked:
            if self._framing > 2 * most + 17 * self._body:
                self._refuse(plain_refusal(400, "malformed", "the body is all framing"))
            else:
                flow.more_body(wire.clock.now())

    def pause_writing(self) -> None:
        self.paused = True
        if self.flow is not None:
            self.flow.client_writable(False)

    def resume_writing(self) -> None:
        self.paused = False
        if self.flow is not None:
            self.flow.client_writable(True)

    # -- httptools

    def on_message_begin(self) -> None:
        self._within = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []
        target, self._target = self._target, b""
        if self.flow is not None or self.closing:
            self.keep = False  # sent before its time
            return
        wire = self.wire
        if len(headers) > wire.limits.headers:
            raise MalformedError("there are too many headers")
        parser = self._parser
        version, method = parser.get_http_version(), parser.get_method()
        fields = dict(headers)
        self._head = -1
        self._body = 0
        framing = check_request(method, target, version, headers, fields)
        path, query = canonical(self.before + target if self.before else target)
        self.minor = 0 if version == "1.0" else 1
        keep = parser.should_keep_alive()
        self.keep = keep and not wire.draining
        known = Known(method, path, query, headers, fields, self.minor, keep)
        if self._key is not None and not framing.expects and not parser.should_upgrade():
            wire.heads.keep(self._key, known)
        flow = self.flow = Flow(wire, self)
        flow.begin(known, framing)

    def on_body(self, data: bytes) -> None:
        flow = self.flow
        if flow is not None and not flow.asked:
            self._body += len(data)
            flow.body(data)
        else:
            self._drop(len(data))

    def on_message_complete(self) -> None:
        self._within = False
        self._headers = []  # trailers, which nobody is told
        flow = self.flow
        if flow is None or flow.asked:
            return
        self._head = 0
        self.deadline = NEVER
        flow.body_end()

    # -- inside

    def _malformed(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__ if error.__context__ is not None else error
        if not isinstance(cause, MalformedError | httptools.HttpParserError):
            self._defect(cause)
            return
        if self.flow is not None and self.flow.asked:
            self.keep = False  # what comes behind a request has no bearing on its answer
            self.closing = True
            return
        self._refuse(plain_refusal(400, "malformed", f"the request is malformed: {cause}"))

    def _defect(self, error: BaseException) -> None:
        self.keep = False
        if self.flow is not None:
            self.flow.defect(error)
        else:
            self.wire.report(error)
            self.reads.cut(self)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal of what could not be read, and close."""
        self.keep = False
        if self.flow is not None:
            self.flow.refuse_request(refusal)
            return
        flow = Flow(self.wire, self)
        self.flow = flow
        flow.refuse_request(refusal)

    def _linger(self) -> None:
        """Close so that the answer arrives: end our side, drop what comes, for a short time."""
        self.closing = True
        self.deadline = self.wire.clock.now() + _LINGER_S
        try:
            if self.transport.can_write_eof():
                self.reads.flush()
                self.transport.write_eof()
                return
        except OSError:  # the client has gone already
            pass
        self.reads.end(self)

    def _drop(self, size: int) -> None:
        self.keep = False
        self._dropped += size
        if self._dropped > _MOST_DROPPED:
            self.reads.cut(self)
