"""Ollama's own API as it passes through a proxy.

Rules this module keeps:
- streams are the default here: only `"stream": false` asks for a whole answer;
- the server reads names without regard to case; a name that only differs in case from a known one
  is text like any other (`Reading.rest`), never skipped;
- `context`, the numbers of tokens of an earlier answer, is text that nobody here can read.

Source: Ollama's public API description, `docs/api.md`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts
from tavo.llm.parts import Kind, Media, Reading, count_of, dumped, is_token, items_of, usage_from

__all__ = ["Ollama"]

_OPERATIONS = {"chat": "chat", "generate": "generate", "embed": "embed", "embeddings": "embed"}
_PLAIN = frozenset({"tags", "version", "ps"})
_TEXTS = (("content", Kind.TEXT), ("thinking", Kind.REASONING))
_CHUNK = frozenset({"model", "created_at", "message", "done"})


class Ollama(Dialect):
    """Ollama's own API."""

    name: ClassVar[str] = "ollama"

    def operation(self, method: str, path: str, query: str) -> Operation | None:
        before, _, last = path.rpartition("/")
        if not before.endswith("/api"):
            return None
        if method == "GET" and last in _PLAIN:
            return Operation(dialect=self, name=last, has_text=False, stream=False)
        if method == "POST" and last in _OPERATIONS:
            embeds = _OPERATIONS[last] == "embed"
            return Operation(
                dialect=self, name=_OPERATIONS[last], is_embedding=embeds,
                stream=False if embeds else None, framing=Framing.LINES,
            )  # fmt: skip
        return None

    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.is_stream = body.get("stream") is not False and operation.stream is None
        options = body.get("options")
        reading.max_tokens = count_of(
            options.get("num_predict") if isinstance(options, dict) else 0
        )
        kind = Kind.EMBEDDING if operation.is_embedding else Kind.TEXT
        for key, role in (("system", "system"), ("prompt", "user"), ("suffix", "user"),
                          ("template", "system"), ("input", "user")):  # fmt: skip
            reading.text(body, key, role, kind)
        given = body.get("input")
        for number in range(len(items_of(given))):
            reading.text(given, number, "user", kind)
        for message in items_of(body.get("messages")):
            if isinstance(message, dict):
                said = str(message.get("role"))
                role = said if said in {"system", "assistant", "tool"} else "user"
                _message(reading, message, role)
        _images(reading, body)
        if body.get("context"):
            reading.media.append(Media("tokens"))
        for tool in items_of(body.get("tools")):
            inner = tool.get("function") if isinstance(tool, dict) else None
            if isinstance(inner, dict):
                reading.tool(inner.get("name"), inner)

    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.usage = usage_from(body, "prompt_eval_count", "eval_count")
        reading.finish = str(body.get("done_reason") or "")
        for key, kind in (("response", Kind.TEXT), ("thinking", Kind.REASONING)):
            reading.text(body, key, "assistant", kind)
        if isinstance(message := body.get("message"), dict):
            _message(reading, message, "assistant")

    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        return _Events(choices)

    def refusal(self, why: Broken) -> bytes:
        return dumped({"error": f"{why.message} ({why.code})"})

    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        return dumped({"error": f"{why.message} ({why.code})"}) + b"\n"


def _message(reading: Reading, message: dict[str, Any], role: str) -> None:
    for key, kind in _TEXTS:
        reading.text(message, key, role, kind)
    _images(reading, message)
    for call in items_of(message.get("tool_calls")):
        if isinstance(call, dict) and isinstance(function := call.get("function"), dict):
            reading.call(function.get("name"), function, "arguments", "assistant")


def _images(reading: Reading, holder: dict[str, Any]) -> None:
    images = holder.get("images")
    if isinstance(images, list) and images:
        reading.media += [Media("image") for _ in images]


class _Events(EventReader):
    __slots__ = ()

    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        known = (
            event.keys() <= _CHUNK
            and isinstance(event.get("done", False), bool)
            and all(is_token(event.get(key, "")) for key in ("model", "created_at"))
        )
        for key, kind in (("response", Kind.TEXT), ("thinking", Kind.REASONING)):
            if isinstance(event.get(key), str):
                if event[key]:
                    parts.deltas.append((("", key), event, key, kind))
                reading.take(event, key)
        if event.get("done") is True:
            parts.usage = usage_from(event, "prompt_eval_count", "eval_count")
            parts.ends = None
        message = event.get("message")
        if not isinstance(message, dict):
            return False
        for key, kind in _TEXTS:
            if isinstance(message.get(key), str):
                if message[key]:
                    parts.deltas.append((("", f"message.{key}"), message, key, kind))
                reading.take(message, key)
        if message.get("tool_calls") or message.get("images"):
            before = len(reading.slots)
            _message(reading, message, "assistant")
            del reading.slots[before:]
        return (
            known
            and message.keys() <= {"role", "content"}
            and is_token(message.get("role", ""))
            and isinstance(message.get("content", ""), str)
        )
