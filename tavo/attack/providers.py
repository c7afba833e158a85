"""How each provider is asked: address, headers, body, and what its answer says.

Rules this module keeps:
- data in, data out; no I/O;
- what comes back is hostile: another shape is a `DialectError` that says what was expected;
- calls of tools stay in the text of the answer, as JSON on a line of their own.

Sources: the public API references of OpenAI, Anthropic, Google and Ollama.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tavo.llm.openai_chat import DialectError, Usage, body_of, response_of, usage_of
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse

__all__ = ["PROVIDERS", "Provider"]

_LONGEST_TEXT = 1 << 20
_MOST_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to ask. `end` is what the address ends with, `{model}` in it is the model."""

    end: str
    header: str
    before_key: str
    body: Callable[[ChatRequest, str], dict[str, Any]]
    read: Callable[[Any, ChatRequest], ChatResponse]
    usage: Callable[[Any], Usage]
    headers: Mapping[str, str]
    needs_model: bool = True

    def address(self, url: str, model: str) -> str:
        """Return the whole address for what the user named."""
        end = self.end.format(model=quote(model, safe="-._~"))
        url = url.rstrip("/")
        first = end.split("/", 2)[1]
        if url.endswith(end) or ":generate" in url:
            return url
        if url.endswith(f"/{first}"):  # the version is in both
            return url + end.removeprefix(f"/{first}")
        return url + end


def _anthropic_body(request: ChatRequest, model: str) -> dict[str, Any]:
    system, messages = _alternating(request, "assistant")
    body: dict[str, Any] = {
        "model": request.model or model, "max_tokens": _MOST_TOKENS,
        "messages": [{"role": role, "content": text} for role, text in messages],
    }  # fmt: skip
    if system:
        body["system"] = system
    tools = [
        {"name": one["name"], "description": one.get("description", ""),
         "input_schema": one.get("parameters", {"type": "object"})}
        for one in _functions(request)
    ]  # fmt: skip
    if tools:
        body["tools"] = tools
    return body


def _anthropic_answer(answer: Any, request: ChatRequest) -> ChatResponse:
    blocks = answer.get("content") if isinstance(answer, Mapping) else None
    if not isinstance(blocks, list):
        raise DialectError("the answer has no list 'content', as Anthropic's messages have")
    texts, calls = [], []
    for block in blocks[:256]:
        if not isinstance(block, Mapping):
            continue
        if isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif block.get("type") == "tool_use":
            calls.append({"name": block.get("name"), "arguments": block.get("input")})
    return _response(request, texts, calls, answer.get("stop_reason"))


def _anthropic_usage(answer: Any) -> Usage:
    return _usage(answer, "usage", "input_tokens", "output_tokens")


def _gemini_body(request: ChatRequest, model: str) -> dict[str, Any]:
    system, messages = _alternating(request, "model")
    body: dict[str, Any] = {
        "contents": [{"role": role, "parts": [{"text": text}]} for role, text in messages],
        "generationConfig": {"maxOutputTokens": _MOST_TOKENS},
    }
    if system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if tools := _functions(request):
        body["tools"] = [{"functionDeclarations": tools}]
    return body


def _gemini_answer(answer: Any, request: ChatRequest) -> ChatResponse:
    candidates = answer.get("candidates") if isinstance(answer, Mapping) else None
    if not isinstance(candidates, list):
        raise DialectError("the answer has no list 'candidates', as Gemini's have")
    texts, calls, reason = [], [], ""
    for candidate in candidates[:64]:
        content = candidate.get("content") if isinstance(candidate, Mapping) else None
        parts = content.get("parts") if isinstance(content, Mapping) else None
        reason = reason or str(candidate.get("finishReason") or "")
        for part in parts if isinstance(parts, list) else []:
            if not isinstance(part, Mapping):
                continue
            if isinstance(part.get("text"), str):
                texts.append(part["text"])
            call = part.get("functionCall")
            if isinstance(call, Mapping):
                calls.append({"name": call.get("name"), "arguments": call.get("args")})
    return _response(request, texts, calls, reason)


def _gemini_usage(answer: Any) -> Usage:
    return _usage(answer, "usageMetadata", "promptTokenCount", "candidatesTokenCount")


def _ollama_body(request: ChatRequest, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model or model, "stream": False,
        "messages": [{"role": one.role, "content": one.content} for one in request.messages],
        "options": {"num_predict": _MOST_TOKENS},
    }  # fmt: skip
    if request.parameters.get("tools"):
        body["tools"] = request.parameters["tools"]
    return body


def _ollama_answer(answer: Any, request: ChatRequest) -> ChatResponse:
    message = answer.get("message") if isinstance(answer, Mapping) else None
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
        raise DialectError("the answer has no 'message' with 'content', as Ollama's have")
    calls = message.get("tool_calls")
    return _response(
        request, [message["content"]], calls if isinstance(calls, list) else [],
        answer.get("done_reason"),
    )  # fmt: skip


def _ollama_usage(answer: Any) -> Usage:
    return _usage({"of": answer}, "of", "prompt_eval_count", "eval_count")


def _openai_body(request: ChatRequest, model: str) -> dict[str, Any]:
    return body_of(request, model=model)


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        end="/chat/completions", header="Authorization", before_key="Bearer ", body=_openai_body,
        read=response_of, usage=usage_of, headers={}, needs_model=False,
    ),
    "anthropic": Provider(
        end="/v1/messages", header="x-api-key", before_key="", body=_anthropic_body,
        read=_anthropic_answer, usage=_anthropic_usage,
        headers={"anthropic-version": "2023-06-01"},
    ),
    "gemini": Provider(
        end="/v1beta/models/{model}:generateContent", header="x-goog-api-key", before_key="",
        body=_gemini_body, read=_gemini_answer, usage=_gemini_usage, headers={},
    ),
    "ollama": Provider(
        end="/api/chat", header="Authorization", before_key="Bearer ", body=_ollama_body,
        read=_ollama_answer, usage=_ollama_usage, headers={},
    ),
}  # fmt: skip
"""The kinds of a target file that speak a provider's dialect."""


def _alternating(request: ChatRequest, model: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the system's text and turns of user and model, which alternate."""
    system: list[str] = []
    turns: list[tuple[str, str]] = []
    for one in request.messages:
        if one.role in {"system", "developer"}:
            system.append(one.content)
            continue
        role = model if one.role == "assistant" else "user"
        if turns and turns[-1][0] == role:
            turns[-1] = (role, f"{turns[-1][1]}\n\n{one.content}")
        else:
            turns.append((role, one.content or " "))
    return "\n".join(system), turns


def _functions(request: ChatRequest) -> list[Mapping[str, Any]]:
    tools = request.parameters.get("tools") or ()
    return [one["function"] for one in tools if isinstance(one.get("function"), Mapping)]


def _response(
    request: ChatRequest, texts: list[str], calls: list[Any], reason: object
) -> ChatResponse:
    if calls:
        texts = [*texts, json.dumps(calls, ensure_ascii=False)]
    message = ChatMessage(role="assistant", content="\n".join(texts)[:_LONGEST_TEXT])
    return ChatResponse(request=request, messages=(message,), finish_reason=str(reason or "")[:100])


def _usage(answer: Any, holder: str, prompt: str, completion: str) -> Usage:
    found = answer.get(holder) if isinstance(answer, Mapping) else None
    if not isinstance(found, Mapping):
        return 0, 0
    same = {"prompt_tokens": found.get(prompt), "completion_tokens": found.get(completion)}
    return usage_of({"usage": same})
