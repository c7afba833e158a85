"""Anthropic's messages as they pass through a proxy.

Rules this module keeps:
- a block of an answer is complete with `content_block_stop`; so is the call that it holds;
- a ping has no place in the order of a stream;
- every event that ends a stream with an error has an `event:` line: clients look at nothing else.

Source: the public API reference of `POST /v1/messages` and of its streaming events.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts, sse
from tavo.llm.parts import Kind, Media, Reading, count_of, dumped, ident, items_of, usage_from, word

__all__ = ["AnthropicMessages"]

_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error",
}  # fmt: skip
_DELTAS = {"text_delta": ("text", Kind.TEXT), "thinking_delta": ("thinking", Kind.REASONING)}


class AnthropicMessages(Dialect):
    """Anthropic's messages."""

    name: ClassVar[str] = "anthropic-messages"

    def operation(self, method: str, path: str, query: str) -> Operation | None:
        if method != "POST":
            return None
        if path.endswith("/messages"):
            return Operation(dialect=self, name="messages")
        if path.endswith("/messages/count_tokens"):
            return Operation(dialect=self, name="count-tokens", stream=False)
        return None

    def read_request(self, operation: Operation, body: Any) -> Reading:
        reading = Reading()
        if not isinstance(body, dict):
            reading.rest([body], "user")
            return reading
        reading.model = str(body.get("model") or "")
        reading.is_stream = body.get("stream") is True
        reading.max_tokens = count_of(body.get("max_tokens"))
        _content(reading, body, "system", "system")
        for message in items_of(body.get("messages")):
            if isinstance(message, dict):
                role = "assistant" if message.get("role") == "assistant" else "user"
                _content(reading, message, "content", role)
        for tool in items_of(body.get("tools")):
            if isinstance(tool, dict):
                reading.tool(tool.get("name"), tool)
        reading.rest(body, "user")
        return reading

    def read_answer(self, operation: Operation, body: Any) -> Reading:
        reading = Reading()
        if isinstance(body, dict):
            reading.usage = usage_from(body.get("usage"), "input_tokens", "output_tokens")
            reading.finish = str(body.get("stop_reason") or "")
            _content(reading, body, "content", "assistant")
        reading.rest(body if isinstance(body, dict | list) else [body], "assistant")
        return reading

    def events(self, operation: Operation) -> EventReader:
        return _Events()

    def refusal(self, why: Broken) -> bytes:
        return dumped(_error(why))

    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        return sse(_error(why), event="error")


def _error(why: Broken) -> dict[str, Any]:
    kind = "api_error" if why.status >= 500 else _TYPES.get(why.status, "permission_error")
    return {"type": "error", "error": {"type": kind, "message": f"{why.message} ({why.code})"}}


def _content(reading: Reading, holder: dict[str, Any], key: str, role: str) -> None:
    if reading.text(holder, key, role):
        return
    for block in items_of(holder.get(key)):
        if isinstance(block, dict):
            _block(reading, block, role)


def _block(reading: Reading, block: dict[str, Any], role: str) -> None:
    kind = str(block.get("type") or "")
    if kind in {"tool_use", "server_tool_use", "mcp_tool_use"}:
        reading.call(block.get("name"), block, "input", "assistant")
    elif kind.endswith("tool_result"):
        if not reading.text(block, "content", "tool"):
            _content(reading, block, "content", "tool")
            reading.inside(block.get("content"), "tool", Kind.TEXT)
    elif kind in {"image", "document"}:
        source = block.get("source")
        source = source if isinstance(source, dict) else {}
        url = source.get("url")
        reading.media.append(Media(kind, url if isinstance(url, str) else ""))
        reading.text(source, "data", role) if source.get("type") == "text" else None
    reading.text(block, "text", role)
    reading.text(block, "thinking", role, Kind.REASONING)


class _Events(EventReader):
    def __init__(self) -> None:
        self._calls: set[Any] = set()
        self._asked = 0

    def read(self, event: Any) -> Parts:
        parts, reading = Parts(), Reading()
        if not isinstance(event, dict):
            reading.rest([event], "assistant")
            parts.whole(reading)
            return parts
        kind, index = word(event, "type"), ident(event.get("index"))
        delta = event.get("delta")
        if kind == "content_block_delta" and isinstance(delta, dict):
            where = _DELTAS.get(str(delta.get("type")))
            if where is not None and isinstance(delta.get(where[0]), str):
                parts.deltas.append(((index, where[0]), delta, where[0], where[1]))
                if len(delta) == 2 and len(event) == 3 and isinstance(index, int):
                    return parts
                reading.take(delta, where[0])
            elif isinstance(delta.get("partial_json"), str):
                if index not in self._calls:
                    self._calls.add(index)
                    parts.starts.append(((index, "call"), ""))
                parts.pieces.append(((index, "call"), delta, "partial_json"))
                reading.take(delta, "partial_json")
        elif kind == "content_block_start":
            self._start(parts, reading, index, event.get("content_block"))
        elif kind == "content_block_stop":
            if index in self._calls:
                self._calls.discard(index)
                parts.stops.append((index, "call"))
            parts.ends = [(index, "text"), (index, "thinking")]
            if len(event) == 2 and isinstance(index, int):
                return parts
        elif kind == "ping" and len(event) == 1:
            parts.is_loose = True
            return parts
        elif kind == "message_start" and isinstance(message := event.get("message"), dict):
            asked = usage_from(message.get("usage"), "input_tokens", "output_tokens")
            self._asked, parts.usage = asked[0], asked
            _content(reading, message, "content", "assistant")
        elif kind == "message_delta":
            said = usage_from(event.get("usage"), "input_tokens", "output_tokens")
            parts.usage = (said[0] or self._asked, said[1])
        elif kind == "message_stop":
            parts.stops += [(one, "call") for one in self._calls]
            self._calls.clear()
            parts.ends = None
        reading.rest(event, "assistant")
        usage = parts.usage
        parts.whole(reading)
        parts.usage = usage
        return parts

    def _start(self, parts: Parts, reading: Reading, index: Any, block: Any) -> None:
        if not isinstance(block, dict):
            return
        if str(block.get("type")).endswith("tool_use"):
            name = str(block.get("name") or "")
            self._calls.add(index)
            parts.starts.append(((index, "call"), name))
            if block.get("input"):
                reading.call(name, block, "input", "assistant")
            return
        for key, kind in (("text", Kind.TEXT), ("thinking", Kind.REASONING)):
            if isinstance(block.get(key), str):
                if block[key]:
                    parts.deltas.append(((index, key), block, key, kind))
                reading.take(block, key)
        _block(reading, block, "assistant")
