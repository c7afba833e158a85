"""OpenAI's responses as they pass through a proxy.

Rules this module keeps:
- the events that repeat a text as a whole (`….done`, `response.completed`) are judged as wholes;
- a call is complete with `….done`, with its item, or with the response, whichever comes first;
- an error is written in both forms, flat and nested, because clients raise on the nested one.

Source: the public API reference of `POST /v1/responses` and of its streaming events.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tavo.llm.chat_traffic import openai_error
from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts, sse
from tavo.llm.disguised import looks_like_call
from tavo.llm.parts import (
    Kind,
    Media,
    Reading,
    Usage,
    count_of,
    dumped,
    is_data,
    items_of,
    place,
    usage_from,
    word,
)

__all__ = ["Responses"]

_CALLS = {"function_call": "arguments", "mcp_call": "arguments", "custom_tool_call": "input",
          "computer_call": "action", "local_shell_call": "action", "shell_call": "action",
          "code_interpreter_call": "code", "apply_patch_call": "operation",
          "mcp_approval_request": "arguments"}  # fmt: skip
_PIECES = {"function_call_arguments", "mcp_call_arguments", "mcp_call.arguments",
           "custom_tool_call_input", "code_interpreter_call_code"}  # fmt: skip
_MOST_ITEMS = 4096
_REASONING = ("reasoning", "reasoning_text", "reasoning_summary_text", "reasoning_summary")


class Responses(Dialect):
    """OpenAI's responses."""

    name: ClassVar[str] = "openai-responses"

    def operation(self, method: str, path: str, query: str) -> Operation | None:
        parts = path.rsplit("/", 2)
        if method == "POST" and parts[-1] == "responses":
            return Operation(dialect=self, name="responses")
        if method == "POST" and path.endswith(("/responses/compact", "/responses/input_tokens")):
            return Operation(dialect=self, name="responses", stream=False)
        if len(parts) == 3 and parts[1] == "responses" and method in {"GET", "DELETE"}:
            return Operation(dialect=self, name="response")
        return None

    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        reading.max_tokens = count_of(body.get("max_output_tokens"))
        reading.text(body, "instructions", "system")
        reading.text(body, "input", "user")
        for item in items_of(body.get("input")):
            _item(reading, item, "user")
        for tool in items_of(body.get("tools")):
            if isinstance(tool, dict):
                reading.tool(tool.get("name") or tool.get("type"), tool)

    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        _response(reading, body)

    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        return _Events(choices)

    def refusal(self, why: Broken) -> bytes:
        return dumped(openai_error(why))

    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        flat = {
            "type": "error", "code": why.code, "message": why.message, "param": None,
            "sequence_number": why.sequence,
        }  # fmt: skip
        return sse({**flat, **openai_error(why)}, event="error")


def _response(reading: Reading, body: dict[str, Any]) -> None:
    reading.usage = _usage(body)
    reading.finish = reading.finish or str(body.get("status") or "")
    reading.text(body, "instructions", "system")
    start = len(reading.slots)
    for item in items_of(body.get("output")):
        _item(reading, item, "assistant")
    reading.joined(start)
    for tool in items_of(body.get("tools")):  # an echo of what was asked: the client knows it
        reading.inside(tool, "developer", Kind.DESCRIPTION)


def _usage(body: dict[str, Any]) -> Usage:
    return usage_from(body.get("usage"), "input_tokens", "output_tokens")


def _item(reading: Reading, item: Any, role: str) -> None:
    if not isinstance(item, dict):
        return
    kind = str(item.get("type") or "message")
    said, start = word(item, "role"), len(reading.slots)
    role = said if said in {"system", "developer", "assistant", "tool"} else role
    if key := _call_key(item):
        reading.call(item.get("name") or kind.removesuffix("_call"), item, key)
    if kind.endswith("_output") or kind in {"mcp_call", "file_search_call", "web_search_call"}:
        for key in ("output", "results"):
            reading.text(item, key, "tool")
            reading.inside(item.get(key), "tool", Kind.TEXT)
    reasoning = kind == "reasoning"
    reading.text(item, "content", role)
    for key in ("content", "summary"):
        for part in items_of(item.get(key)):
            _part(reading, part, role, Kind.REASONING if reasoning else Kind.TEXT)
    reading.joined(start)


def _call_key(item: dict[str, Any]) -> str:
    """Return where the arguments of an item stand that is a call, also of a kind not known yet."""
    kind = word(item, "type")
    if kind in _CALLS:
        return _CALLS[kind]
    if kind == "message" or kind.endswith("_output"):
        return ""
    found = looks_like_call("", item)
    return "" if found is None else found[1] or "arguments"


def _part(reading: Reading, part: Any, role: str, kind: Kind) -> None:
    if not isinstance(part, dict):
        return
    for key in ("text", "refusal", "transcript"):
        reading.text(part, key, role, kind)
    if part.get("logprobs"):
        reading.drop(part, "logprobs")
    name = str(part.get("type") or "")
    if name in {"input_image", "input_file", "input_audio"}:
        url = part.get("image_url") or part.get("file_url") or ""
        outside = isinstance(url, str) and not url.startswith("data:")
        reading.media.append(Media(name.removeprefix("input_"), url if outside else ""))


class _Events(EventReader):
    __slots__ = ("_ids", "_names", "_open")

    def __init__(self, choices: int = 1) -> None:
        super().__init__(choices)
        self._names: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self._open: set[int] = set()

    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        parts.label = kind = word(event, "type")
        base, _, step = kind.removeprefix("response.").rpartition(".")
        item = event.get("item")
        where = self._place(event, item)
        inner = (place(event.get("content_index")), place(event.get("summary_index")))
        if step == "delta" and isinstance(event.get("delta"), str):
            if base in _PIECES or where in self._open:
                self._piece(parts, where, event)
            elif base == "audio":
                if not is_data(event["delta"]):
                    reading.text(event, "delta", "assistant", Kind.OTHER)
            else:
                is_reasoning = base in _REASONING
                parts.deltas.append((
                    ("", base, where, inner), event, "delta",
                    Kind.REASONING if is_reasoning else Kind.TEXT,
                ))  # fmt: skip
            reading.take(event, "delta")
        elif step == "done" and base in _PIECES:
            self._stop(parts, where)
            key = next((k for k in ("arguments", "input", "code") if k in event), "arguments")
            reading.call(event.get("name") or self._names.get(where, ""), event, key)
        elif step == "done" and parts.ends is not None:
            parts.ends.append(("", base, where, inner))
            for key in ("text", "refusal", "transcript"):
                reading.text(event, key, "assistant")
        if event.get("logprobs"):
            parts.drops.append((event, "logprobs"))
            reading.take(event, "logprobs")
        self._snapshots(event, parts, reading, step, where)
        return False

    def _snapshots(
        self, event: dict[str, Any], parts: Parts, reading: Reading, step: str, where: int
    ) -> None:
        """Note what says again, as a whole, what was said or will be."""
        if isinstance(item := event.get("item"), dict):
            self._item(parts, reading, step, where, item)
            reading.rest(item, "assistant")
        if isinstance(part := event.get("part"), dict):
            _part(reading, part, "assistant", Kind.TEXT)
            reading.rest(part, "assistant")
        if isinstance(response := event.get("response"), dict):
            _response(reading, response)
            reading.rest(response, "assistant")
            if step in {"completed", "failed", "incomplete"}:
                parts.stops += [("", "call", one) for one in self._open]
                self._open.clear()
                parts.ends = None

    def _place(self, event: dict[str, Any], item: Any) -> int:
        """Return which item an event is about; some clients go by its number, some by its id."""
        id_ = word(event, "item_id") or word(item, "id")
        known = self._ids.get(id_)
        where = place(event.get("output_index"), 0 if known is None else known)
        if id_ and self._ids.setdefault(id_, where) != where:
            raise ValueError("an item of the answer has two places")
        if len(self._ids) > _MOST_ITEMS:
            raise ValueError(f"the answer has more than {_MOST_ITEMS} items")
        return where

    def _item(self, parts: Parts, reading: Reading, step: str, where: int, item: Any) -> None:
        key = _call_key(item)
        if step == "done":
            self._stop(parts, where)
        elif key:
            name = word(item, "name") or word(item, "type").removesuffix("_call")
            self._names[where] = name
            if isinstance(item.get(key), str | None):
                self._open.add(where)
                reading.known_call(item)
                parts.starts.append((("", "call", where), name, word(item, "id")))
                if isinstance(item.get(key), str):
                    parts.pieces.append((("", "call", where), item, key))
                    reading.take(item, key)
                return
        _item(reading, item, "assistant")

    def _piece(self, parts: Parts, where: int, event: dict[str, Any]) -> None:
        key = ("", "call", where)
        if where not in self._open:
            self._open.add(where)
            parts.starts.append((key, self._names.get(where, ""), ""))
        parts.pieces.append((key, event, "delta"))

    def _stop(self, parts: Parts, where: int) -> None:
        if where in self._open:
            self._open.discard(where)
            parts.stops.append(("", "call", where))
