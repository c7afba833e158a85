"""What providers send, in all dialects: requests, answers and streams out of plain texts and calls.

`Speaker.heard` reads what a client gets, the way that its SDK puts it together, without any code of
tavo: texts by choice, complete calls, and the error, if there is one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Call = tuple[str, str]


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def sse(value: Any, event: str = "") -> bytes:
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + compact(value) + b"\n\n"


def sse_events(data: bytes) -> list[tuple[str, Any]]:
    found = []
    for block in data.replace(b"\r\n", b"\n").split(b"\n\n"):
        name, lines = "", []
        for line in block.split(b"\n"):
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                lines.append(line[6:])
        text = b"\n".join(lines)
        if text and text != b"[DONE]":
            found.append((name, json.loads(text)))
    return found


@dataclass
class Heard:
    """What a client understood."""

    texts: dict[Any, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    error: str = ""

    def say(self, key: Any, text: str | None) -> None:
        self.texts[key] = self.texts.get(key, "") + (text or "")


class Speaker:
    """One dialect. `deltas` are (choice, text); choices beyond what a dialect has are one."""

    name: str
    path: bytes
    whole_path = b""
    query = b""
    content_type = b"text/event-stream"
    choices = 1
    has_calls = True

    def request(self, text: str, *, stream: bool = True, tool_result: str = "") -> Any:
        raise NotImplementedError

    def several(self, request: Any, choices: int) -> Any:
        """Return a request that asks for several answers, where the dialect has that."""
        return request

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        """Return the events; the arguments of the call come in pieces of `cut` characters."""
        raise NotImplementedError

    def whole(self, texts: Sequence[str], call: Call | None) -> bytes:
        raise NotImplementedError

    def heard(self, data: bytes) -> Heard:
        raise NotImplementedError

    def heard_whole(self, data: bytes) -> Heard:
        raise NotImplementedError


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class OpenAiChat(Speaker):
    name = "openai-chat"
    path = b"/v1/chat/completions"
    choices = 3

    def request(self, text: str, *, stream: bool = True, tool_result: str = "") -> Any:
        messages: list[Any] = [{"role": "user", "content": text}]
        if tool_result:
            messages.append({"role": "tool", "tool_call_id": "c1", "content": tool_result})
        return {"model": "m-1", "stream": stream, "messages": messages}

    def several(self, request: Any, choices: int) -> Any:
        return {**request, "n": choices}

    def _chunk(self, choice: int, delta: Any, finish: str | None = None) -> bytes:
        return sse({
            "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
            "choices": [{"index": choice, "delta": delta, "finish_reason": finish}],
        })  # fmt: skip

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        out: list[bytes] = []
        begun: set[int] = set()
        for choice, text in deltas:
            role = {} if choice in begun else {"role": "assistant"}
            begun.add(choice)
            out.append(self._chunk(choice, {**role, "content": text}))
        if call:
            out.append(self._chunk(0, {"tool_calls": [{
                "index": 0, "id": "c1", "type": "function",
                "function": {"name": call[0], "arguments": ""}}]}))  # fmt: skip
            out += [
                self._chunk(0, {"tool_calls": [{"index": 0, "function": {"arguments": one}}]})
                for one in pieces(call[1], cut)
            ]
        ends = sorted({choice for choice, _ in deltas} or {0})
        out += [self._chunk(c, {}, "tool_calls" if call and c == 0 else "stop") for c in ends]
        out.append(
            sse(
                {
                    "id": "x",
                    "object": "chat.completion.chunk",
                    "created": 1,
                    "model": "m-1",
                    "choices": [],
                    "usage": {"prompt_tokens": 7, "completion_tokens": 9},
                }
            )
        )
        return [*out, b"data: [DONE]\n\n"]

    def whole(self, texts: Sequence[str], call: Call | None) -> bytes:
        choices = []
        for index, text in enumerate(texts):
            message: Any = {"role": "assistant", "content": text}
            if call and index == 0:
                function = {"name": call[0], "arguments": call[1]}
                message["tool_calls"] = [{"id": "c1", "type": "function", "function": function}]
            choices.append({"index": index, "message": message, "finish_reason": "stop"})
        return compact(
            {
                "id": "x",
                "object": "chat.completion",
                "choices": choices,
                "usage": {"prompt_tokens": 7, "completion_tokens": 9},
            }
        )

    def heard(self, data: bytes) -> Heard:
        heard, calls = Heard(), {}
        for _, event in sse_events(data):
            if event.get("error"):
                heard.error = event["error"]["message"]
                break
            for choice in event["choices"]:
                delta, index = choice["delta"], choice["index"]
                if "content" in delta:
                    heard.say(index, delta["content"])
                for one in delta.get("tool_calls", ()):
                    name, arguments = calls.get((index, one["index"]), ("", ""))
                    function = one["function"]
                    calls[index, one["index"]] = (
                        name + function.get("name", ""), arguments + function.get("arguments", ""),
                    )  # fmt: skip
        heard.calls = list(calls.values())
        return heard

    def heard_whole(self, data: bytes) -> Heard:
        heard, body = Heard(), json.loads(data)
        if "error" in body:
            heard.error = body["error"]["message"]
            return heard
        for choice in body["choices"]:
            heard.say(choice["index"], choice["message"]["content"])
            for one in choice["message"].get("tool_calls", ()):
                heard.calls.append((one["function"]["name"], one["function"]["arguments"]))
        return heard


class OpenAiResponses(Speaker):
    name = "openai-responses"
    path = b"/v1/responses"

    def request(self, text: str, *, stream: bool = True, tool_result: str = "") -> Any:
        items: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": text}]}]
        if tool_result:
            items.append({"type": "function_call_output", "call_id": "c", "output": tool_result})
        return {"model": "m-1", "stream": stream, "input": items}

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        text, number = "".join(one for _, one in deltas), 0
        out: list[bytes] = []

        def add(kind: str, **fields: Any) -> None:
            nonlocal number
            out.append(sse({"type": kind, "sequence_number": number, **fields}, kind))
            number += 1

        add("response.created", response={"id": "r", "status": "in_progress", "output": []})
        item: Any = {"id": "i0", "type": "message", "role": "assistant", "content": []}
        add("response.output_item.added", output_index=0, item=item)
        where = {"item_id": "i0", "output_index": 0, "content_index": 0}
        add("response.content_part.added", **where, part={"type": "output_text", "text": ""})
        for _, one in deltas:
            add("response.output_text.delta", **where, delta=one, logprobs=[])
        add("response.output_text.done", **where, text=text, logprobs=[])
        part = {"type": "output_text", "text": text, "annotations": []}
        add("response.content_part.done", **where, part=part)
        done = {**item, "content": [part]}
        add("response.output_item.done", output_index=0, item=done)
        output = [done]
        if call:
            item = {"id": "i1", "type": "function_call", "call_id": "c1", "name": call[0]}
            add("response.output_item.added", output_index=1, item={**item, "arguments": ""})
            for one in pieces(call[1], cut):
                add("response.function_call_arguments.delta", item_id="i1", output_index=1,
                    delta=one)  # fmt: skip
            add("response.function_call_arguments.done", item_id="i1", output_index=1,
                arguments=call[1])  # fmt: skip
            add("response.output_item.done", output_index=1, item={**item, "arguments": call[1]})
            output.append({**item, "arguments": call[1]})
        add("response.completed", response={
            "id": "r", "status": "completed", "output": output,
            "usage": {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}})  # fmt: skip
        return out

    def whole(self, texts: Sequence[str], call: Call | None) -> bytes:
        output: list[Any] = [{"id": "i0", "type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "".join(texts), "annotations": []}]}]  # fmt: skip
        if call:
            output.append(
                {
                    "id": "i1",
                    "type": "function_call",
                    "call_id": "c1",
                    "name": call[0],
                    "arguments": call[1],
                }
            )
        return compact(
            {
                "id": "r",
                "object": "response",
                "status": "completed",
                "output": output,
                "usage": {"input_tokens": 7, "output_tokens": 9},
            }
        )

    def heard(self, data: bytes) -> Heard:
        heard, name, delta_arguments, final = Heard(), "", "", None
        for _, event in sse_events(data):
            kind = event["type"]
            if kind == "error":
                heard.error = event["error"]["message"]
                assert event["message"] == heard.error
                break
            if kind == "response.output_text.delta":
                heard.say(0, event["delta"])
            elif kind == "response.output_text.done":
                assert event["text"] == heard.texts.get(0, ""), "both ways must say the same"
            elif kind == "response.output_item.added" and event["item"]["type"] == "function_call":
                name = event["item"]["name"]
            elif kind == "response.function_call_arguments.delta":
                delta_arguments += event["delta"]
            elif kind == "response.function_call_arguments.done":
                heard.calls.append((name, event["arguments"]))
                assert json.loads(delta_arguments) == json.loads(event["arguments"])
            elif kind == "response.completed":
                final = event["response"]
        if final is not None:
            assert self._read(final).texts == heard.texts
        if delta_arguments and not heard.calls:
            heard.calls.append((name, delta_arguments))
        return heard

    def _read(self, body: Any) -> Heard:
        heard = Heard()
        for item in body["output"]:
            if item["type"] == "message":
                for part in item["content"]:
                    heard.say(0, part["text"])
            else:
                heard.calls.append((item["name"], item["arguments"]))
        return heard

    def heard_whole(self, data: bytes) -> Heard:
        body = json.loads(data)
        return Heard(error=body["error"]["message"]) if "error" in body else self._read(body)


class Anthropic(Speaker):
    name = "anthropic-messages"
    path = b"/v1/messages"

    def request(self, text: str, *, stream: bool = True, tool_result: str = "") -> Any:
        content: list[Any] = [{"type": "text", "text": text}]
        if tool_result:
            content.append({"type": "tool_result", "tool_use_id": "c1", "content": tool_result})
        return {
            "model": "m-1",
            "stream": stream,
            "max_tokens": 99,
            "messages": [{"role": "user", "content": content}],
        }

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        out: list[bytes] = []

        def add(kind: str, **fields: Any) -> None:
            out.append(sse({"type": kind, **fields}, kind))

        add(
            "message_start",
            message={
                "id": "m",
                "type": "message",
                "role": "assistant",
                "content": [],
                "model": "m-1",
                "usage": {"input_tokens": 7, "output_tokens": 1},
            },
        )
        add("content_block_start", index=0, content_block={"type": "text", "text": ""})
        add("ping")
        for _, text in deltas:
            add("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        add("content_block_stop", index=0)
        if call:
            add("content_block_start", index=1, content_block={
                "type": "tool_use", "id": "c1", "name": call[0], "input": {}})  # fmt: skip
            for one in pieces(call[1], cut):
                add("content_block_delta", index=1,
                    delta={"type": "input_json_delta", "partial_json": one})  # fmt: skip
            add("content_block_stop", index=1)
        add("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 9})  # fmt: skip
        add("message_stop")
        return out

    def whole(self, texts: Sequence[str], call: Call | None) -> bytes:
        content: list[Any] = [{"type": "text", "text": "".join(texts)}]
        if call:
            content.append(
                {"type": "tool_use", "id": "c1", "name": call[0], "input": json.loads(call[1])}
            )
        return compact(
            {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "content": content,
                "usage": {"input_tokens": 7, "output_tokens": 9},
            }
        )

    def heard(self, data: bytes) -> Heard:
        heard, names, arguments = Heard(), {}, {}
        for name, event in sse_events(data):
            assert name == event["type"], "its client looks at the line `event:` alone"
            if name == "error":
                heard.error = event["error"]["message"]
                break
            if name == "content_block_start" and event["content_block"]["type"] == "tool_use":
                names[event["index"]] = event["content_block"]["name"]
            elif name == "content_block_delta":
                delta = event["delta"]
                if "text" in delta:
                    heard.say(0, delta["text"])
                else:
                    before = arguments.get(event["index"], "")
                    arguments[event["index"]] = before + delta["partial_json"]
        heard.calls = [(name, arguments.get(index, "")) for index, name in names.items()]
        return heard

    def heard_whole(self, data: bytes) -> Heard:
        heard, body = Heard(), json.loads(data)
        if body["type"] == "error":
            heard.error = body["error"]["message"]
            return heard
        for block in body["content"]:
            if block["type"] == "text":
                heard.say(0, block["text"])
            else:
                heard.calls.append((block["name"], json.dumps(block["input"])))
        return heard


class Gemini(Speaker):
    name = "gemini"
    path = b"/v1beta/models/m-1:streamGenerateContent"
    whole_path = b"/v1beta/models/m-1:generateContent"
    query = b"alt=sse"
    choices = 2

    def request(self, text: str, *, stream: bool = True, tool_result: str = "") -> Any:
        contents: list[Any] = [{"role": "user", "parts": [{"text": text}]}]
        if tool_result:
            contents.append({"role": "user", "parts": [{"functionResponse": {
                "name": "t", "response": {"output": tool_result}}}]})  # fmt: skip
        return {"contents": contents}

    def several(self, request: Any, choices: int) -> Any:
        return {**request, "generationConfig": {"candidateCount": choices}}

    def _event(self, choice: int, part: Any, **more: Any) -> Any:
        return {
            "candidates": [
                {"content": {"role": "model", "parts": [part]}, "index": choice, **more}
            ],
            "modelVersion": "m-1",
        }

    def _events(self, deltas: Sequence[tuple[int, str]], call: Call | None) -> list[Any]:
        out = [self._event(choice, {"text": text}) for choice, text in deltas]
        if call:
            function = {"name": call[0], "args": json.loads(call[1])}
            out.append(self._event(0, {"functionCall": function}))
        out.append(
            {
                **self._event(0, {"text": ""}, finishReason="STOP"),
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 9},
            }
        )
        return out

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        return [b"data: " + compact(one) + b"\r\n\r\n" for one in self._events(deltas, call)]

    def whole(self, texts: Sequence[str], call: Call | None) -> bytes:
        parts = [self._event(n, {"text": text})["candidates"][0] for n, text in enumerate(texts)]
        if call:
            function = {"name": call[0], "args": json.loads(call[1])}
            parts[0]["content"]["parts"].append({"functionCall": function})
        return compact(
            {
                "candidates": parts,
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 9},
            }
        )

    def _hear(self, heard: Heard, event: Any) -> None:
        if "error" in event:
            heard.error = event["error"]["message"]
            return
        for candidate in event["candidates"]:
            for part in candidate["content"]["parts"]:
                if "text" in part:
                    heard.say(candidate["index"], part["text"])
                else:
                    call = part["functionCall"]
                    heard.calls.append((call["name"], json.dumps(call["args"])))

    def heard(self, data: bytes) -> Heard:
        heard = Heard()
        for _, event in sse_events(data):
            self._hear(heard, event)
        return heard

    def heard_whole(self, data: bytes) -> Heard:
        heard = Heard()
        self._hear(heard, json.loads(data))
        return heard


class GeminiArray(Gemini):
    name = "gemini (array)"
    query = b""
    content_type = b"application/json; charset=UTF-8"

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        events = [json.dumps(one, indent=1).encode() for one in self._events(deltas, call)]
        first, *rest = events
        return [b"[" + first, *(b",\r\n" + one for one in rest), b"\r\n]\r\n"]

    def heard(self, data: bytes) -> Heard:
        heard = Heard()
        for event in json.loads(data):
            self._hear(heard, event)
        return heard


class Ollama(Speaker):
    name = "ollama"
    path = b"/api/chat"
    content_type = b"application/x-ndjson"

    def request(self, text: str, *, stream: bool = True, tool_result: str = "") -> Any:
        messages = [{"role": "user", "content": text}]
        if tool_result:
            messages.append({"role": "tool", "content": tool_result})
        return {"model": "m-1", "messages": messages, **({} if stream else {"stream": False})}

    def _line(self, message: Any, **more: Any) -> Any:
        return {
            "model": "m-1",
            "created_at": "2026-11-28T00:00:00Z",
            "message": {"role": "assistant", **message},
            "done": False,
            **more,
        }

    def _call(self, call: Call) -> Any:
        function = {"name": call[0], "arguments": json.loads(call[1])}
        return {"content": "", "tool_calls": [{"function": function}]}

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        out = [self._line({"content": text}) for _, text in deltas]
        if call:
            out.append(self._line(self._call(call)))
        out.append(
            self._line(
                {"content": ""}, done=True, done_reason="stop", prompt_eval_count=7, eval_count=9
            )
        )
        return [compact(one) + b"\n" for one in out]

    def whole(self, texts: Sequence[str], call: Call | None) -> bytes:
        message: Any = self._call(call) if call else {}
        message["content"] = "".join(texts)
        return compact(self._line(message, done=True, prompt_eval_count=7, eval_count=9))

    def _hear(self, heard: Heard, line: Any) -> None:
        if "error" in line:
            heard.error = line["error"]
            return
        heard.say(0, line["message"].get("content"))
        for one in line["message"].get("tool_calls", ()):
            function = one["function"]
            heard.calls.append((function["name"], json.dumps(function["arguments"])))

    def heard(self, data: bytes) -> Heard:
        heard = Heard()
        for line in data.split(b"\n"):
            if line:
                self._hear(heard, json.loads(line))
        return heard

    def heard_whole(self, data: bytes) -> Heard:
        heard = Heard()
        self._hear(heard, json.loads(data))
        return heard


class Mcp(Speaker):
    """Texts are whole here: a stream of messages, each with the result of a tool."""

    name = "mcp"
    path = b"/mcp"
    has_calls = False

    def request(self, text: str, *, stream: bool = True, tool_result: str = "") -> Any:
        return {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "look", "arguments": {"query": text}},
        }

    def _result(self, text: str) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}}

    def stream(self, deltas: Sequence[tuple[int, str]], call: Call | None, cut: int) -> list[bytes]:
        note = {
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"level": "info", "data": "working"},
        }
        text = "".join(one for _, one in deltas)
        return [sse(note, "message"), sse(self._result(text), "message")]

    def whole(self, texts: Sequence[str], call: Call | None) -> bytes:
        return compact(self._result("".join(texts)))

    def _hear(self, heard: Heard, message: Any) -> None:
        if "error" in message:
            assert message["id"] == 1
            heard.error = message["error"]["message"]
        elif "result" in message:
            for part in message["result"]["content"]:
                heard.say(0, part["text"])

    def heard(self, data: bytes) -> Heard:
        heard = Heard()
        for name, event in sse_events(data):
            assert name == "message"
            self._hear(heard, event)
        return heard

    def heard_whole(self, data: bytes) -> Heard:
        heard = Heard()
        self._hear(heard, json.loads(data))
        return heard


SPEAKERS: tuple[Speaker, ...] = (
    OpenAiChat(), OpenAiResponses(), Anthropic(), Gemini(), GeminiArray(), Ollama(), Mcp(),
)  # fmt: skip
