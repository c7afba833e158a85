"""Calls of tools where no dialect expects one: what a client could still take for a call.

Rules this module keeps:
- what looks like a call is one: a name beside arguments, an object under a name for calls, a type
  that says so;
- what a provider runs itself and only reports is none.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ARGUMENTS", "RUN_BY_PROVIDER", "looks_like_call"]

ARGUMENTS = (
    "arguments", "args", "input", "parameters", "params", "action", "code", "operation",
    "partialArgs", "partial_args", "partial_json",
)  # fmt: skip
_NAMES = ("name", "tool_name", "toolName", "function_name", "functionName", "tool", "function")
_UNDER = frozenset({
    "function", "custom", "call", "function_call", "functionCall", "tool_call", "toolCall",
    "tool_use", "toolUse", "tool_calls", "toolCalls", "function_calls", "functionCalls",
})  # fmt: skip
_ENDS = ("_call", "tool_use", "functioncall", "toolcall", "tooluse")
RUN_BY_PROVIDER = frozenset({
    "web_search_call", "file_search_call", "image_generation_call", "tool_search_call",
})  # fmt: skip


def looks_like_call(key: object, value: dict[Any, Any]) -> tuple[str, str] | None:
    """Return name and key of the arguments of what may be a call, under `key`; the key is empty
    where the whole object has to be taken for its arguments.
    """
    kind = value.get("type")
    kind = kind if isinstance(kind, str) else ""
    if kind in RUN_BY_PROVIDER:
        return None
    name = next((value[one] for one in _NAMES if isinstance(value.get(one), str)), None)
    field = next((one for one in ARGUMENTS if one in value), "")
    is_named = name is not None and field != ""
    is_under = key in _UNDER and (name is not None or field != "")
    if not (is_named or is_under or kind.lower().endswith(_ENDS)):
        return None
    return name if name is not None else kind, field
