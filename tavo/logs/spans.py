"""The messages of a span or log record of OpenTelemetry, in whichever of its shapes they stand.

Rules this module keeps:
- attributes stay as they are; what is put together from them stands beside them, by keys of ours;
- what a tool got and gave is told from what a model did, by the kind of the span;
- a text is taken once: where a span says its messages, the raw request beside them is not.

Shapes: messages numbered in the names of attributes (OpenLLMetry up to 0.4x, OpenInference), events
with one message each (the conventions up to 1.36), `input.value`, `traceloop.entity.input`,
Langfuse's observations and Vercel's AI SDK.
"""

from __future__ import annotations

import re
from typing import Any

from tavo.logs.record import leaves, nested_json

__all__ = ["ANSWERED", "GIVEN", "OFFERED", "with_messages"]

GIVEN, ANSWERED, OFFERED = "otlp.given", "otlp.answered", "otlp.tools"
"""What was sent, what came back, and the tools that were offered."""

_ARGUMENTS, _RESULT, _TOOL = "otlp.arguments", "otlp.result", "otlp.tool"
_NUMBERED = re.compile(
    r"(?P<list>gen_ai\.prompt|gen_ai\.completion|llm\.input_messages|llm\.output_messages"
    r"|llm\.prompts|llm\.request\.functions|llm\.tools|retrieval\.documents"
    r"|reranker\.(?:in|out)put_documents)\.(?P<number>\d{1,6})\.(?P<rest>.{1,300})",
    re.S,
)
_LISTS = {
    "gen_ai.prompt": GIVEN, "llm.input_messages": GIVEN, "llm.prompts": GIVEN,
    "gen_ai.completion": ANSWERED, "llm.output_messages": ANSWERED,
    "llm.request.functions": OFFERED, "llm.tools": OFFERED, "retrieval.documents": _RESULT,
    "reranker.input_documents": GIVEN, "reranker.output_documents": _RESULT,
}  # fmt: skip
_WRAPPERS = {"message", "tool_call", "message_content", "tool", "document", "prompt"}
"""Names that OpenInference puts between a list's entry and its fields."""

_EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")
_CHOICES = {"gen_ai.choice", "gen_ai.content.completion"}
_RAW = (
    ("openinference.span.kind", "input.value", "output.value"),
    ("traceloop.span.kind", "traceloop.entity.input", "traceloop.entity.output"),
    ("gen_ai.operation.name", "gen_ai.tool.input", "gen_ai.tool.output"),
    ("langfuse.observation.type", "langfuse.observation.input", "langfuse.observation.output"),
    ("ai.operationId", "ai.toolCall.args", "ai.toolCall.result"),
)
_TOOLS = {"tool", "execute_tool", "ai.toolcall"}
_TALKS = {"messages", "input", "contents", "choices", "output", "candidates", "prompt", "content",
          "parts", "role", "completion", "generation"}  # fmt: skip


def with_messages(record: dict[str, Any]) -> None:
    """Add to a record the messages that its attributes, its body and its events hold."""
    found: dict[str, list[Any]] = {}
    _numbered(record, found)
    told = bool(found) or "gen_ai.input.messages" in record or "gen_ai.output.messages" in record
    _event(str(record.get("eventName") or record.get("event.name") or ""), record, found)
    events = record.get("events")
    for event in events if isinstance(events, list) else ():
        _event(str(event.get("name") or ""), event, found)
    _raw(record, found, told=told)
    record |= found


def _numbered(record: dict[str, Any], found: dict[str, list[Any]]) -> None:
    """Put together lists whose entries are numbered in the names of attributes."""
    lists: dict[str, dict[int, Any]] = {}
    for key, value in record.items():
        match = _NUMBERED.fullmatch(key)
        if match is None:
            continue
        entries = lists.setdefault(match["list"], {})
        _put(entries, [match["number"], *match["rest"].split(".")], value)
    for name, entries in lists.items():
        found.setdefault(_LISTS[name], []).extend(_plain(entries))


def _put(entries: dict[Any, Any], steps: list[str], value: Any) -> None:
    """Put a value where its steps lead; names that only wrap are left out."""
    steps = [one for one in steps[:-1] if one not in _WRAPPERS] + steps[-1:]
    below: Any = entries
    for step in steps[:-1]:
        key = int(step) if step.isdigit() and len(step) < 7 else step
        inner = below.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        below = inner
    below.setdefault(steps[-1], value)


def _plain(value: Any) -> Any:
    """Return maps whose keys are numbers as lists, and texts that spell JSON as what they spell."""
    if isinstance(value, dict):
        if value and all(isinstance(key, int) for key in value):
            return [_plain(value[key]) for key in sorted(value)]
        out = {str(key): _plain(one) for key, one in value.items()}
        if "contents" in out:  # what OpenInference calls the parts of a message
            out.setdefault("parts", out.pop("contents"))
        return out
    if isinstance(value, str) and value[:1] in ("{", "["):
        return nested_json(value)
    return value


def _event(name: str, event: dict[str, Any], found: dict[str, list[Any]]) -> None:
    """Take the message of an event, whose name says who speaks."""
    body = nested_json(event.get("gen_ai.event.content", event.get("body")))
    match = _EVENT.fullmatch(name)
    if match is None and name not in _CHOICES:
        if isinstance(body, dict) and name == event.get("name", ""):
            _unnamed(body, found)
        return
    if body is None:
        body = {key: nested_json(event[key]) for key in ("content", "tool_calls", "message")
                if key in event}  # fmt: skip
    if isinstance(body, str):
        body = {"content": body}
    if not isinstance(body, dict):
        return
    if isinstance(body.get("message"), str | list):  # Strands Agents
        body = {"content": body["message"]}
    if match is None:
        found.setdefault(ANSWERED, []).append(body)
    else:
        found.setdefault(GIVEN, []).append({"role": match[1], **body})


def _unnamed(body: dict[str, Any], found: dict[str, list[Any]]) -> None:
    """Take what a body without a known name says; it holds a message, or an answer."""
    if isinstance(body.get("message"), dict):
        found.setdefault(ANSWERED, []).append(body)
    elif "content" in body:
        found.setdefault(GIVEN, []).append(body)


def _raw(record: dict[str, Any], found: dict[str, list[Any]], *, told: bool) -> None:
    """Take what went into a step and came out of it, as its kind says."""
    for kind, given, answered in _RAW:
        if given not in record and answered not in record:
            continue
        if str(record.get(kind, "")).lower() in _TOOLS:
            for key, name in ((_ARGUMENTS, given), (_RESULT, answered)):
                if record.get(name) not in (None, ""):
                    found.setdefault(key, []).append(nested_json(record[name]))
            tool = record.get("traceloop.entity.name")
            if isinstance(tool, str):
                found.setdefault(_TOOL, []).append(tool)
        elif not told:
            for key, name in ((GIVEN, given), (ANSWERED, answered)):
                if record.get(name) not in (None, ""):
                    found.setdefault(key, []).append(_said(record[name]))


def _said(value: Any) -> Any:
    """Return messages as they are, and anything else as the texts in it."""
    value = nested_json(value)
    if isinstance(value, dict) and not _TALKS & value.keys():
        return "\n".join(one for one in leaves(value) if isinstance(one, str))
    return value
