"""One request and its answer before a chain: what the bytes mean, and what may go on.

Rules this module keeps:
- no I/O and no clock; what takes long is handed out as `Pending` and done elsewhere;
- what cannot be read is refused, because what cannot be read cannot be judged: other encodings,
  bodies that are no JSON, names that stand twice in an object (two readers, two meanings);
- what was not changed goes on as the very bytes that came;
- in observe mode nothing is refused or changed; what could not be judged is recorded as such.

Units: sizes in bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tavo.llm.dialect import Broken, Framing, Operation
from tavo.llm.known import operation_of
from tavo.llm.mcp import request_id
from tavo.llm.parts import Kind, Reading, dumped, strict_json
from tavo.proxy.chain.desk import ChainDesk, Texts
from tavo.proxy.chain.values import Asked, Scope
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
from tavo.proxy.stream.flow import Blocked, Flow

if TYPE_CHECKING:
    from tavo.proxy.chain.chain import Chain
    from tavo.proxy.chain.plugins import Judging, PluginFilters

__all__ = ["OFF_LOOP", "ChainExchange"]

OFF_LOOP = 8 << 10
"""New text from this size on is looked at in another thread: RE2 lets the loop run meanwhile."""

MOST_ANSWER = 64 << 20
MOST_KEPT = 1 << 20
"""Of each text that the log asks for, so much."""
_NO_BODY = frozenset({204, 304})
_SAID_ONCE = frozenset({b"content-type", b"content-encoding"})
_KEPT = frozenset({b"retry-after", b"retry-after-ms", b"x-should-retry", b"www-authenticate"})
"""What tells a client how to go on after an error; it stays where the text of the error goes."""
_FRAMINGS = {b"text/event-stream": Framing.SSE, b"application/x-ndjson": Framing.LINES,
             b"application/jsonl": Framing.LINES}  # fmt: skip


class ChainExchange:
    """The exchange that judges. `unknown`: what happens to paths that no dialect knows."""

    __slots__ = (
        "_answer", "_answer_desk", "_body", "_chain", "_desk", "_document", "_flow", "_heard",
        "_held_texts", "_is_changed", "_is_closed", "_judging", "_operation", "_pieces",
        "_plugins", "_reading", "_scope", "_size", "_status", "_step", "_texts", "_told", "_total",
        "_type", "_unknown", "blocked", "record",
    )  # fmt: skip

    def __init__(
        self,
        chain: Chain,
        *,
        unknown: str = "block",
        plugins: PluginFilters | None = None,
        keeps_texts: bool = False,
        said: Counter[tuple[str, str]] | None = None,
    ) -> None:
        self.record = Record(said=[], observed=chain.observe)
        self.blocked: Refusal | None = None
        self._chain = chain
        self._unknown = unknown
        self._plugins = plugins
        self._judging: Judging | None = None
        self._operation: Operation | None = None
        self._scope = Scope()
        self._desk: ChainDesk | None = None
        self._answer_desk: ChainDesk | None = None
        self._body = b""
        self._document: Any = None
        self._reading: Reading | None = None
        self._answer: Reading | None = None
        self._texts: Texts | None = None
        self._flow: Flow | None = None
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._type = b""
        self._status = 0
        self._told: Headers = []
        self._step = ""
        self._is_changed = False
        self._held_texts: dict[Any, str] = {}
        self._is_closed = False
        self._total = said
        self._heard: list[bytes] | None = [] if keeps_texts else None

    # the request ------------------------------------------------------------------------------

    def request_head(self, head: RequestHead) -> Route | Refusal:
        """Decide by the head where the request goes."""
        target = head.path + b"?" + head.query if head.query else head.path
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
        self._scope = Scope(
            client=head.client,
            key=self._chain.key_of(head.secret, head.client),
            now=head.now,
            dialect=name,
        )
        headers: Headers = []
        for key, value in head.headers:
            if key == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
                if not self._chain.observe:
                    return self._refusal(
                        Broken(
                            message="a compressed request cannot be judged: send it as it is",
                            code="tavo_unreadable",
                            status=415,
                        )
                    )
                self.record.unjudged = "the request was compressed"
            if key != b"accept-encoding":
                headers.append((key, value))
        headers.append((b"accept-encoding", b"identity"))
        return Route(dialect=name, whole=True, target=target, headers=headers)

    def request_body(self, body: bytes) -> Forward | Refusal | Pending:
        """Judge a whole body."""
        self._body = body
        if self._operation is None or self.record.unjudged:
            return Forward(body=body)
        if not body:
            return Forward(body=body, model=self._operation.model)
        try:
            return self._judge_request()
        except Blocked as blocked:
            return self._refusal(blocked.why)

    def _judge_request(self) -> Forward | Refusal | Pending:
        operation = self._operation
        assert operation is not None  # noqa: S101
        try:
            self._document = _strict(self._body)
            reading = operation.dialect.read_request(operation, self._document)
        except (ValueError, RecursionError) as error:
            too_deep = isinstance(error, RecursionError)
            return self._unreadable("it is nested too deep" if too_deep else str(error))
        self._reading = reading
        self.record.model = reading.model
        self.record.stream = reading.is_stream
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
        if _is_long(reading):
            self._texts = desk.unknown(reading.slots)
        self._step = "request"
        if self._texts is not None and self._texts.size >= OFF_LOOP:
            return Pending(run=self._look_elsewhere)
        return self._finish_request()

    async def _look_elsewhere(self) -> None:
        assert self._texts is not None  # noqa: S101
        await asyncio.to_thread(self._texts.look)

    def _finish_request(self) -> Forward | Refusal | Pending:
        desk, reading, operation = self._desk, self._reading, self._operation
        assert desk is not None  # noqa: S101
        assert reading is not None  # noqa: S101
        assert operation is not None  # noqa: S101
        if self._texts is not None:
            desk.learn(self._texts)
            self._texts = None
        changed = desk.slots(reading.slots)
        for call in reading.calls:
            changed = desk.call(call) or changed
        if not self._chain.observe:
            for one in self._chain.filters:
                changed = one.prepare(self._document, self._scope) or changed
        if self._plugins is not None and self._plugins.wants("request"):
            judging = self._plugins.request(reading, desk)
            if judging is not None:
                self._judging, self._step, self._is_changed = judging, "plugins-request", changed
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
        fields = dict(headers)
        self._status = status
        if status >= 400:
            self._told = [pair for pair in headers if pair[0] in _KEPT]
        self._type = fields.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
        if operation is None or (self._chain.observe and self.record.unjudged):
            return ResponseHead(status=status, headers=headers, mode=Mode.PASS)
        out = [pair for pair in headers if not pair[0].startswith(b"x-tavo-filter-status")]
        if (skipped := self._skipped()) != "":
            out.append((b"x-tavo-filter-status", skipped.encode("latin-1", "replace")))
        if status in _NO_BODY:
            return ResponseHead(status=status, headers=out, mode=Mode.PASS)
        if 300 <= status < 400:  # clients would send the same text there
            return self._unjudged_answer(status, headers, "the upstream sends the client elsewhere")
        if sum(name in _SAID_ONCE for name, _ in headers) != len(_SAID_ONCE & fields.keys()):
            return self._unjudged_answer(status, headers, "its head says twice what its body is")
        encoding = fields.get(b"content-encoding", b"").strip().lower()
        if encoding not in {b"", b"identity"}:
            return self._unjudged_answer(status, headers, "the upstream compressed its answer")
        desk = self._answer_desk = ChainDesk(self._chain, self._scope, "response")
        if self._desk is not None:
            desk.error_id = self._desk.error_id
        framing = _FRAMINGS.get(self._type)
        if framing is None and operation.framing is Framing.ARRAY and status == 200:
            framing = Framing.ARRAY
        if framing is not None:
            dialect = operation.dialect
            self._flow = Flow(
                framing, dialect.events(operation), desk,
                lambda why: dialect.broken_off(why, framing),
                observe=self._chain.observe,
                hold_all=self._plugins is not None and self._plugins.wants("response"),
            )  # fmt: skip
            return ResponseHead(status=status, headers=out, mode=Mode.STREAM)
        if not (self._type.endswith(b"json") or self._type.startswith(b"text/") or not self._type):
            kind = self._type.decode("latin-1")[:60]
            return self._unjudged_answer(status, headers, f"nothing here can read {kind}")
        self._pieces = []
        return ResponseHead(status=status, headers=out, mode=Mode.WHOLE)

    def _unjudged_answer(self, status: int, headers: Headers, why: str) -> ResponseHead | Refusal:
        if self._chain.observe:
            self.record.unjudged = why
            return ResponseHead(status=status, headers=headers, mode=Mode.PASS)
        return self._refusal(self._bad_answer(why))

    def _bad_answer(self, why: str, id_: Any = None) -> Broken:
        """Say that an answer cannot be judged. The status of an error stays: clients act on it."""
        status = self._status
        if status >= 400:
            message = f"the upstream answered {status}, with a body that cannot be passed on: {why}"
            return Broken(message=message, code="tavo_unreadable", status=status)
        message = f"the answer cannot be judged: {why}"
        return Broken(message=message, code="tavo_unreadable", status=502, id=id_)

    def response_data(self, data: bytes) -> Sequence[bytes] | Pending:
        """Take a piece of the answer; return what may be sent now."""
        if self._flow is not None:
            out = self._flow.feed(data)
            self._take_flow()
            return self._keep(out)
        if self._pieces is None or self.blocked is not None:
            return () if self.blocked is not None else (data,)
        self._size += len(data)
        if self._size > MOST_ANSWER:
            self._block(Broken(message="the answer is larger than can be judged", status=502))
            return ()
        self._pieces.append(data)
        return (data,) if self._chain.observe else ()

    def response_end(self) -> Sequence[bytes] | Pending:
        """Take the end of the answer; return what is still to be sent."""
        if self._flow is not None:
            if self._plugins is not None and self._flow.holds_all and self.blocked is None:
                return self._ask_about_stream()
            out = self._flow.end()
            self._take_flow()
            return self._keep(out)
        if self._pieces is None or self.blocked is not None:
            return ()
        try:
            return self._judge_answer(self._pieces)
        except Blocked as blocked:
            self._block(blocked.why)
            return ()

    def _judge_answer(self, pieces: list[bytes]) -> Sequence[bytes] | Pending:
        operation, desk = self._operation, self._answer_desk
        assert operation is not None  # noqa: S101
        assert desk is not None  # noqa: S101
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not body.strip():
            return () if self._chain.observe else pieces
        try:
            document = json.loads(body.decode()) if self._chain.observe else _strict(body)
            reading = operation.dialect.read_answer(operation, document)
        except (ValueError, RecursionError) as error:
            too_deep = isinstance(error, RecursionError)
            return self._garbage(body, "it is nested too deep" if too_deep else str(error))
        self.record.tokens_in, self.record.tokens_out = reading.usage
        self.record.counted = any(reading.usage)
        self.record.bytes_seen = sum(len(slot.text.encode("utf-8", "replace"))
                                     for slot in reading.slots)  # fmt: skip
        self._document = document
        self._is_changed = bool(reading.drops) and desk.rewriting(Kind.TEXT) is not None
        if self._is_changed:
            for holder, key in reading.drops:
                holder[key] = None
        self._answer = reading
        if _is_long(reading):
            self._texts = desk.unknown(reading.slots)
        if self._texts is not None and self._texts.size >= OFF_LOOP:
            self._step = "answer"
            return Pending(run=self._look_elsewhere)
        return self._finish_answer()

    def _garbage(self, body: bytes, why: str) -> Sequence[bytes]:
        """Judge an answer that has no one reading. Raises Blocked.

        Only a plain text where no client looks for JSON may go on, such as an error of a server
        in front of the provider; it cannot be changed, so it goes as it is or not at all.
        """
        operation, desk = self._operation, self._answer_desk
        assert operation is not None  # noqa: S101
        assert desk is not None  # noqa: S101
        is_unread = self._status >= 300 or (
            operation.dialect.name == "mcp" and (self._status == 202 or not operation.has_text)
        )
        if not self._chain.observe and not (is_unread and _is_plain(body)):
            raise Blocked(self._bad_answer(why, desk.error_id))
        try:
            desk.garbage(body.decode("utf-8", "replace"))
        except Blocked as blocked:
            if self._status < 400:
                raise
            reason = "there is something in it that a filter takes out"
            raise Blocked(self._bad_answer(reason)) from blocked
        self.record.bytes_seen = self.record.bytes_released = len(body)
        return () if self._chain.observe else self._pieces or ()

    def _finish_answer(self) -> Sequence[bytes] | Pending:
        desk, reading = self._answer_desk, self._answer
        assert desk is not None  # noqa: S101
        assert reading is not None  # noqa: S101
        if self._texts is not None:
            desk.learn(self._texts)
            self._texts = None
        changed = desk.slots(reading.slots) or self._is_changed
        for call in reading.calls:
            changed = desk.call(call) or changed
        changed = desk.tools(reading.tools) or changed
        self._is_changed = changed
        if self._plugins is not None and self._plugins.wants("response"):
            judging = self._plugins.response(self._reading, reading, desk)
            if judging is not None:
                self._judging, self._step = judging, "plugins-answer"
                return Pending(run=judging.run)
        return self._release(changed)

    def _release(self, changed: bool) -> Sequence[bytes]:
        document, self._document = self._document, None
        self.record.bytes_released = self.record.bytes_seen
        pieces = self._pieces or []
        if self._chain.observe:
            return ()
        return self._keep((dumped(document),) if changed else pieces)

    def _ask_about_stream(self) -> Sequence[bytes] | Pending:
        flow, desk = self._flow, self._answer_desk
        assert flow is not None  # noqa: S101
        assert desk is not None  # noqa: S101
        assert self._plugins is not None  # noqa: S101
        out = flow.finish()
        self._take_flow()
        if self.blocked is not None or flow.is_blind:
            return out
        texts = flow.texts()
        if not texts:
            return flow.release()
        self._held_texts = dict(texts)
        self._judging = self._plugins.stream(self._reading, texts, desk)
        self._step = "plugins-stream"
        return Pending(run=self._judging.run)

    def _keep(self, pieces: Sequence[bytes]) -> Sequence[bytes]:
        """Keep what the client gets, where the log asks for it."""
        if self._heard is not None and sum(map(len, self._heard)) < MOST_KEPT:
            self._heard += pieces
        return pieces

    def _take_flow(self) -> None:
        flow = self._flow
        assert flow is not None  # noqa: S101
        record = self.record
        record.tokens_in, record.tokens_out = flow.usage
        record.counted = any(flow.usage)
        record.bytes_seen, record.bytes_released = flow.seen, flow.released
        if flow.is_blind and not record.unjudged:
            record.unjudged = "the answer could not be judged to its end"
        if flow.broken is not None and self.blocked is None:
            broken = flow.broken
            if broken.code == "tavo_unreadable" and self._status >= 400:
                broken = replace(broken, status=self._status, id=None)
            self._block(broken)

    # both -------------------------------------------------------------------------------------

    def resume(self) -> Forward | Refusal | Sequence[bytes] | Pending:
        """Return what the call that was `Pending` would have returned."""
        step, self._step = self._step, ""
        judging, self._judging = self._judging, None
        try:
            if step == "request":
                return self._finish_request()
            if step == "answer":
                return self._finish_answer()
            assert judging is not None  # noqa: S101
            if step == "plugins-request":
                return self._forward(judging.decide() or self._is_changed)
            if step == "plugins-answer":
                return self._release(judging.decide() or self._is_changed)
            assert self._flow is not None  # noqa: S101
            judging.decide()
            self._flow.replace(self._held_texts, judging.texts)
            out = self._flow.release()
            self._take_flow()
        except Blocked as blocked:
            if step in {"request", "plugins-request"}:
                return self._refusal(blocked.why)
            if step == "plugins-stream" and self._flow is not None:
                out = self._flow.stop(blocked.why)
                self._take_flow()
                return out
            self._block(blocked.why)
            return ()
        return out

    def refusal(self, status: int, code: str, reason: str) -> Refusal:
        """Word a refusal of the wire's own, such as a budget, as the dialect words errors."""
        return self._worded(Broken(message=reason, code=code, status=status))

    def close(self, how: Finished) -> None:
        """End: nothing more comes. What is held back is dropped, the record is complete."""
        if self._is_closed:
            return
        self._is_closed = True
        self._write_down()
        if self._heard and self.record.texts is not None:
            heard = b"".join(self._heard)[:MOST_KEPT].decode("utf-8", "replace")
            self.record.texts["response"] = heard
        if self._total is not None:
            for said in self.record.said:
                self._total[said.filter, said.action] += 1
        self._flow = self._pieces = self._document = self._reading = None
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
        if why.code == "tavo_unreadable" and status == self._status >= 400:
            headers += self._told  # it is the upstream's error, and may be tried again as that
        elif status in {403, 429, 503}:
            headers.append((b"x-should-retry", b"false"))
        return Refusal(status=status, body=body, code=why.code, reason=why.message, headers=headers)

    def _block(self, why: Broken) -> None:
        self.blocked = self._refusal(why)

    def _skipped(self) -> str:
        if self._desk is None:
            return ""
        names = sorted({name for name, action, _ in self._desk.said if action == "skip"})
        return ", ".join(f"{name}; skipped" for name in names)

    def _write_down(self, verdict: str = "") -> None:
        """Bring the record up to date."""
        record = self.record
        record.said = [
            Said(filter=name, action=action, where=desk.phase,
                 detail=label if count == 1 else f"{label} x{count}")
            for desk in (self._desk, self._answer_desk) if desk is not None
            for (name, action, label), count in desk.said.items()
        ]  # fmt: skip
        actions = {said.action for said in record.said}
        if verdict == "block":
            record.verdict = "block"
        elif record.verdict != "block" and not self._chain.observe:
            record.verdict = "modify" if "modify" in actions else "allow"


def _strict(body: bytes) -> Any:
    """Return a document that every reader reads alike. Raises ValueError."""
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("it begins with a byte order mark")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    try:
        return strict_json(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error.msg} at character {error.pos}") from None


def _is_plain(body: bytes) -> bool:
    """Tell whether a body is text that no reader takes for JSON, in any encoding."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return "\0" not in text and not text.lstrip("\ufeff \t\r\n").startswith(("{", "[", '"'))


def _is_long(reading: Reading) -> bool:
    """Tell whether it is worth to ask how much of the texts is new."""
    return sum(len(slot.text) for slot in reading.slots) >= OFF_LOOP
