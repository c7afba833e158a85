"""OpenAI's chat completions: a chat request as JSON, and the answer back as messages.

Rules this module keeps:
- data in, data out; no I/O;
- what comes back is hostile: another shape is a `DialectError` that says what was expected;
- tool calls are kept as JSON text in the message, so that nothing that a model said is lost.

Source: the public API reference of `POST /v1/chat/completions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse

__all__ = ["DialectError", "Usage", "body_of", "response_of", "usage_of"]

_LONGEST_TEXT = 1 << 20
_OWN_KEYS = frozenset({"messages", "model", "stream", "n"})

Usage = tuple[int, int]


class DialectError(Exception):
    """An answer is not what this dialect answers. The message is a clause."""


def body_of(request: ChatRequest, *, model: str = "") -> dict[str, Any]:
    """Return the body of the HTTP request; `model` is used where the request names none."""
    body: dict[str, Any] = {
        key: value for key, value in request.parameters.items() if key not in _OWN_KEYS
    }
    body["messages"] = [
        {"role": one.role, "content": one.content, **({"name": one.name} if one.name else {})}
        for one in request.messages
    ]
    if request.model or model:
        body["model"] = request.model or model
    if request.user:
        body["user"] = request.user
    return body


def response_of(answer: Any, request: ChatRequest) -> ChatResponse:
    """Return the messages of an answer's body. Raises DialectError."""
    if not isinstance(answer, Mapping) or not isinstance(answer.get("choices"), list):
        raise DialectError("the answer has no list 'choices', as chat completions have")
    messages: list[ChatMessage] = []
    finish = ""
    for choice in answer["choices"][:64]:
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if not isinstance(message, Mapping):
            raise DialectError("a choice of the answer has no 'message'")
        messages.append(ChatMessage(role="assistant", content=_text(message)[:_LONGEST_TEXT]))
        finish = finish or str(choice.get("finish_reason") or "")[:100]
    return ChatResponse(request=request, messages=tuple(messages), finish_reason=finish)


def usage_of(answer: Any) -> Usage:
    """Return the tokens of prompt and answer as the provider counted them, zeros if it did not."""
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    if not isinstance(usage, Mapping):
        return 0, 0
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        return 0
    return value


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts: list[str] = []
    if isinstance(content, str):
        parts.append(content)
    elif isinstance(content, list):
        parts += [
            part["text"]
            for part in content
            if isinstance(part, Mapping) and isinstance(part.get("text"), str)
        ]
    elif content is not None:
        raise DialectError("the content of the answer is neither text nor a list of parts")
    if isinstance(message.get("refusal"), str):
        parts.append(message["refusal"])
    if message.get("tool_calls"):
        parts.append(json.dumps(message["tool_calls"], ensure_ascii=False))
    return "\n".join(parts)
