"""The values of dynamic tests, proxy filters and logs as plain JSON and back, for both sides.

Rules this module keeps:
- `*_to_plain` takes a value that checked itself when it was made; what a plugin answers is cut at
  a limit, so that one answer stays within a frame; what passes through is kept whole;
- `*_from_plain` makes the value again, which checks it again (`ValueError`, `TypeError`,
  `KeyError` for what is not one);
- standard library only.

Units: lengths in characters, times in ISO 8601 with a time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tavo.plugins.plain import clip
from tavo.plugins.values import (
    AttackResult,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Event,
    FilterResult,
)

__all__ = [
    "attack_to_plain",
    "event_from_plain",
    "event_to_plain",
    "filter_result_to_plain",
    "message_from_plain",
    "message_to_plain",
    "request_from_plain",
    "request_to_plain",
    "response_from_plain",
    "response_to_plain",
]

_LONGEST_OUTPUT = 16384
_MOST_ATTEMPTS = 64
_MOST_OUTPUTS = 8
_MOST_LABELS = 32


def message_to_plain(message: ChatMessage) -> dict[str, Any]:
    """Return a chat message, whole."""
    return {"role": message.role, "content": message.content, "name": message.name}


def message_from_plain(plain: Mapping[str, Any]) -> ChatMessage:
    """Make a chat message."""
    return ChatMessage(role=plain["role"], content=plain["content"], name=plain.get("name", ""))


def request_to_plain(request: ChatRequest) -> dict[str, Any]:
    """Return a chat request, whole."""
    return {
        "messages": [message_to_plain(message) for message in request.messages],
        "model": request.model,
        "parameters": dict(request.parameters),
        "user": request.user,
    }


def request_from_plain(plain: Mapping[str, Any]) -> ChatRequest:
    """Make a chat request."""
    return ChatRequest(
        messages=tuple(message_from_plain(message) for message in plain["messages"]),
        model=plain.get("model", ""),
        parameters=plain.get("parameters", {}),
        user=plain.get("user", ""),
    )


def response_to_plain(response: ChatResponse) -> dict[str, Any]:
    """Return a chat response without its request."""
    return {
        "messages": [message_to_plain(message) for message in response.messages],
        "finish_reason": response.finish_reason,
    }


def response_from_plain(plain: Mapping[str, Any], request: ChatRequest) -> ChatResponse:
    """Make the response to a request."""
    return ChatResponse(
        request=request,
        messages=tuple(message_from_plain(message) for message in plain["messages"]),
        finish_reason=plain.get("finish_reason", ""),
    )


def attack_to_plain(result: object) -> dict[str, Any]:
    """Return what a dynamic plugin says about one goal. Raises TypeError for anything else."""
    if not isinstance(result, AttackResult):
        raise TypeError(f"yielded {clip(repr(result), 200)}, expected tavo.plugins.AttackResult")
    return {
        "rule": result.rule_id,
        "goal": clip(result.goal),
        "severity": result.severity.value,
        "score": result.score,
        "attempts": [
            {
                "prompt": clip(attempt.prompt, _LONGEST_OUTPUT),
                "outputs": [
                    clip(output, _LONGEST_OUTPUT) for output in attempt.outputs[:_MOST_OUTPUTS]
                ],
                "score": attempt.score,
            }
            for attempt in result.attempts[:_MOST_ATTEMPTS]
        ],
        "error": clip(result.error),
    }


def filter_result_to_plain(result: object) -> dict[str, Any]:
    """Return a filter's decision. Raises TypeError for anything else."""
    if not isinstance(result, FilterResult):
        raise TypeError(f"returned {clip(repr(result), 200)}, expected tavo.plugins.FilterResult")
    return {
        "decision": result.decision.value,
        "reason": clip(result.reason),
        "replacement": [message_to_plain(message) for message in result.replacement],
        "labels": [clip(label, 100) for label in result.labels[:_MOST_LABELS]],
    }


def event_to_plain(event: Event) -> dict[str, Any]:
    """Return a log event."""
    return {
        "time": event.time.isoformat(),
        "source": event.source,
        "number": event.number,
        "message": event.message,
        "fields": dict(event.fields),
    }


def event_from_plain(plain: Mapping[str, Any]) -> Event:
    """Make a log event."""
    return Event(
        time=datetime.fromisoformat(plain["time"]),
        source=plain["source"],
        number=plain["number"],
        message=plain["message"],
        fields=plain["fields"],
    )
