"""Messages as providers and tracers write them -> the texts and tool calls of one exchange.

Rules this module keeps:
- any shape may come: what is not understood is left out of the named parts and never raises, and
  every text of the input still stands in `input`;
- texts of a message are joined by line breaks, so that no text arises that nobody wrote.

Shapes: OpenAI chat and responses, Anthropic messages, OpenTelemetry's parts, Bedrock's Converse,
Gemini's contents, Vercel's AI SDK, Titan, Cohere, plain text, and any of them as JSON in a text.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tavo.logs.record import leaves, nested_json
from tavo.logs.streams import joined

__all__ = ["Conversation", "conversation_of"]

_USER = {"user", "human"}
_SYSTEM = {"system", "developer"}
_MODEL = {"assistant", "model", "ai"}
_CALLS = {"function_call", "tool_use", "tool_call", "tool-call", "mcp_call"}
_RESULTS = {"tool_result", "tool_call_response", "tool-result"}
_REALTIME = ("response.", "conversation.", "session.")
_MOST_MESSAGES = 20_000
_LONG = 200_000
_DATA = re.compile(r"(?:data:[^,]{0,200},)?[A-Za-z0-9+/=_\r\n-]*+")


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
    single: list[Any] = []
    for value in map(nested_json, answered):
        for message in _messages(value):
            _answered(message, out)
        if isinstance(value, list):
            _answered_in_pieces(value, out)
        else:
            single.append(value)
    _answered_in_pieces(single, out)
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
                return extra + _bounded(inner)
            if isinstance(inner, str) and inner and "role" not in value:
                return [inner]
            if isinstance(inner, dict) and key == "output":  # Bedrock's Converse
                return _messages(inner.get("message", inner))
        return [value] if {"role", "content"} & value.keys() else _of_other_models(value)
    if isinstance(value, list):
        return _bounded(value)
    return [value] if isinstance(value, str) and value else []


def _of_other_models(value: dict[str, Any]) -> list[Any]:
    """Return the messages of bodies as Titan, Cohere, and models of Hugging Face have them."""
    if str(value.get("type")).startswith(_REALTIME):
        return _of_realtime(value)
    for key in ("inputText", "inputs"):
        if isinstance(value.get(key), str):
            return [value[key]]
    if isinstance(value.get("message"), str) and "chat_history" in value:
        history = value["chat_history"]
        before = _bounded(history) if isinstance(history, list) else []
        return [*before, value["message"]]
    for key in ("results", "outputs", "generations"):
        if isinstance(value.get(key), list):
            return _bounded(value[key])
    return [value]


def _of_realtime(event: dict[str, Any]) -> list[Any]:
    """Return the messages of an event of OpenAI's realtime API, which comes by a web socket."""
    out: list[Any] = []
    for key in ("session", "response", "item"):
        inner = event.get(key)
        if not isinstance(inner, dict):
            continue
        if inner.get("instructions"):
            out.append({"role": "system", "content": inner["instructions"]})
        for name in ("input", "output"):
            if isinstance(inner.get(name), list):
                out += _bounded(inner[name])
        if key == "item":
            out.append(inner)
    return out + [{"content": event[key]} for key in ("transcript", "text") if event.get(key)]


def _bounded(values: list[Any]) -> list[Any]:
    """Return a list of which what is beyond the bound is one text: nothing hides behind it."""
    if len(values) <= _MOST_MESSAGES:
        return values
    return [*values[:_MOST_MESSAGES], "\n".join(_texts(values[_MOST_MESSAGES:]))]


def _given(message: Any, out: Conversation) -> None:
    if isinstance(message, list):
        message = "\n".join(_texts(message))
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
    got = set(out.results[results:])
    said = [one for one in texts if one not in got]
    if role in _USER and said:
        out.prompt = said
    elif role in {"tool", "function"}:
        out.results += said


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


def _answered_in_pieces(chunks: list[Any], out: Conversation) -> None:
    """Add what chunks are together: a text that is cut stands in none of them."""
    pieces = [one for one in chunks if isinstance(one, dict) and "delta" in str(one)[:20_000]]
    whole = joined(pieces) if pieces else None
    if whole is not None:
        _answered(whole["choices"][0], out)


def _content(message: dict[str, Any], out: Conversation, *, answered: bool) -> list[str]:
    """Return the texts of a message; its calls of tools and their results go to their lists."""
    texts: list[str] = []
    kind = message.get("type")
    if kind in _RESULTS:
        _result(message, out, texts)
        return texts
    if kind in _CALLS or {"toolUse", "toolName"} & message.keys():
        _call(message, out)
        return texts
    if kind == "function_call_output":
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
        "message",
        "outputText",
        "generated_text",
    ):
        value = message.get(key)
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            for part in _bounded(value):
                _part(part, out, texts, answered=answered)
        elif isinstance(value, dict):
            _part(value, out, texts, answered=answered)
    calls = message.get("tool_calls")
    for call in _bounded(calls) if isinstance(calls, list) else ():
        if isinstance(call, dict):
            _call(call, out)
        elif isinstance(call, str):
            out.arguments.append(call)
    if isinstance(message.get("function_call"), dict):
        _call(message["function_call"], out)
    return texts


def _part(part: Any, out: Conversation, texts: list[str], *, answered: bool) -> None:
    if isinstance(part, str):
        texts.append(part)
        return
    if not isinstance(part, dict):
        texts += _texts(part) if isinstance(part, list) else ()
        return
    kind = part.get("type")
    if kind in _RESULTS or {"toolResult", "functionResponse"} & part.keys():
        _result(part, out, texts)
    elif kind in _CALLS or {"toolUse", "functionCall", "toolName"} & part.keys():
        _call(part, out)
    elif "content" in part or "parts" in part or isinstance(part.get("text"), str):
        texts += _content({k: v for k, v in part.items() if k != "type"}, out, answered=answered)
    else:
        texts += [one for one in leaves(part) if isinstance(one, str) and not _is_data(one)]


def _is_data(text: str) -> bool:
    """Tell whether a text is a picture or a sound, written in letters."""
    return len(text) > _LONG and _DATA.fullmatch(text) is not None


def _call(call: dict[str, Any], out: Conversation) -> None:
    for key in ("function", "toolUse", "functionCall"):
        inner = call.get(key)
        if isinstance(inner, dict):
            call = inner
            break
    name = call.get("name", call.get("toolName"))
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
