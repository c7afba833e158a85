"""The exchange of a proxy without filters: it knows the paths, the model and the usage, no more.

Rules this module keeps:
- a path that no dialect knows follows the rule of the configuration, and is blocked by default;
- a body that names its model twice is refused: two readers could take a different one;
- what comes goes on as it is; usage is read out of the end of an answer, never out of its text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec

from tavo.llm.dialect import Broken, EventReader, Operation
from tavo.llm.known import operation_of
from tavo.proxy.messages import (
    Exchange,
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
    plain_refusal,
)

__all__ = ["Passer", "PassingExchange"]

_PASS, _WATCH = Mode.PASS, Mode.WATCH
_FIRST, _LAST = 2 << 10, 4 << 10
_LONGEST_PATH = 512
_MOST = 1 << 40
_END = b"\n\n"
_LEAST = 4
"""An event of a stream brings a token at least: so many bytes of text."""
_UNJUDGED = "no filter is configured"
_OPENAI = "openai-chat"
_MODEL, _BACKSLASH, _ESCAPE = b'"model"', ord("\\"), b"\\u"


class _Asked(msgspec.Struct, gc=False):
    """What is read of a request's body; everything else is skipped."""

    model: Any = None
    stream: Any = None


class _Usage(msgspec.Struct, gc=False):
    """The counts of all dialects, by their names."""

    prompt_tokens: Any = 0
    input_tokens: Any = 0
    promptTokenCount: Any = 0  # noqa: N815
    prompt_eval_count: Any = 0
    completion_tokens: Any = 0
    output_tokens: Any = 0
    candidatesTokenCount: Any = 0  # noqa: N815
    eval_count: Any = 0
    cache_read_input_tokens: Any = 0
    cachedContentTokenCount: Any = 0  # noqa: N815
    prompt_tokens_details: Any = None
    input_tokens_details: Any = None


_Count = Annotated[int, msgspec.Meta(ge=0, lt=_MOST)]


class _Cached(msgspec.Struct, gc=False):
    cached_tokens: _Count = 0


class _UsualUsage(msgspec.Struct, gc=False):
    """The counts as OpenAI's servers, and those that are like them, give them."""

    prompt_tokens: Annotated[int, msgspec.Meta(gt=0, lt=_MOST)]
    completion_tokens: _Count = 0
    prompt_tokens_details: _Cached | None = None


class _Usual(msgspec.Struct, gc=False):
    usage: _UsualUsage


class _Answer(msgspec.Struct, gc=False):
    """What is read of a whole answer; Ollama has its counts in it."""

    usage: _Usage | None = None
    usageMetadata: _Usage | None = None  # noqa: N815
    prompt_eval_count: Any = 0
    eval_count: Any = 0


_CLEAN = Record(unjudged=_UNJUDGED)
_asked = msgspec.json.Decoder(_Asked)
_answer = msgspec.json.Decoder(_Answer)
_usual = msgspec.json.Decoder(_Usual)
_usage = msgspec.json.Decoder(_Usage)


class PassingExchange:
    """One exchange; changes nothing."""

    # what is not set for each exchange stands here, so that making one is cheap
    blocked = None
    held = 0
    _operation: Operation | None = None
    _like: Record | None = None
    _first = b""
    _size = 0
    _total = 0
    _events = 0
    _pieces: list[bytes] = cast("list[bytes]", ())  # a list once there are pieces

    def __init__(
        self, rule: str, operation: Operation | None = None, record: Record = _CLEAN
    ) -> None:
        """`record` is what is known of each exchange with this operation; it shares its lists."""
        self.record = record.__copy__()  # type: ignore[attr-defined]
        self._rule = rule
        if operation is not None:
            self._operation, self._like = operation, record

    def request_head(self, head: RequestHead) -> Route | Refusal:
        operation = _operation(head.method, head.path, head.query)
        record = self.record
        target = head.path + b"?" + head.query if head.query else head.path
        if operation is None:
            if self._rule == "block":
                return plain_refusal(
                    404, "unknown_path", "no dialect of this proxy has that path, so it is blocked"
                )
            return Route(dialect="", whole=False, target=target, headers=head.headers)
        self._operation = operation
        record.dialect = operation.dialect.name
        record.model = operation.model
        record.stream = operation.stream is True
        return Route(dialect=record.dialect, whole=True, target=target, headers=head.headers)

    def request_body(self, body: bytes) -> Forward | Refusal:
        record = self.record
        if body:
            try:
                asked = _asked.decode(body)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return Forward(body=body, model=record.model, stream=record.stream)
            is_escaped = _BACKSLASH in body and _ESCAPE in body  # the first is faster, as a number
            if (is_escaped or body.lower().count(_MODEL) != 1) and _twice(body):
                reason = "the body names its model twice, or in other letters than `model`"
                return self.refusal(400, "ambiguous", reason)
            model = asked.model
            if type(model) is str and not record.model:
                record.model = model
            if asked.stream is True:
                record.stream = True
        return Forward(body=body, model=record.model, stream=record.stream)

    def response_head(self, status: int, headers: Headers) -> ResponseHead:
        watched = self._operation is not None and 200 <= status < 300
        return ResponseHead(status=status, headers=headers, mode=_WATCH if watched else _PASS)

    def response_data(self, data: bytes) -> Sequence[bytes]:
        self._total += len(data)
        self._events += data.count(_END)
        if not self._first:
            self._first = data
            self._pieces = []
            return ()
        self._pieces.append(data)
        self._size += len(data)
        if self._size > 2 * _LAST:
            self._first = self._first[:_FIRST]
            self._pieces = [b"".join(self._pieces)[-_LAST:]]
            self._size = _LAST
        return ()

    def response_end(self) -> Sequence[bytes]:
        record = self.record
        first, pieces = self._first, self._pieces
        found = None
        if not pieces and first[:1] == b"{":
            found = _of_whole(first)
        if found is None:
            found = usage_in(
                first[:_FIRST] if pieces else b"", self._last() if pieces else first[-_LAST:]
            )
        if found is not None:
            record.tokens_in, record.tokens_out, record.tokens_cached = found
            record.counted = True
        return ()

    def another(self, now: float) -> Exchange | None:
        operation, like = self._operation, self._like
        if like is None:
            if operation is None:
                return None
            like = Record(
                unjudged=_UNJUDGED, dialect=operation.dialect.name, model=operation.model,
                stream=operation.stream is True,
            )  # fmt: skip
        return PassingExchange(self._rule, operation, like)

    def response_whole(self, body: bytes) -> bytes | None:
        operation = self._operation
        if body[:1] != b"{" or operation is None:
            return None
        record = self.record
        try:  # as `_of_whole` would read it
            usage = _usual.decode(body).usage if record.dialect == _OPENAI else None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            usage = None
        if usage is not None:
            record.tokens_in, record.tokens_out = usage.prompt_tokens, usage.completion_tokens
            if usage.prompt_tokens_details is not None:
                record.tokens_cached = usage.prompt_tokens_details.cached_tokens
        else:
            found = _of_whole(body)
            if found is None:
                return None
            record.tokens_in, record.tokens_out, record.tokens_cached = found
        self._total = len(body)
        record.counted = True
        return body

    def resume(self) -> Forward | Refusal | Sequence[bytes] | Pending:
        raise RuntimeError("nothing was pending")

    def refusal(self, status: int, code: str, reason: str) -> Refusal:
        refusal = plain_refusal(status, code, reason)
        if self._operation is None:
            return refusal
        why = Broken(message=reason, code=code, status=status)
        return msgspec.structs.replace(refusal, body=self._operation.dialect.refusal(why))

    def broken_off(self, status: int, code: str, reason: str) -> Sequence[bytes]:
        return ()

    def close(self, how: Finished) -> None:
        if self._total and not self.record.counted:
            if how is not Finished.DONE:
                self.response_end()  # what was said so far, such as the tokens of the prompt
            operation = self._operation
            if operation is not None and operation.has_text and not operation.is_embedding:
                self.record.text_bytes = self._text(operation)
        if self._pieces:
            self._pieces = []

    def _text(self, operation: Operation) -> int:
        """Return about how much text the answer had, by what is still there of its events."""
        if not self._events:
            return self._total
        kept = self._first if not self._pieces else self._first[:_FIRST] + _END + self._last()
        reader = operation.dialect.events(operation)
        size = text = 0
        for event in kept.split(_END):
            size += len(event) + len(_END)
            said = sum(map(len, _texts_of(event, reader)))
            text += max(said, _LEAST) if said else 0
        return self._total * text // max(size, 1)

    def _last(self) -> bytes:
        return b"".join(self._pieces)[-_LAST:]


def _texts_of(event: bytes, reader: EventReader) -> Iterator[str]:
    """Yield the texts that an event brings, none for what is no event."""
    for line in event.split(b"\n"):
        if not line.startswith(b"data:"):
            continue
        try:
            parts = reader.read(msgspec.json.decode(line[5:]))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        for _, holder, key, _ in parts.deltas:
            yield holder[key]
        for _, holder, key in parts.pieces:
            yield holder[key]


class Passer:
    """The judge without filters; `rule` is that for unknown paths: block, pass or record."""

    def __init__(self, rule: str) -> None:
        self._rule = rule

    def exchange(self) -> Exchange:
        return PassingExchange(self._rule)

    async def start(self) -> None:
        """Nothing to start."""

    async def retire(self) -> None:
        """Nothing was started."""

    def stats(self) -> Mapping[str, object]:
        return {}


def usage_in(first: bytes, last: bytes) -> tuple[int, int, int] | None:
    """Return tokens of prompt, answer and cache by the beginning and the end of an answer.

    Inside a text of JSON the quotes that are looked for would be escaped, so no text can be taken
    for a count.
    """
    found: list[_Usage] = []
    for data in (last, first):
        at = data.rfind(b'"usage')
        while at >= 0:
            one = _object(data, at)
            if one is not None:
                found.append(one)
                break
            at = data.rfind(b'"usage', 0, at)
        if found and (found[0].prompt_tokens or found[0].promptTokenCount):
            break  # Anthropic's input alone stands in the first event
    if not found and (at := last.rfind(b'"prompt_eval_count"')) >= 0:
        one = _object(b'"usage":{' + last[at:], 0)
        found = [one] if one is not None else []
    if not found:
        return None
    into, out, cached = (max(counts) for counts in zip(*map(_counts, found), strict=True))
    return into, out, cached


# -- inside


@lru_cache(maxsize=1024)
def _known(method: bytes, path: bytes, query: bytes) -> Operation | None:
    return operation_of(method.decode("latin-1"), path.decode("latin-1"), query.decode("latin-1"))


def _operation(method: bytes, path: bytes, query: bytes) -> Operation | None:
    if len(path) + len(query) > _LONGEST_PATH:
        return _known.__wrapped__(method, path, query)
    return _known(method, path, query)


def _twice(body: bytes) -> bool:
    """Tell whether the outermost object names its model more than once, or in other letters."""
    last: list[tuple[str, Any]] = []

    def pairs(found: list[tuple[str, Any]]) -> None:
        nonlocal last
        last = found  # the outermost one is complete last

    try:
        json.loads(body, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return True
    named = [key for key, _ in last if key.lower() == "model"]
    return len(named) > 1 or named not in ([], ["model"])


def _of_whole(data: bytes) -> tuple[int, int, int] | None:
    try:
        answer = _answer.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    usage = answer.usage or answer.usageMetadata
    if usage is not None:
        return _counts(usage)
    if not answer.prompt_eval_count and not answer.eval_count:
        return None
    return _one(answer.prompt_eval_count), _one(answer.eval_count), 0


def _object(data: bytes, at: int) -> _Usage | None:
    """Return the object behind the name that stands there."""
    start = data.find(b"{", at)
    colon = data.find(b":", at)
    if start < 0 or colon < 0 or data[colon + 1 : start].strip():
        return None
    end = start
    for _ in range(8):  # details are objects in it
        end = data.find(b"}", end) + 1
        if end == 0:
            return None
        try:
            return _usage.decode(data[start:end])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    return None


def _counts(found: _Usage) -> tuple[int, int, int]:
    if type(found.prompt_tokens) is int and 0 < found.prompt_tokens < _MOST:
        out = found.completion_tokens
        if found.prompt_tokens_details is None and type(out) is int and 0 <= out < _MOST:
            return found.prompt_tokens, out, 0
        details = found.prompt_tokens_details
        cached = _one(details.get("cached_tokens")) if isinstance(details, dict) else 0
        return found.prompt_tokens, _one(found.completion_tokens), cached
    details = found.prompt_tokens_details or found.input_tokens_details
    cached = _one(found.cache_read_input_tokens, found.cachedContentTokenCount)
    if not cached and isinstance(details, dict):
        cached = _one(details.get("cached_tokens"))
    return (
        _one(found.prompt_tokens, found.input_tokens, found.promptTokenCount,
             found.prompt_eval_count),
        _one(found.completion_tokens, found.output_tokens, found.candidatesTokenCount,
             found.eval_count),
        cached,
    )  # fmt: skip


def _one(*values: Any) -> int:
    for value in values:
        if value and type(value) is int and 0 < value < _MOST:
            return value
    return 0
