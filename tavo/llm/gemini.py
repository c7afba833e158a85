"""Gemini's generateContent as it passes through a proxy.

Rules this module keeps:
- without `alt=sse` a stream is one array of JSON, sent in parts;
- any event may claim to be the last: nothing is complete before the stream ends;
- both spellings of a name, `systemInstruction` and `system_instruction`, are one name.

Source: the public API reference of `models.generateContent`, `models.streamGenerateContent`,
`models.countTokens`, `models.embedContent` and `models.batchEmbedContents`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts, sse
from tavo.llm.parts import Kind, Media, Reading, count_of, dumped, ident, items_of, usage_from

__all__ = ["Gemini"]

_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


class Gemini(Dialect):
    """Gemini, by its own API and by that of Vertex AI."""

    name: ClassVar[str] = "gemini"

    def operation(self, method: str, path: str, query: str) -> Operation | None:
        last = path.rsplit("/", 1)[-1]
        model, _, verb = last.partition(":")
        if "/models" not in path:
            return None
        if method == "GET" and not verb and "/v1beta/" in path:
            return Operation(dialect=self, name="models", has_text=False, stream=False)
        if method != "POST" or not model:
            return None
        if verb == "generateContent":
            return Operation(dialect=self, name="generate", model=model, stream=False)
        if verb == "streamGenerateContent":
            is_sse = "alt=sse" in query.split("&")
            framing = Framing.SSE if is_sse else Framing.ARRAY
            return Operation(dialect=self, name="stream", model=model, stream=True, framing=framing)
        if verb == "countTokens":
            return Operation(dialect=self, name="count-tokens", model=model, stream=False)
        if verb in {"embedContent", "batchEmbedContents"}:
            return Operation(
                dialect=self, name="embed", model=model, stream=False, is_embedding=True
            )
        return None

    def read_request(self, operation: Operation, body: Any) -> Reading:
        reading = Reading()
        reading.model = operation.model
        reading.is_stream = bool(operation.stream)
        if not isinstance(body, dict):
            reading.rest([body], "user")
            return reading
        inner = _get(body, "generateContentRequest")
        _request(reading, inner if isinstance(inner, dict) else body, operation)
        for request in items_of(_get(body, "requests")):
            if isinstance(request, dict):
                _request(reading, request, operation)
        reading.rest(body, "user")
        return reading

    def read_answer(self, operation: Operation, body: Any) -> Reading:
        reading = Reading()
        if isinstance(body, dict):
            reading.usage = _usage(body)
            for candidate in items_of(_get(body, "candidates")):
                if isinstance(candidate, dict):
                    reading.finish = reading.finish or str(candidate.get("finishReason") or "")
                    _content(reading, candidate.get("content"), "assistant")
                    if candidate.get("logprobsResult"):
                        reading.drop(candidate, "logprobsResult")
        reading.rest(body if isinstance(body, dict | list) else [body], "assistant")
        return reading

    def events(self, operation: Operation) -> EventReader:
        return _Events()

    def refusal(self, why: Broken) -> bytes:
        return dumped(_error(why))

    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        return sse(_error(why)) if framing is Framing.SSE else dumped(_error(why))


def _error(why: Broken) -> dict[str, Any]:
    status = _STATUS.get(why.status, "UNAVAILABLE" if why.status >= 500 else "PERMISSION_DENIED")
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": why.code,
              "domain": "tavo"}  # fmt: skip
    return {
        "error": {
            "code": why.status, "message": why.message, "status": status, "details": [reason],
        }
    }  # fmt: skip


def _get(holder: dict[str, Any], name: str) -> Any:
    if name in holder:
        return holder[name]
    snake = "".join(f"_{one.lower()}" if one.isupper() else one for one in name)
    return holder.get(snake)


def _usage(body: dict[str, Any]) -> tuple[int, int]:
    usage = body.get("usageMetadata")
    asked, said = usage_from(usage, "promptTokenCount", "candidatesTokenCount")
    thought = usage.get("thoughtsTokenCount") if isinstance(usage, dict) else 0
    return asked, said + count_of(thought)


def _request(reading: Reading, body: dict[str, Any], operation: Operation) -> None:
    kind = Kind.EMBEDDING if operation.is_embedding else Kind.TEXT
    _content(reading, _get(body, "systemInstruction"), "system", kind)
    contents = _get(body, "contents")
    for content in contents if isinstance(contents, list) else [contents]:
        said = content.get("role") if isinstance(content, dict) else ""
        role = {"model": "assistant", "function": "tool"}.get(str(said), "user")
        _content(reading, content, role, kind)
    _content(reading, _get(body, "content"), "user", kind)
    for tool in items_of(_get(body, "tools")):
        known = _get(tool, "functionDeclarations") if isinstance(tool, dict) else None
        for function in items_of(known):
            if isinstance(function, dict):
                reading.tool(function.get("name"), function)
    config = _get(body, "generationConfig")
    if isinstance(config, dict):
        reading.max_tokens = count_of(_get(config, "maxOutputTokens"))


def _content(reading: Reading, content: Any, role: str, kind: Kind = Kind.TEXT) -> None:
    if not isinstance(content, dict):
        return
    parts = content.get("parts")
    for part in parts if isinstance(parts, list) else [parts]:
        if not isinstance(part, dict):
            continue
        own = Kind.REASONING if part.get("thought") is True and kind is Kind.TEXT else kind
        reading.text(part, "text", role, own)
        if isinstance(call := _get(part, "functionCall"), dict):
            reading.call(call.get("name"), call, "args", "assistant")
        if isinstance(answer := _get(part, "functionResponse"), dict):
            reading.inside(answer, "tool", Kind.TEXT)
        for name in ("inlineData", "fileData"):
            if isinstance(data := _get(part, name), dict):
                media = str(_get(data, "mimeType") or "").split("/", maxsplit=1)[0]
                url = _get(data, "fileUri")
                reading.media.append(Media(media or "file", url if isinstance(url, str) else ""))


class _Events(EventReader):
    def read(self, event: Any) -> Parts:
        parts, reading = Parts(), Reading()
        if isinstance(event, dict):
            usage = _usage(event)
            parts.usage = usage if any(usage) else None
            for number, candidate in enumerate(items_of(_get(event, "candidates"))):
                if isinstance(candidate, dict):
                    self._candidate(
                        parts, reading, candidate, ident(candidate.get("index", number))
                    )
        reading.rest(event if isinstance(event, dict | list) else [event], "assistant")
        usage_before = parts.usage
        parts.whole(reading)
        parts.usage = usage_before
        return parts

    def _candidate(self, parts: Parts, reading: Reading, candidate: Any, index: Any) -> None:
        content = candidate.get("content")
        for part in items_of(_get(content, "parts") if isinstance(content, dict) else None):
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                thought = part.get("thought") is True
                kind = Kind.REASONING if thought else Kind.TEXT
                if part["text"]:
                    parts.deltas.append(((index, "thought" if thought else "text"), part, "text",
                                         kind))  # fmt: skip
                reading.take(part, "text")
        if candidate.get("logprobsResult"):
            parts.drops.append((candidate, "logprobsResult"))
            reading.take(candidate, "logprobsResult")
        before = len(reading.slots)
        _content(reading, content, "assistant")
        reading.slots[before:] = [
            slot for slot in reading.slots[before:] if slot.key != "text" or slot.role == "tool"
        ]
