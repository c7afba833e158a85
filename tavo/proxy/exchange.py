"""One request and its answer before a chain: what the bytes mean, and what may go on.

Rules this module keeps:
- no I/O and no clock; what takes long is handed out as `Pending` and done elsewhere;
- what cannot be read is refused, because what cannot be read cannot be judged: other encodings,
  bodies that are no JSON, names that stand twice in an object (two readers, two meanings);
- what was not changed goes on as the very bytes that came, without a coding of the body;
- in observe mode nothing is refused or changed; what could not be judged is recorded as such.

Units: sizes in bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tavo.llm.dialect import Broken, Operation
from tavo.llm.known import operation_of
from tavo.llm.mcp import request_id
from tavo.llm.parts import Reading, Slot, dumped
from tavo.proxy.answering import OFF_LOOP, Answering, is_long
from tavo.proxy.bodies import BodyError, Decoder, check_charset, decoded, read_document
from tavo.proxy.chain.desk import ChainDesk
from tavo.proxy.chain.elsewhere import Texts, next_turn
from tavo.proxy.chain.heads import judge_head
from tavo.proxy.chain.memo import Head
from tavo.proxy.chain.values import NOBODY, Asked, Scope
from tavo.proxy.messages import (
    Finished,
    Forward,
    Headers,
    Mode,
    Pending,
    Record,
    Refusal,
    RequestHead,
    ResponseHead,
    Route,
    Said,
)
from tavo.proxy.stream.asking import Blocked

if TYPE_CHECKING:
    from tavo.proxy.chain.chain import Chain
    from tavo.proxy.chain.plugins import Judging, PluginFilters

__all__ = ["OFF_LOOP", "ChainExchange"]

MOST_KEPT = 1 << 20
"""Of each text that the log asks for, so much."""
_LONGEST_USUAL = 6 << 10
_GLUES = ("", "\n")
"""What a provider may put between two parts of a message."""
_IN_ONE_TURN = 16
"""So many texts of a long request are judged before others have their turn."""
_KEPT = frozenset({b"retry-after", b"retry-after-ms", b"x-should-retry", b"www-authenticate"})
"""What tells a client how to go on after an error; it stays where the text of the error goes."""


class ChainExchange:
    """The exchange that judges. `unknown`: what happens to paths that no dialect knows."""

    # what most exchanges never set stands here, so that making one is cheap
    blocked: Refusal | None = None
    _plugins: PluginFilters | None = None
    _judging: Judging | None = None
    _operation: Operation | None = None
    _scope = NOBODY
    _desk: ChainDesk | None = None
    _answering: Answering | None = None
    _body = b""
    _coding = b""
    _choices = 1
    _document: Any = None
    _reading: Reading | None = None
    _texts: Texts | None = None
    _left: list[Slot] | None = None  # of a long request, what is judged in a later turn
    _told: Sequence[tuple[bytes, bytes]] = ()
    _step = ""
    _is_changed = False
    _is_closed = False
    _is_head_said = True  # so that each head like it has to be judged
    _heard: list[bytes] | None = None
    _heard_size = 0

    def __init__(
        self,
        chain: Chain,
        *,
        unknown: str = "block",
        plugins: PluginFilters | None = None,
        keeps_texts: bool = False,
        said: Counter[tuple[str, str]] | None = None,
    ) -> None:
        self.record = Record(observed=chain.observe)
        self._chain = chain
        self._unknown = unknown
        self._total = said
        if plugins is not None:
            self._plugins = plugins
        if keeps_texts:
            self._heard = []

    @property
    def held(self) -> int:
        """How many bytes of the answer it keeps at the moment."""
        return self._answering.held if self._answering is not None else 0

    # the request ------------------------------------------------------------------------------

    def request_head(self, head: RequestHead) -> Route | Refusal:
        """Decide by the head where the request goes."""
        target = head.path + b"?" + head.query if head.query else head.path
        known = self._chain.heads.find(head)
        if known is not None:
            return self._known_head(head, known, target)
        operation = operation_of(
            head.method.decode("latin-1"), head.path.decode("latin-1"), head.query.decode("latin-1")
        )
        if operation is None:
            if self._unknown == "block" and not self._chain.observe:
                return self._refusal(
                    Broken(
                        message="this path is not one that the proxy knows how to judge",
                        code="tavo_unknown_path",
                        status=404,
                    )
                )
            self.record.unjudged = "no dialect knows this path"
            return Route(dialect="", whole=False, target=target, headers=head.headers)
        self._operation = operation
        name = operation.dialect.name
        self.record.dialect = name
        chain = self._chain
        self._scope = Scope(
            client=head.client, key=chain.key_of(head.secret, head.client), now=head.now,
            dialect=name,
        )  # fmt: skip
        codings = [value for key, value in head.headers if key == b"content-encoding"]
        coding = self._coding = b",".join(codings)
        try:
            is_coded = Decoder.of(coding) is not None
            for key, value in head.headers:
                if key == b"content-type":
                    check_charset(value)
        except BodyError as error:
            if not chain.observe:
                why = f"the request cannot be judged: {error}. Send it as it is"
                return self._refusal(Broken(message=why, code="tavo_unreadable", status=415))
            self.record.unjudged = f"the request could not be read: {error}"
            is_coded = False
        headers: Headers = [
            (key, value)
            for key, value in head.headers
            if key != b"accept-encoding"
            and not (is_coded and key == b"content-encoding" and not chain.observe)
        ]
        headers.append((b"accept-encoding", b"identity"))
        desk = self._desk = ChainDesk(chain, self._scope, "request")
        try:
            judge_head(desk, head)
        except Blocked as blocked:
            return self._refusal(blocked.why)
        self._is_head_said = bool(desk.said or self.record.unjudged)
        if not self._is_head_said:
            chain.heads.keep(Head(head.path, head.query, head.headers, operation, coding, headers))
        return Route(dialect=name, whole=True, target=target, headers=headers)

    def _known_head(self, head: RequestHead, known: Head, target: bytes) -> Route:
        """Take a head that was found good before."""
        name = known.operation.dialect.name
        self._is_head_said = False
        self._operation, self._coding, self.record.dialect = known.operation, known.coding, name
        self._scope = Scope(
            client=head.client, key=self._chain.key_of(head.secret, head.client), now=head.now,
            dialect=name,
        )  # fmt: skip
        return Route(dialect=name, whole=True, target=target, headers=known.outbound)

    def request_body(self, body: bytes) -> Forward | Refusal | Pending:
        """Judge a whole body."""
        self._body = body
        if self._operation is None or self.record.unjudged:
            return Forward(body=body)
        if not body:
            return Forward(body=body, model=self._operation.model)
        if len(body) <= _LONGEST_USUAL and (forward := self._usual_request(body)) is not None:
            return forward
        try:
            return self._judge_request()
        except Blocked as blocked:
            return self._refusal(blocked.why)
        except RecursionError:
            return self._unreadable("it is nested too deep")

    def _usual_request(self, body: bytes) -> Forward | None:
        """Let a request of the usual form go on in which there is nothing; None for any other."""
        operation = self._operation
        if operation is None or self._coding or self._plugins is not None:
            return None
        if self._heard is not None or (self._desk is not None and self._desk.said):
            return None
        asked = operation.dialect.usual_request(operation, body)
        if asked is None or not self._chain.clears("request", asked.texts):
            return None
        record = self.record
        record.model, record.stream = asked.model, asked.is_stream
        self._choices = asked.choices
        self._body = b""
        return Forward(body=body, model=asked.model, stream=asked.is_stream)

    def _judge_request(self) -> Forward | Refusal | Pending:
        operation = self._operation
        assert operation is not None  # noqa: S101
        try:
            body = decoded(self._body, self._coding)
            self._document = read_document(body)
            reading = operation.dialect.read_request(operation, self._document)
        except ValueError as error:
            return self._unreadable(str(error))
        if not self._chain.observe:
            self._body = body
        self._reading = reading
        self._choices = reading.choices
        self.record.model = reading.model
        self.record.stream = reading.is_stream
        desk = self._desk
        if desk is None:
            desk = self._desk = ChainDesk(self._chain, self._scope, "request")
        if operation.dialect.name == "mcp":
            desk.error_id = request_id(self._document)
        asked = Asked(
            model=reading.model, dialect=operation.dialect.name, media=tuple(reading.media)
        )
        for one in self._chain.filters:
            said = self._chain.ask(one, partial(one.judge_request, asked))
            if said is not None:
                desk.decide(said)
        desk.tools(reading.tools)
        if is_long(reading):
            self._texts = desk.unknown(reading.slots, reading.joins, _GLUES)
        self._step = "look"
        if self._texts is not None and self._texts.size >= OFF_LOOP:
            return Pending(run=self._look_elsewhere)
        return self._finish_request()

    async def _look_elsewhere(self) -> None:
        assert self._texts is not None  # noqa: S101
        await self._texts.look_elsewhere()

    def _finish_request(self) -> Forward | Refusal | Pending:
        desk, reading = self._desk, self._reading
        assert desk is not None  # noqa: S101
        assert reading is not None  # noqa: S101
        if self._texts is not None:
            desk.learn(self._texts)
            self._texts, self._left = None, reading.slots
        if self._left is None:
            self._is_changed = desk.slots(reading.slots)
        elif self._left:
            now, self._left = self._left[:_IN_ONE_TURN], self._left[_IN_ONE_TURN:]
            self._is_changed = desk.slots(now) or self._is_changed
            self._step = "look"
            return Pending(run=next_turn)
        changed = desk.joins(reading.joins, _GLUES) or self._is_changed
        for call in reading.calls:
            changed = desk.call(call) or changed
        if not self._chain.observe:
            for one in self._chain.filters:
                changed = one.prepare(self._document, self._scope) or changed
        if self._plugins is not None and self._plugins.wants("request"):
            judging = self._plugins.request(reading, desk)
            if judging is not None:
                self._judging, self._step, self._is_changed = judging, "plugins", changed
                return Pending(run=judging.run)
        return self._forward(changed)

    def _forward(self, changed: bool) -> Forward:
        assert self._reading is not None  # noqa: S101
        body = dumped(self._document) if changed and not self._chain.observe else self._body
        if self._heard is not None:
            self.record.texts = {"request": body[:MOST_KEPT].decode("utf-8", "replace")}
        self._write_down()
        forward = Forward(body=body, model=self._reading.model, stream=self._reading.is_stream)
        self._document, self._body = None, b""
        if self._desk is not None:
            self._desk.looks.clear()
        if self._plugins is None:
            self._reading = None  # thousands of streams may be open: what was asked can go
        return forward

    def _unreadable(self, why: str) -> Forward | Refusal:
        if self._chain.observe:
            self.record.unjudged = f"the request could not be read: {why}"
            return Forward(body=self._body)
        return self._refusal(
            Broken(
                message=f"the request cannot be judged: {why}", code="tavo_unreadable", status=400
            )
        )

    # the answer -------------------------------------------------------------------------------

    def response_head(self, status: int, headers: Headers) -> ResponseHead | Refusal:
        """Decide by the head what happens with the answer."""
        operation = self._operation
        if status >= 400:
            self._told = [pair for pair in headers if pair[0] in _KEPT]
        if operation is None or (self._chain.observe and self.record.unjudged):
            return ResponseHead(status=status, headers=headers, mode=Mode.PASS)
        out = [pair for pair in headers if not pair[0].startswith(b"x-tavo-filter-status")]
        if (skipped := self._skipped()) != "":
            out.append((b"x-tavo-filter-status", skipped.encode("latin-1", "replace")))
        desk = ChainDesk(self._chain, self._scope, "response")
        if self._desk is not None:
            desk.error_id = self._desk.error_id
        answering = self._answering = Answering(operation, desk, self.record, self._plugins)
        answering.asked, answering.choices = self._reading, self._choices
        try:
            return answering.head(status, out)
        except Blocked as blocked:
            return self._refusal(blocked.why)

    def response_data(self, data: bytes) -> Sequence[bytes] | Pending:
        """Take a piece of the answer; return what may be sent now."""
        if self._answering is None:
            return (data,)
        return self._told_client(self._answering.data(data))

    def response_end(self) -> Sequence[bytes] | Pending:
        """Take the end of the answer; return what is still to be sent."""
        return () if self._answering is None else self._told_client(self._answering.end())

    def _told_client(self, out: Sequence[bytes] | Pending) -> Sequence[bytes] | Pending:
        """Note what the client gets, where the log asks for it, and whether that is the end."""
        answering = self._answering
        if answering is not None and answering.blocked is not None and self.blocked is None:
            self.blocked = self._refusal(answering.blocked)
        if isinstance(out, Pending) or self._heard is None:
            return out
        if self._heard_size < MOST_KEPT:
            self._heard += out
            self._heard_size += sum(map(len, out))
        return out

    def response_whole(self, body: bytes) -> bytes | None:
        """Take an answer of status 200 at once: plain JSON, and nothing in its head but that."""
        operation, scope = self._operation, self._scope
        if operation is None or len(body) > _LONGEST_USUAL or self._choices != 1:
            return None
        if self._plugins is not None or self._heard is not None or self._chain.observe:
            return None
        if scope.values or scope.has_lookalikes or self._skipped():
            return None
        said = operation.dialect.usual_answer(operation, body)
        if said is None or not self._chain.clears("response", (said.text,)):
            return None
        record, text = self.record, said.text
        record.tokens_in, record.tokens_out = said.tokens_in, said.tokens_out
        record.counted = said.tokens_in > 0 or said.tokens_out > 0
        size = len(text) if text.isascii() else len(text.encode())
        record.bytes_seen = record.bytes_released = size
        return body

    # both -------------------------------------------------------------------------------------

    def another(self, now: float) -> ChainExchange | None:
        """Return a new exchange that has judged the same head with the same result."""
        if self._operation is None or self._is_head_said or self._plugins is not None:
            return None
        new = ChainExchange(
            self._chain, unknown=self._unknown, keeps_texts=self._heard is not None,
            said=self._total,
        )  # fmt: skip
        new._is_head_said = False
        new._operation = self._operation
        if self._coding:
            new._coding = self._coding
        scope = self._scope
        new.record.dialect = scope.dialect
        new._scope = Scope(scope.client, scope.key, now, scope.dialect)
        return new

    def resume(self) -> Forward | Refusal | Sequence[bytes] | Pending:
        """Return what the call that was `Pending` would have returned."""
        if self._answering is not None:
            return self._told_client(self._answering.resume())
        step, self._step = self._step, ""
        judging, self._judging = self._judging, None
        try:
            if step == "look":
                return self._finish_request()
            assert judging is not None  # noqa: S101
            return self._forward(judging.decide() or self._is_changed)
        except Blocked as blocked:
            return self._refusal(blocked.why)
        except RecursionError:
            return self._unreadable("it is nested too deep")

    def refusal(self, status: int, code: str, reason: str) -> Refusal:
        """Word a refusal of the wire's own, such as a budget, as the dialect words errors."""
        return self._worded(Broken(message=reason, code=code, status=status))

    def broken_off(self, status: int, code: str, reason: str) -> Sequence[bytes]:
        """Return what ends an answer that has begun with an error of the wire's own."""
        if self._answering is None or self.blocked is not None:
            return ()
        return self._answering.break_off(Broken(message=reason, code=code, status=status))

    def close(self, how: Finished) -> None:
        """End: nothing more comes. What is held back is dropped, the record is complete."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._desk is not None or self._answering is not None:
            self._write_down()
        if self._heard and self.record.texts is not None:
            heard = b"".join(self._heard)[:MOST_KEPT].decode("utf-8", "replace")
            self.record.texts["response"] = heard
        if self._total is not None and self.record.said:
            for said in self.record.said:
                self._total[said.filter, said.action] += 1
        self._answering = self._document = self._reading = None
        if self._scope.values:
            self._scope.values.clear()

    def _refusal(self, why: Broken) -> Refusal:
        self._write_down("block")
        return self._worded(why)

    def _worded(self, why: Broken) -> Refusal:
        operation = self._operation
        body = (
            operation.dialect.refusal(why)
            if operation is not None
            else dumped({"error": {"message": why.message, "code": why.code}})
        )
        headers: Headers = [(b"content-type", b"application/json")]
        status = why.status
        if operation is not None and operation.dialect.name == "mcp" and why.id is not None:
            status = 200  # an answer to the message; any other status breaks the session
        answered = self._answering.status if self._answering is not None else 0
        if why.code == "tavo_unreadable" and status == answered >= 400:
            headers += self._told  # it is the upstream's error, and may be tried again as that
        elif status in {403, 429, 503}:
            headers.append((b"x-should-retry", b"false"))
        return Refusal(status=status, body=body, code=why.code, reason=why.message, headers=headers)

    def _skipped(self) -> str:
        if self._desk is None or not self._desk.said:
            return ""
        names = sorted({name for name, action, _ in self._desk.said if action == "skip"})
        return ", ".join(f"{name}; skipped" for name in names)

    def _write_down(self, verdict: str = "") -> None:
        """Bring the record up to date."""
        record = self.record
        answered = self._answering.desk if self._answering is not None else None
        record.said = [
            Said(filter=name, action=action, where=desk.phase,
                 detail=label if count == 1 else f"{label} x{count}")
            for desk in (self._desk, answered) if desk is not None
            for (name, action, label), count in desk.said.items()
        ]  # fmt: skip
        actions = {said.action for said in record.said}
        if verdict == "block":
            record.verdict = "block"
        elif record.verdict != "block" and not self._chain.observe:
            record.verdict = "modify" if "modify" in actions else "allow"
