"""OpenAI's embeddings as they pass through a proxy.

Rules this module keeps:
- an input that is a list of token numbers is text that nobody here can read; it is named as media
  of the type `tokens`, so that a policy can refuse it.

Source: the public API reference of `POST /v1/embeddings`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tavo.llm.chat_traffic import openai_error
from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts, sse
from tavo.llm.parts import Kind, Media, Reading, dumped, usage_from

__all__ = ["Embeddings"]


class Embeddings(Dialect):
    """OpenAI's embeddings."""

    name: ClassVar[str] = "openai-embeddings"

    def operation(self, method: str, path: str, query: str) -> Operation | None:
        if method == "POST" and path.endswith("/embeddings") and not path.startswith("/api/"):
            return Operation(dialect=self, name="embeddings", is_embedding=True, stream=False)
        return None

    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        given = body.get("input")
        reading.text(body, "input", "user", Kind.EMBEDDING)
        if isinstance(given, list):
            for number, entry in enumerate(given):
                if not reading.text(given, number, "user", Kind.EMBEDDING):
                    reading.media.append(Media("tokens"))
                    if not isinstance(entry, list | dict):
                        break

    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.usage = usage_from(body.get("usage"), "prompt_tokens", "completion_tokens")

    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        return _NoEvents(choices)

    def refusal(self, why: Broken) -> bytes:
        return dumped(openai_error(why))

    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        return sse(openai_error(why))


class _NoEvents(EventReader):
    """There are no streams of embeddings; what comes as one is all text."""

    __slots__ = ()

    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        return False
