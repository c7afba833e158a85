"""OpenAI's chat completions, and the older completions, as they pass through a proxy.

Rules this module keeps:
- token probabilities spell an answer out a second time; they are named as to be dropped;
- data in, data out; see `tavo.llm.dialect`.

Source: the public API reference of `POST /v1/chat/completions` and `POST /v1/completions`; the
fields `reasoning_content` and `reasoning` as servers that speak this dialect send them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts, sse
from tavo.llm.parts import (
    Call,
    Kind,
    Media,
    Reading,
    count_of,
    dumped,
    is_token,
    items_of,
    place,
    usage_from,
    word,
)
from tavo.llm.usual import UsualAnswer, UsualRequest, usual_answer, usual_request

__all__ = ["ChatCompletions", "openai_error"]

_ROLES = {"function": "tool", "system": "system", "developer": "developer", "tool": "tool",
          "assistant": "assistant"}  # fmt: skip
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CHUNK = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint",
                    "service_tier", "obfuscation"})  # fmt: skip
_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_DELTA = frozenset({"content", "role"})
_TEXTS = (
    ("content", Kind.TEXT), ("refusal", Kind.TEXT), ("reasoning_content", Kind.REASONING),
    ("reasoning", Kind.REASONING),
)  # fmt: skip


_SAYING = frozenset({"", "text", "refusal", "input_text", "output_text", "thinking", "reasoning"})
_SHOWING = {"image_url": "image", "input_audio": "audio", "video_url": "video"}
_SHOWN = frozenset({*_SHOWING, "file"})
_TYPES_OF_MEDIA = frozenset({"image", "audio", "video"})


class ChatCompletions(Dialect):
    """OpenAI's chat completions, which many other servers speak, too."""

    name: ClassVar[str] = "openai-chat"

    def operation(self, method: str, path: str, query: str) -> Operation | None:
        if method == "GET" and path.endswith("/models"):
            return Operation(dialect=self, name="models", has_text=False, stream=False)
        if method != "POST":
            return None
        if path.endswith("/chat/completions"):
            return Operation(dialect=self, name="chat")
        if path.endswith("/completions"):
            return Operation(dialect=self, name="completions")
        return None

    def usual_request(self, operation: Operation, data: bytes) -> UsualRequest | None:
        return usual_request(data) if operation.name == "chat" and not operation.model else None

    def usual_answer(self, operation: Operation, data: bytes) -> UsualAnswer | None:
        return usual_answer(data) if operation.name == "chat" else None

    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.max_tokens = count_of(body.get("max_completion_tokens") or body.get("max_tokens"))
        reading.choices = count_of(body.get("n")) or 1
        for message in items_of(body.get("messages")):
            if isinstance(message, dict):
                _message(reading, message)
        if not reading.text(body, "prompt", "user"):
            reading.choices *= max(len(items_of(body.get("prompt"))), 1)
        for tool in items_of(body.get("tools")):
            inner = tool.get("function") if isinstance(tool, dict) else None
            inner = inner if isinstance(inner, dict) else tool
            reading.tool(inner.get("name") if isinstance(inner, dict) else "", inner)
        for tool in items_of(body.get("functions")):
            reading.tool(tool.get("name") if isinstance(tool, dict) else "", tool)

    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.usage = usage_from(body.get("usage"), "prompt_tokens", "completion_tokens")
        for choice in items_of(body.get("choices")):
            if not isinstance(choice, dict):
                continue
            reading.finish = reading.finish or str(choice.get("finish_reason") or "")
            reading.text(choice, "text", "assistant")
            if isinstance(message := choice.get("message"), dict):
                _message(reading, message, "assistant")
            if choice.get("logprobs") is not None:
                reading.drop(choice, "logprobs")

    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        return _Events(choices)

    def refusal(self, why: Broken) -> bytes:
        return dumped(openai_error(why))

    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        return sse(openai_error(why)) + b"data: [DONE]\n\n"


def openai_error(why: Broken) -> dict[str, Any]:
    """Return an error as OpenAI writes it."""
    kind = "server_error" if why.status >= 500 else _TYPES.get(why.status, "invalid_request_error")
    return {"error": {"message": why.message, "type": kind, "param": None, "code": why.code}}


def _texts_in(value: Any) -> bool:
    """Tell whether there is anything but numbers under plain names, as in counters of usage."""
    if not isinstance(value, dict):
        return not isinstance(value, int | float | None)
    return any(not is_token(key) or _texts_in(entry) for key, entry in value.items())


def _message(reading: Reading, message: dict[str, Any], role: str = "") -> None:
    role = role or _ROLES.get(str(message.get("role")), "user")
    start = len(reading.slots)
    for key, kind in _TEXTS:
        reading.text(message, key, role, kind)
    for part in items_of(message.get("content")):
        if isinstance(part, dict):
            reading.text(part, "text", role)
            reading.text(part, "refusal", role)
            _media(reading, part)
    reading.joined(start)
    for call in items_of(message.get("tool_calls")):
        for function, key in _called(call) if isinstance(call, dict) else ():
            reading.call(function.get("name"), function, key, role)
    if isinstance(one := message.get("function_call"), dict):
        reading.call(one.get("name"), one, "arguments", role)


def _called(call: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield what a call names, with all arguments: which of them a client takes is not known."""
    for kind in ("function", "custom"):
        function = call.get(kind)
        if isinstance(function, dict):
            for key in _fields(function):
                yield function, key


def _fields(function: dict[str, Any]) -> list[str]:
    return [key for key in ("arguments", "input") if key in function] or ["arguments"]


def _media(reading: Reading, part: dict[str, Any]) -> None:
    kind = str(part.get("type") or "")
    if kind in _SAYING and not part.keys() & _SHOWN:
        return
    inner = part.get(kind, part.get("image_url"))
    url = inner.get("url") if isinstance(inner, dict) else inner
    url = url if isinstance(url, str) else ""
    name = _SHOWING.get(kind, kind or "unknown")
    if url.startswith("data:"):  # what it is, and not what it is called
        main = url[5:].partition("/")[0]
        name, url = main if main in _TYPES_OF_MEDIA else "file", ""
    reading.media.append(Media(name, url))


class _Events(EventReader):
    """A call is known by choice and index, and complete only when its choice finishes."""

    __slots__ = ("_calls", "_head", "_names", "_whole")

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._calls: set[tuple[Any, ...]] = set()
        self._whole: set[tuple[Any, ...]] = set()
        self._names: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
        self._head: tuple[Any, ...] = ()

    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        choices = event.get("choices")
        known = isinstance(choices, list) and self._is_plain_head(event)
        if event.get("usage"):
            parts.usage = usage_from(event["usage"], "prompt_tokens", "completion_tokens")
        ended: list[int] = []
        for choice in items_of(choices):
            if not isinstance(choice, dict):
                known = False
                continue
            delta = choice.get("delta")
            index = self._choice(choice.get("index"))
            known = (
                known and choice.keys() <= _CHOICE and isinstance(delta, dict)
                and is_token(choice.get("finish_reason") or "")
            )  # fmt: skip
            if isinstance(delta, dict):
                known = self._delta(parts, reading, index, delta) and known
            if isinstance(choice.get("text"), str):
                parts.deltas.append(((index, "text"), choice, "text", Kind.TEXT))
                reading.take(choice, "text")
            if choice.get("logprobs") is not None:
                parts.drops.append((choice, "logprobs"))
                reading.take(choice, "logprobs")
            if choice.get("finish_reason"):
                ended.append(index)
        if known:
            if len(parts.deltas) == 1 == len(event["choices"]) and not ended:
                parts.is_plain = not (parts.drops or parts.starts or parts.pieces)
        else:
            for choice in items_of(choices):
                if isinstance(choice, dict):
                    index = place(choice.get("index"))
                    if isinstance(choice.get("delta"), dict):
                        parts.grown(reading, choice["delta"], (index,))
                    parts.grown(reading, choice, (index,))
        for index in ended:
            self._finish(parts, index)
        return known

    def _is_plain_head(self, event: dict[str, Any]) -> bool:
        """Tell whether a chunk has no other fields than those that hold no text."""
        if not event.keys() <= _CHUNK:
            return False
        get = event.get
        head = (
            get("id"),
            get("object"),
            get("model"),
            get("system_fingerprint"),
            get("service_tier"),
        )
        if head != self._head:  # it is the same in each chunk
            if not all(one is None or is_token(one) for one in head):
                return False
            self._head = head
        if not is_token(get("obfuscation", "")):
            return False
        usage = get("usage")
        return isinstance(get("created", 0), int) and (usage is None or not _texts_in(usage))

    def _delta(self, parts: Parts, reading: Reading, index: int, delta: Any) -> bool:
        for key, kind in _TEXTS:
            if isinstance(delta.get(key), str):
                if delta[key]:
                    parts.deltas.append(((index, key), delta, key, kind))
                reading.take(delta, key)
        if delta.keys() <= _DELTA:
            content = delta.get("content")
            return isinstance(content, str | None) and is_token(delta.get("role") or "")
        for number, call in enumerate(items_of(delta.get("tool_calls"))):
            if not isinstance(call, dict):
                continue
            base = (index, "call", place(call.get("index"), number))
            for form in ("function", "custom"):
                if isinstance(function := call.get(form), dict):
                    self._piece(parts, reading, (*base, form), function, word(call, "id"))
        if isinstance(function := delta.get("function_call"), dict):
            self._piece(parts, reading, (index, "call", "function"), function, "")
        return False

    def _piece(
        self,
        parts: Parts,
        reading: Reading,
        base: tuple[Any, ...],
        holder: dict[str, Any],
        id_: str,
    ) -> None:
        """Note a piece of a call: which of its fields a client takes is not known."""
        reading.known_call(holder)
        name = word(holder, "name")
        if isinstance(holder.get("name"), str):
            reading.take(holder, "name")
        names = self._names.setdefault(base, [])
        fields = set(_fields(holder)) | {one[-1] for one in self._calls if one[:-1] == base}
        for field in sorted(fields):
            key = (*base, field)
            if key not in self._calls:
                self._calls.add(key)
                parts.starts += [(key, *one) for one in names] or [(key, "", "")]
            if name or id_:
                parts.starts.append((key, name, id_))
            value = holder.get(field)
            if isinstance(value, str):
                parts.pieces.append((key, holder, field))
                reading.take(holder, field)
            elif value is not None:  # a server that sends them whole, as an object
                if key in self._whole:
                    raise ValueError("the arguments of a call come twice")
                self._whole.add(key)
                parts.calls.append(Call(name, holder, field))
                reading.take(holder, field)
        if (name or id_) and (name, id_) not in names:
            names.append((name, id_))

    def _finish(self, parts: Parts, index: int) -> None:
        stopped = [one for one in self._calls if one[0] == index]
        self._calls.difference_update(stopped)
        parts.stops += stopped
        if parts.ends is not None:
            parts.ends += [(index, key) for key, _ in _TEXTS]
            parts.ends.append((index, "text"))
