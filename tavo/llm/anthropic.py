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
from tavo.llm.parts import (
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

    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.max_tokens = count_of(body.get("max_tokens"))
        _content(reading, body, "system", "system")
        for message in items_of(body.get("messages")):
            if isinstance(message, dict):
                role = "assistant" if message.get("role") == "assistant" else "user"
                _content(reading, message, "content", role)
        for tool in items_of(body.get("tools")):
            if isinstance(tool, dict):
                reading.tool(tool.get("name"), tool)

    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.usage = usage_from(body.get("usage"), "input_tokens", "output_tokens")
        reading.finish = str(body.get("stop_reason") or "")
        _content(reading, body, "content", "assistant")

    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        return _Events(choices)

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
    start = len(reading.slots)
    for block in items_of(holder.get(key)):
        if isinstance(block, dict):
            _block(reading, block, role)
    reading.joined(start)


def _block(reading: Reading, block: dict[str, Any], role: str) -> None:
    kind = str(block.get("type") or "")
    if kind.endswith("tool_use"):
        reading.call(block.get("name"), block, "input", "assistant")
    elif kind.endswith("tool_result"):
        if not reading.text(block, "content", "tool"):
            for part in items_of(block.get("content")):
                if isinstance(part, dict):
                    _block(reading, part, "tool")
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
    __slots__ = ("_asked", "_calls", "_open")

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._calls: set[int] = set()
        self._open: set[int] = set()
        self._asked = 0

    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        kind, index = word(event, "type"), place(event.get("index"))
        delta = event.get("delta")
        if kind == "content_block_delta" and isinstance(delta, dict):
            return self._delta(parts, reading, index, event, delta)
        if kind == "content_block_start":
            self._start(parts, reading, index, event.get("content_block"))
        elif kind == "content_block_stop":
            self._open.discard(index)
            if index in self._calls:
                self._calls.discard(index)
                parts.stops.append(("", "call", index))
            parts.ends = [("", "text", index), ("", "thinking", index)]
            return len(event) == 2
        elif kind == "ping" and len(event) == 1:
            parts.is_loose = True
            return True
        elif kind == "message_start" and isinstance(message := event.get("message"), dict):
            parts.usage = usage_from(message.get("usage"), "input_tokens", "output_tokens")
            self._asked = parts.usage[0]
            if message.get("content"):
                # what follows would belong to its blocks for some clients, to new ones for others
                raise ValueError("a message begins with content")
        elif kind == "message_delta":
            said = usage_from(event.get("usage"), "input_tokens", "output_tokens")
            parts.usage = (said[0] or self._asked, said[1])
        elif kind == "message_stop":
            parts.stops += [("", "call", one) for one in self._calls]
            self._calls.clear()
            parts.ends = None
        return False

    def _delta(
        self, parts: Parts, reading: Reading, index: int, event: dict[str, Any],
        delta: dict[str, Any],
    ) -> bool:  # fmt: skip
        where = _DELTAS.get(word(delta, "type"))
        if where is not None and isinstance(delta.get(where[0]), str):
            parts.deltas.append((("", where[0], index), delta, where[0], where[1]))
            reading.take(delta, where[0])
            parts.is_plain = len(delta) == 2 and len(event) == 3 and bool(delta[where[0]])
            return len(delta) == 2 and len(event) == 3
        if isinstance(delta.get("partial_json"), str):
            if index not in self._calls:
                self._calls.add(index)
                parts.starts.append((("", "call", index), "", ""))
            parts.pieces.append((("", "call", index), delta, "partial_json"))
            reading.take(delta, "partial_json")
        return False

    def _start(self, parts: Parts, reading: Reading, index: int, block: Any) -> None:
        if index in self._open:
            raise ValueError("a block of the answer begins twice")
        self._open.add(index)
        if not isinstance(block, dict):
            return
        named = word(block, "name")
        if word(block, "type").endswith("tool_use") or named:
            name = named or word(block, "type")
            self._calls.add(index)
            parts.starts.append((("", "call", index), name, word(block, "id")))
            reading.known_call(block)
            if named and is_token(named):
                reading.take(block, "name")
            if block.get("input"):
                reading.call(name, block, "input", "assistant")
            return
        if word(block, "type") not in {"text", "thinking"}:
            _block(reading, block, "assistant")  # a result of a tool that the provider ran, say
            return
        for key, kind in (("text", Kind.TEXT), ("thinking", Kind.REASONING)):
            if isinstance(block.get(key), str):
                if block[key]:
                    parts.deltas.append((("", key, index), block, key, kind))
                reading.take(block, key)
