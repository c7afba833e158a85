"""The answer of a model that came in pieces -> the answer as it would have come whole.

Rules this module keeps:
- pieces of a text are joined without anything between them, as a client puts them together: what a
  rule looks for may be cut anywhere;
- any shape may come: a piece that is not understood is kept as it is, and nothing raises;
- a stream is bounded in its events; texts of those beyond stand in the record, not in the answer.

Shapes: server-sent events and lists of chunks of OpenAI's chat and responses, Anthropic's messages,
Gemini's and Ollama's.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["is_stream", "joined", "put_together"]

_STARTS = ("data:", "event:", ": ", "id:")
_MOST_EVENTS = 100_000
_decode = msgspec.json.Decoder().decode


def is_stream(text: str) -> bool:
    """Tell whether a text has the form of server-sent events."""
    front = text[:64].lstrip()
    return front.startswith(_STARTS) and "data:" in text


def put_together(text: str) -> Any:
    """Return the answer that some server-sent events bring; the text itself where they are none."""
    events: list[Any] = []
    for line in text.splitlines():
        if not line.startswith("data:") or len(events) >= _MOST_EVENTS:
            continue
        try:
            events.append(_decode(line[5:].strip()))
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
    found = joined(events)
    return text if found is None else found


def joined(events: list[Any]) -> dict[str, Any] | None:
    """Return what the chunks of an answer are together, None where they are no chunks."""
    answer = _Answer()
    taken = 0
    for event in events:
        if isinstance(event, dict):
            taken += answer.take(event)
    return answer.whole() if taken else None


class _Answer:
    def __init__(self) -> None:
        self.about: dict[str, Any] = {}
        self.texts: dict[Any, list[str]] = {}
        self.calls: dict[Any, dict[str, list[str]]] = {}
        self.finish: Any = None

    def take(self, event: dict[str, Any]) -> bool:
        """Take a chunk; tell whether it is one."""
        kind = event.get("type")
        for key in ("model", "id", "usage"):
            if event.get(key):
                self.about[key] = event[key]
        message = event.get("message")
        if isinstance(message, dict) and kind == "message_start":
            self.about |= {key: message[key] for key in ("model", "id", "usage") if key in message}
            return True
        if isinstance(event.get("choices"), list):
            return sum(self._choice(one) for one in event["choices"] if isinstance(one, dict)) > 0
        if isinstance(event.get("candidates"), list):
            found = (self._gemini(one) for one in event["candidates"] if isinstance(one, dict))
            return sum(found) > 0
        index = event.get("index", event.get("output_index", 0))
        block = event.get("content_block", event.get("item"))
        if isinstance(block, dict):
            return self._starts(index, block)
        delta = event.get("delta")
        if isinstance(delta, str):  # the responses API
            arguments = "arguments" in str(kind)
            (self._call(index)["arguments"] if arguments else self._text(index)).append(delta)
            return True
        if isinstance(delta, dict):
            self._delta(index, delta)
            return True
        if isinstance(event.get("response"), str):  # Ollama
            self._text(0).append(event["response"])
            return True
        if isinstance(message, dict) and isinstance(message.get("content"), str):
            self._text(0).append(message["content"])
            return True
        return False

    def _choice(self, choice: dict[str, Any]) -> bool:
        delta, index = choice.get("delta"), choice.get("index", 0)
        self.finish = choice.get("finish_reason") or self.finish
        if isinstance(delta, dict):
            self._delta(index, delta)
            return True
        if isinstance(choice.get("text"), str) and "message" not in choice:
            self._text(index).append(choice["text"])
            return True
        return False

    def _delta(self, index: Any, delta: dict[str, Any]) -> None:
        self.finish = delta.get("stop_reason") or self.finish
        for key in ("content", "text", "reasoning_content", "thinking", "refusal"):
            if isinstance(delta.get(key), str):
                self._text(index if key in ("content", "text") else (key, _plain(index))).append(
                    delta[key]
                )
        if isinstance(delta.get("partial_json"), str):
            self._call(index)["arguments"].append(delta["partial_json"])
        calls = delta.get("tool_calls")
        for call in calls[:200] if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                known = self._call((_plain(index), _plain(call.get("index", 0))))
                for key in ("name", "arguments"):
                    if isinstance(function.get(key), str):
                        known[key].append(function[key])

    def _starts(self, index: Any, block: dict[str, Any]) -> bool:
        if isinstance(block.get("name"), str) and not self._call(index)["name"]:
            self._call(index)["name"].append(block["name"])
        elif isinstance(block.get("text"), str):
            self._text(index).append(block["text"])
        return True

    def _gemini(self, candidate: dict[str, Any]) -> bool:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        self.finish = candidate.get("finishReason") or self.finish
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                self._text(0).append(part["text"])
            elif isinstance(part, dict) and isinstance(part.get("functionCall"), dict):
                call = part["functionCall"]
                known = self._call(("call", len(self.calls)))
                known["name"].append(str(call.get("name", "")))
                known["arguments"].append(msgspec.json.encode(call.get("args")).decode())
        return isinstance(parts, list)

    def _text(self, index: Any) -> list[str]:
        return self.texts.setdefault(_plain(index), [])

    def _call(self, index: Any) -> dict[str, list[str]]:
        return self.calls.setdefault(_plain(index), {"name": [], "arguments": []})

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": ["".join(pieces) for pieces in self.texts.values()],
        }
        if self.calls:
            message["tool_calls"] = [
                {"function": {key: "".join(pieces) for key, pieces in call.items()}}
                for call in self.calls.values()
            ]
        return {
            **self.about, "choices": [{"message": message, "finish_reason": self.finish}]
        }  # fmt: skip


def _plain(index: Any) -> Any:
    return index if isinstance(index, int | str | tuple) else repr(index)
