"""Gemini's generateContent as it passes through a proxy.

Rules this module keeps:
- without `alt=sse` a stream is one array of JSON, sent in parts;
- any event may claim to be the last: nothing is complete before the stream ends;
- both spellings of a name, `systemInstruction` and `system_instruction`, are one name.

Source: the public API reference of `models.generateContent`, `models.streamGenerateContent`,
`models.countTokens`, `models.embedContent` and `models.batchEmbedContents`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tavo.detect.regex import Regex
from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts, sse
from tavo.llm.parts import (
    Call,
    Kind,
    Media,
    Reading,
    count_of,
    dumped,
    items_of,
    usage_from,
    word,
)

__all__ = ["Gemini"]

_PATH = Regex(r"\A\$(?:\.[^.\[\]\x00-\x1f]+|\[[0-9]{1,9}\])+\z", plain=True)
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

    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.is_stream = bool(operation.stream)
        inner = _get(body, "generateContentRequest")
        _request(reading, inner if isinstance(inner, dict) else body, operation)
        for request in items_of(_get(body, "requests")):
            if isinstance(request, dict):
                _request(reading, request, operation)

    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.usage = _usage(body)
        for candidate in items_of(_get(body, "candidates")):
            if isinstance(candidate, dict):
                reading.finish = reading.finish or str(candidate.get("finishReason") or "")
                _content(reading, candidate.get("content"), "assistant")
                if candidate.get("logprobsResult"):
                    reading.drop(candidate, "logprobsResult")

    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        return _Events(choices)

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
        reading.choices = count_of(_get(config, "candidateCount")) or 1


def _content(reading: Reading, content: Any, role: str, kind: Kind = Kind.TEXT) -> None:
    if not isinstance(content, dict):
        return
    parts, start = content.get("parts"), len(reading.slots)
    for part in parts if isinstance(parts, list) else [parts]:
        if not isinstance(part, dict):
            continue
        own = Kind.REASONING if part.get("thought") is True and kind is Kind.TEXT else kind
        reading.text(part, "text", role, own)
        if isinstance(call := _get(part, "functionCall"), dict):
            reading.call(call.get("name"), call, "args", "assistant")
        if isinstance(answer := _get(part, "functionResponse"), dict):
            reading.inside(_get(answer, "response"), "tool", Kind.TEXT, free=True)
            reading.inside(answer, "tool", Kind.TEXT)
        for name in ("inlineData", "fileData"):
            if isinstance(data := _get(part, name), dict):
                media = str(_get(data, "mimeType") or "").split("/", maxsplit=1)[0]
                url = _get(data, "fileUri")
                reading.media.append(Media(media or "file", url if isinstance(url, str) else ""))
    reading.joined(start)


class _Events(EventReader):
    """A call may come in parts, each with a path and a value; it is judged when it is complete."""

    __slots__ = ("_partial",)

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._partial: dict[int, tuple[list[str], dict[str, Any]]] = {}

    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        usage = _usage(event)
        parts.usage = usage if any(usage) else None
        for number, candidate in enumerate(items_of(_get(event, "candidates"))):
            if isinstance(candidate, dict):
                index = self._choice(candidate.get("index"), number)
                self._candidate(parts, reading, candidate, index)
                parts.grown(reading, candidate, (index,))
        return False

    def _candidate(self, parts: Parts, reading: Reading, candidate: Any, index: int) -> None:
        content = candidate.get("content")
        inner = _get(content, "parts") if isinstance(content, dict) else None
        for part in inner if isinstance(inner, list) else [inner]:
            if not isinstance(part, dict):
                continue
            if isinstance(part.get("text"), str):
                thought = part.get("thought") is True
                kind = Kind.REASONING if thought else Kind.TEXT
                if part["text"]:
                    name = "thought" if thought else "text"
                    parts.deltas.append(((index, name), part, "text", kind))
                reading.take(part, "text")
            if isinstance(call := _get(part, "functionCall"), dict):
                self._call(parts, reading, call, index)
        if candidate.get("logprobsResult"):
            parts.drops.append((candidate, "logprobsResult"))
            reading.take(candidate, "logprobsResult")

    def _call(self, parts: Parts, reading: Reading, call: dict[str, Any], index: int) -> None:
        pieces, goes_on = items_of(_get(call, "partialArgs")), _get(call, "willContinue") is True
        if not (pieces or goes_on or index in self._partial):
            reading.call(call.get("name"), call, "args", "assistant")
            return
        reading.known_call(call)
        names, arguments = self._partial.setdefault(index, ([], {}))
        name = word(call, "name")
        names += [name] if name else []
        for piece in pieces:
            path = str(_get(piece, "jsonPath") or "$") if isinstance(piece, dict) else "$"
            value = _value(piece)
            before = arguments.get(path)
            both_text = isinstance(before, str) and isinstance(value, str)
            arguments[path] = f"{before}{value}" if both_text else value
        if isinstance(given := call.get("args"), dict):
            arguments.update({f"$.{name}": value for name, value in given.items()})
        key = (index, "partial call")
        parts.starts.append((key, name, ""))
        if not goes_on:
            parts.calls.append(_call_of(names, arguments))
            parts.stops.append(key)
            del self._partial[index]

    def unfinished(self) -> Sequence[Call]:
        return [_call_of(names, arguments) for names, arguments in self._partial.values()]


def _call_of(names: list[str], arguments: dict[str, Any]) -> Call:
    return Call("".join(names), {"args": _nested(arguments)}, "args", is_copy=True)


def _value(piece: Any) -> Any:
    for name in ("stringValue", "numberValue", "boolValue"):
        value = _get(piece, name) if isinstance(piece, dict) else None
        if value is not None:
            return value
    return None


def _nested(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return an object out of values by their paths, such as `$.files[0].name`.

    Entries of a list become an object by their numbers. Raises ValueError for another path.
    """
    found: dict[str, Any] = {}
    for path, value in arguments.items():
        if not _PATH.found_in(path):
            raise ValueError("an argument of a call has a path that cannot be read")
        *way, last = path.removeprefix("$").replace("[", ".").replace("]", "").split(".")[1:]
        holder = found
        for name in way:
            holder = holder.setdefault(name, {})
            if not isinstance(holder, dict):
                raise ValueError("an argument of a call is a value and an object")
        holder[last] = value
    return found
