"""The answer to one request before a chain: how it is read, and what of it may go on.

Rules this module keeps:
- what cannot be read is not passed on, because what cannot be read cannot be judged;
- how an answer is read goes by what its head says, and what its head says must fit: an answer that
  is something else ends as unreadable, never as text of another kind;
- what was not changed goes on as the very bytes that came, without a coding of the body;
- in observe mode nothing is refused or changed; what could not be judged is recorded as such.

Units: sizes in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tavo.llm.dialect import Broken, Framing, Operation
from tavo.llm.parts import Kind, Reading, dumped
from tavo.proxy.bodies import (
    BodyError,
    Decoder,
    check_charset,
    is_plain_text,
    read_document,
)
from tavo.proxy.chain.desk import ChainDesk
from tavo.proxy.chain.elsewhere import Texts
from tavo.proxy.messages import Headers, Mode, Pending, Record, ResponseHead
from tavo.proxy.stream.asking import Blocked
from tavo.proxy.stream.flow import Flow

if TYPE_CHECKING:
    from tavo.proxy.chain.plugins import Judging, PluginFilters

__all__ = ["OFF_LOOP", "Answering", "is_long"]

OFF_LOOP = 8 << 10
"""New text from this size on is looked at in another thread: RE2 lets the loop run meanwhile."""

MOST_ANSWER = 64 << 20
_NO_BODY = frozenset({204, 304})
_SAID_ONCE = frozenset({b"content-type", b"content-encoding"})
_FRAMINGS = {b"text/event-stream": Framing.SSE, b"application/x-ndjson": Framing.LINES,
             b"application/jsonl": Framing.LINES}  # fmt: skip


class Answering:
    """One answer. `blocked` is set once it must not go on.

    `choices` are the answers that were asked for, `asked` what was asked, for plugins.
    """

    __slots__ = (
        "_changed", "_decoder", "_document", "_flow", "_held", "_judging", "_observe", "_operation",
        "_pieces", "_plugins", "_reading", "_record", "_size", "_step", "_texts", "asked",
        "blocked", "choices", "desk", "status",
    )  # fmt: skip

    def __init__(
        self, operation: Operation, desk: ChainDesk, record: Record, plugins: PluginFilters | None
    ) -> None:
        self._operation = operation
        self._record = record
        self._observe = desk.chain.observe
        self._plugins = plugins if plugins is not None and plugins.wants("response") else None
        self._flow: Flow | None = None
        self._decoder: Decoder | None = None
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._document: Any = None
        self._reading: Reading | None = None
        self._texts: Texts | None = None
        self._judging: Judging | None = None
        self._held: dict[Any, str] = {}
        self._step = ""
        self._changed = False
        self.desk = desk
        self.status = 0
        self.choices = 1
        self.asked: Reading | None = None
        self.blocked: Broken | None = None

    def head(self, status: int, headers: Headers) -> ResponseHead:
        """Decide by the head how the answer is read. Raises Blocked."""
        self.status = status
        fields = dict(headers)
        if status in _NO_BODY:
            return ResponseHead(status=status, headers=headers, mode=Mode.PASS)
        try:
            return self._read_head(fields, headers)
        except BodyError as error:
            if not self._observe:
                raise Blocked(self._bad(str(error))) from None
            self._record.unjudged = f"the answer could not be read: {error}"
            return ResponseHead(status=status, headers=headers, mode=Mode.PASS)

    def _read_head(self, fields: dict[bytes, bytes], headers: Headers) -> ResponseHead:
        status, operation = self.status, self._operation
        if 300 <= status < 400:  # clients would send the same text there
            raise BodyError("the upstream sends the client elsewhere")
        if sum(name in _SAID_ONCE for name, _ in headers) != len(_SAID_ONCE & fields.keys()):
            raise BodyError("its head says twice what its body is")
        self._decoder = Decoder.of(fields.get(b"content-encoding", b""))
        if self._decoder is not None and not self._observe:
            headers = [pair for pair in headers if pair[0] != b"content-encoding"]
        check_charset(fields.get(b"content-type", b""))
        kind = fields.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
        framing = _FRAMINGS.get(kind)
        if framing is None and operation.framing is Framing.ARRAY and status == 200:
            framing = Framing.ARRAY
        if framing is not None:
            dialect = operation.dialect
            self._flow = Flow(
                framing, dialect.events(operation, self.choices), self.desk,
                lambda why: dialect.broken_off(why, framing), observe=self._observe,
                hold_all=self._plugins is not None,
            )  # fmt: skip
            return ResponseHead(status=status, headers=headers, mode=Mode.STREAM)
        if not (kind.endswith(b"json") or kind.startswith(b"text/") or not kind):
            raise BodyError(f"nothing here can read {kind.decode('latin-1')[:60]}")
        self._pieces = []
        return ResponseHead(status=status, headers=headers, mode=Mode.WHOLE)

    @property
    def held(self) -> int:
        """How many bytes of it are kept at the moment."""
        return self._flow.held if self._flow is not None else self._size

    def break_off(self, why: Broken) -> Sequence[bytes]:
        """Return what ends a stream for a reason of the wire's own; nothing for another answer."""
        if self._flow is None:
            return ()
        out = self._flow.stop(why)
        self._take_flow()
        return out

    def data(self, data: bytes) -> Sequence[bytes]:
        """Take a piece; return what may be sent now."""
        said = data
        if self._decoder is not None:
            try:
                said = self._decoder.feed(data)
            except BodyError as error:
                return self._cannot_go_on(str(error), data)
            if not said:
                return (data,) if self._observe else ()
        if self._flow is not None:
            out = self._flow.feed(said)
            self._take_flow()
            return (data,) if self._observe else out
        if self._pieces is None or self.blocked is not None:
            return () if self.blocked is not None else (data,)
        self._size += len(said)
        if self._size > MOST_ANSWER:
            return self._cannot_go_on(f"it is larger than {MOST_ANSWER} bytes", data)
        self._pieces.append(said)
        return (data,) if self._observe else ()

    def _cannot_go_on(self, why: str, data: bytes = b"") -> Sequence[bytes]:
        """End an answer that cannot be read any further."""
        if self._observe:
            self._record.unjudged = f"the answer could not be read: {why}"
            self._flow = self._pieces = self._decoder = None
            return (data,) if data else ()
        if self._flow is None:
            self.blocked = self._bad(why)
            return ()
        out = self._flow.stop(self._bad(why))
        self._take_flow()
        return out

    def end(self) -> Sequence[bytes] | Pending:
        """Take the end; return what is still to be sent."""
        if self._decoder is not None and self.blocked is None:
            try:
                self._decoder.end()
            except BodyError as error:
                return self._cannot_go_on(str(error))
        if self._flow is not None:
            if self._flow.holds_all and self.blocked is None:
                return self._ask_about_stream(self._flow)
            out = self._flow.end()
            self._take_flow()
            return out
        if self._pieces is None or self.blocked is not None:
            return ()
        return self._guarded(self._judge_whole)

    def _guarded(self, judge: Any) -> Sequence[bytes] | Pending:
        try:
            return judge()  # type: ignore[no-any-return]
        except Blocked as blocked:
            self.blocked = blocked.why
        except RecursionError:
            self.blocked = self._bad("it is nested too deep", self.desk.error_id)
        return ()

    def _bad(self, why: str, id_: Any = None) -> Broken:
        """Say that an answer cannot be judged. The status of an error stays: clients act on it."""
        status = self.status
        if status >= 400:
            message = f"the upstream answered {status}, with a body that cannot be passed on: {why}"
            return Broken(message=message, code="tavo_unreadable", status=status)
        message = f"the answer cannot be judged: {why}"
        return Broken(message=message, code="tavo_unreadable", status=502, id=id_)

    # an answer that is one document -------------------------------------------------------------

    def _judge_whole(self) -> Sequence[bytes] | Pending:
        pieces = self._pieces or []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not body.strip():
            return () if self._observe else pieces
        dialect = self._operation.dialect
        try:
            document = json.loads(body.decode()) if self._observe else read_document(body)
            if self.status < 300 and dialect.one_answer and self._operation.has_text:
                _one_answer(document)
            reading = dialect.read_answer(self._operation, document)
        except (ValueError, RecursionError) as error:
            too_deep = isinstance(error, RecursionError)
            return self._garbage(body, "it is nested too deep" if too_deep else str(error))
        record = self._record
        record.tokens_in, record.tokens_out = reading.usage
        record.counted = any(reading.usage)
        record.bytes_seen = sum(len(slot.text.encode("utf-8", "replace")) for slot in reading.slots)
        record.bytes_seen += sum(call.size for call in reading.calls)
        self._document, self._reading = document, reading
        self._changed = bool(reading.drops) and self.desk.rewriting(Kind.TEXT) is not None
        if self._changed:
            for holder, key in reading.drops:
                holder[key] = None
        if is_long(reading):
            self._texts = self.desk.unknown(reading.slots, reading.joins)
        if self._texts is not None and self._texts.size >= OFF_LOOP:
            self._step = "look"
            return Pending(run=self._look_elsewhere)
        return self._finish_whole()

    async def _look_elsewhere(self) -> None:
        assert self._texts is not None  # noqa: S101
        await self._texts.look_elsewhere()

    def _garbage(self, body: bytes, why: str) -> Sequence[bytes]:
        """Judge an answer that has no one reading. Raises Blocked.

        Only a plain text where no client looks for JSON may go on, such as an error of a server
        in front of the provider; it cannot be changed, so it goes as it is or not at all.
        """
        operation, desk = self._operation, self.desk
        is_unread = self.status >= 300 or (
            operation.dialect.name == "mcp" and (self.status == 202 or not operation.has_text)
        )
        if not self._observe and not (is_unread and is_plain_text(body)):
            raise Blocked(self._bad(why, desk.error_id))
        try:
            desk.garbage(body.decode("utf-8", "replace"))
        except Blocked as blocked:
            if self.status < 400:
                raise
            reason = "there is something in it that a filter takes out"
            raise Blocked(self._bad(reason)) from blocked
        self._record.bytes_seen = self._record.bytes_released = len(body)
        return () if self._observe else self._pieces or ()

    def _finish_whole(self) -> Sequence[bytes] | Pending:
        desk, reading = self.desk, self._reading
        assert reading is not None  # noqa: S101
        if self._texts is not None:
            desk.learn(self._texts)
            self._texts = None
        changed = desk.slots(reading.slots) or self._changed
        changed = desk.joins(reading.joins) or changed
        for call in reading.calls:
            changed = desk.call(call) or changed
        self._changed = desk.tools(reading.tools) or changed
        if self._plugins is not None:
            judging = self._plugins.response(self.asked, reading, desk)
            if judging is not None:
                self._judging, self._step = judging, "plugins"
                return Pending(run=judging.run)
        return self._release()

    def _release(self) -> Sequence[bytes]:
        document, self._document = self._document, None
        self._record.bytes_released = self._record.bytes_seen
        if self._observe:
            return ()
        return (dumped(document),) if self._changed else self._pieces or ()

    # an answer that comes in events -------------------------------------------------------------

    def _ask_about_stream(self, flow: Flow) -> Sequence[bytes] | Pending:
        assert self._plugins is not None  # noqa: S101
        out = flow.finish()
        self._take_flow()
        if self.blocked is not None or flow.is_blind:
            return out
        texts = flow.texts()
        if not texts:
            return flow.release()
        self._held = dict(texts)
        self._judging = self._plugins.stream(self.asked, texts, self.desk)
        self._step = "plugins"
        return Pending(run=self._judging.run)

    def _take_flow(self) -> None:
        flow, record = self._flow, self._record
        assert flow is not None  # noqa: S101
        record.tokens_in, record.tokens_out = flow.usage
        record.counted = any(flow.usage)
        record.bytes_seen, record.bytes_released = flow.seen, flow.released
        if flow.is_blind and not record.unjudged:
            record.unjudged = "the answer could not be judged to its end"
        if flow.broken is not None and self.blocked is None:
            broken = flow.broken
            if broken.code == "tavo_unreadable" and self.status >= 400:
                broken = replace(broken, status=self.status, id=None)
            self.blocked = broken

    # both ---------------------------------------------------------------------------------------

    def resume(self) -> Sequence[bytes] | Pending:
        """Return what the call that was `Pending` would have returned."""
        step, self._step = self._step, ""
        if step == "look":
            return self._guarded(self._finish_whole)
        judging, self._judging = self._judging, None
        assert judging is not None  # noqa: S101
        flow = self._flow
        if flow is None:
            return self._guarded(lambda: self._after_plugins(judging))
        try:
            judging.decide()
        except Blocked as blocked:
            out = flow.stop(blocked.why)
        else:
            flow.replace(self._held, judging.texts)
            out = flow.release()
        self._take_flow()
        return out

    def _after_plugins(self, judging: Judging) -> Sequence[bytes]:
        self._changed = judging.decide() or self._changed
        return self._release()


def is_long(reading: Reading) -> bool:
    """Tell whether it is worth to ask how much of the texts is new."""
    return sum(len(slot.text) for slot in reading.slots) >= OFF_LOOP


def _one_answer(document: Any) -> None:
    """Raise BodyError for what is not one object: a client could put parts of it together."""
    if not isinstance(document, dict):
        raise BodyError("it is no object")
