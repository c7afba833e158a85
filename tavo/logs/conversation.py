"""Messages as providers and tracers write them -> the texts and tool calls of one exchange.

Rules this module keeps:
- any shape may come: what is not understood is left out of the named parts and never raises, and
  every text of the input still stands in `input`;
- texts of a message are joined by line breaks, so that no text arises that nobody wrote.

Shapes: OpenAI chat and responses, Anthropic messages, OpenTelemetry's parts, Bedrock's Converse,
Gemini's contents, plain text, and any of them as JSON in a text.
"""

from __future__ import annotations

import json
from typing import Any

from tavo.logs.record import leaves, nested_json
from tavo.logs.streams import joined

__all__ = ["Conversation", "conversation_of"]

_USER = {"user", "human"}
_SYSTEM = {"system", "developer"}
_MODEL = {"assistant", "model", "ai"}
_MOST_MESSAGES = 2000


class Conversation:
    """The parts of one exchange, each a list of texts."""

    __slots__ = ("arguments", "completion", "definitions", "input", "prompt", "results", "system",
                 "tools")  # fmt: skip

    def __init__(self) -> None:
        self.system: list[str] = []
        self.prompt: list[str] = []
        self.input: list[str] = []
        self.completion: list[str] = []
        self.tools: list[str] = []
        self.arguments: list[str] = []
        self.results: list[str] = []
        self.definitions: list[str] = []


def conversation_of(
    *, given: list[Any], answered: list[Any], system: list[Any], tools: list[Any]
) -> Conversation:
    """Return the parts of what was sent, what came back, the system prompt, and offered tools."""
    out = Conversation()
    for value in system:
        out.system += _texts(nested_json(value))
    for value in given:
        for message in _messages(nested_json(value)):
            _given(message, out)
    for value in answered:
        value = nested_json(value)
        for message in _messages(value):
            _answered(message, out)
        _answered_in_pieces(value, out)
    for value in tools:
        out.definitions += [str(one) for one in leaves(nested_json(value)) if isinstance(one, str)]
    return out


def _messages(value: Any) -> list[Any]:
    """Return the messages in a value, whatever holds them."""
    if isinstance(value, dict):
        for key in ("messages", "input", "contents", "choices", "output", "candidates", "prompt"):
            inner = nested_json(value.get(key))
            if isinstance(inner, list):
                extra = [{"role": "system", "content": value[one]} for one in
                         ("system", "instructions") if value.get(one)]  # fmt: skip
                return extra + inner[:_MOST_MESSAGES]
            if isinstance(inner, str) and inner and "role" not in value:
                return [inner]
            if isinstance(inner, dict) and key == "output":  # Bedrock's Converse
                return _messages(inner.get("message", inner))
        return [value]
    if isinstance(value, list):
        return value[:_MOST_MESSAGES]
    return [value] if isinstance(value, str) and value else []


def _given(message: Any, out: Conversation) -> None:
    if isinstance(message, str):
        out.prompt = [message]
        out.input.append(message)
        return
    if not isinstance(message, dict):
        return
    role = str(message.get("role") or message.get("type") or "user").lower()
    results = len(out.results)
    texts = _content(message, out, answered=False)
    if role in _SYSTEM:
        out.system += texts
        return
    out.input += texts
    said = [one for one in texts if one not in out.results[results:]]
    if role in _USER and said:
        out.prompt = said
    elif role in {"tool", "function"}:
        out.results += [one for one in texts if one not in out.results[results:]]


def _answered(message: Any, out: Conversation) -> None:
    if isinstance(message, str):
        out.completion.append(message)
        return
    if not isinstance(message, dict):
        return
    for key in ("message", "delta", "content_block"):
        inner = message.get(key)
        if isinstance(inner, dict):
            message = inner
            break
    out.completion += _content(message, out, answered=True)


def _answered_in_pieces(value: Any, out: Conversation) -> None:
    """Add what chunks are together: a text that is cut stands in none of them."""
    chunks = value if isinstance(value, list) else [value]
    pieces = [one for one in chunks if isinstance(one, dict) and "delta" in str(one)[:20_000]]
    whole = joined(pieces) if pieces else None
    if whole is not None:
        _answered(whole["choices"][0], out)


def _content(message: dict[str, Any], out: Conversation, *, answered: bool) -> list[str]:
    """Return the texts of a message; its calls of tools and their results go to their lists."""
    texts: list[str] = []
    kind = message.get("type")
    if kind in {"function_call", "tool_use", "tool_call", "mcp_call"} or "toolUse" in message:
        _call(message, out)
        return texts
    if kind in {"function_call_output", "tool_result", "tool_call_response"}:
        _result(message, out, texts)
        return texts
    for key in (
        "content",
        "parts",
        "text",
        "reasoning_content",
        "refusal",
        "generation",
        "completion",
    ):
        value = message.get(key)
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            for part in value[:_MOST_MESSAGES]:
                _part(part, out, texts, answered=answered)
        elif isinstance(value, dict):
            _part(value, out, texts, answered=answered)
    calls = message.get("tool_calls")
    for call in calls[:200] if isinstance(calls, list) else ():
        if isinstance(call, dict):
            _call(call, out)
    if isinstance(message.get("function_call"), dict):
        _call(message["function_call"], out)
    return texts


def _part(part: Any, out: Conversation, texts: list[str], *, answered: bool) -> None:
    if isinstance(part, str):
        texts.append(part)
        return
    if not isinstance(part, dict):
        return
    kind = part.get("type")
    if (
        kind in {"tool_use", "tool_call", "function_call"}
        or {"toolUse", "functionCall"} & part.keys()
    ):
        _call(part, out)
    elif (
        kind in {"tool_result", "tool_call_response"}
        or {"toolResult", "functionResponse"} & part.keys()
    ):
        _result(part, out, texts)
    elif "content" in part or "parts" in part or isinstance(part.get("text"), str):
        texts += _content({k: v for k, v in part.items() if k != "type"}, out, answered=answered)
    else:
        texts += [one for one in leaves(part) if isinstance(one, str) and len(one) < 200_000]


def _call(call: dict[str, Any], out: Conversation) -> None:
    for key in ("function", "toolUse", "functionCall"):
        inner = call.get(key)
        if isinstance(inner, dict):
            call = inner
            break
    name = call.get("name")
    if isinstance(name, str):
        out.tools.append(name)
    for key in ("arguments", "input", "args"):
        value = call.get(key)
        if value not in (None, "", {}):
            out.arguments.append(value if isinstance(value, str) else _joined(value))
            break


def _result(part: dict[str, Any], out: Conversation, texts: list[str]) -> None:
    for key in ("toolResult", "functionResponse"):
        if isinstance(part.get(key), dict):
            part = part[key]
    for key in ("output", "content", "result", "response"):
        value = part.get(key)
        if value is not None:
            found = value if isinstance(value, str) else "\n".join(_texts(value))
            out.results.append(found)
            texts.append(found)
            break


def _joined(value: Any) -> str:
    return "\n".join(_words(one) for one in leaves(value))


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in leaves(value) if isinstance(one, str) and one not in {"text", "system"}]
