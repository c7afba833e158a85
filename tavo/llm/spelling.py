"""Names that mean something, written in other letters: some servers read `Content` as `content`.

Rules this module keeps:
- a name that differs from one of these by its letters' case, or by letters that fold to them, has
  two readings;
- where names are free, as in schemas and arguments of tools, they mean nothing.

Source: Go's encoding/json, which matches names regardless of case.
"""

from __future__ import annotations

__all__ = ["FREE", "is_respelled"]

_KNOWN = frozenset({
    "args", "arguments", "candidates", "choices", "content", "contents", "fileData", "file_data",
    "function", "functionCall", "functionResponse", "function_call", "function_response",
    "functions", "images", "inlineData", "inline_data", "input", "instructions", "message",
    "messages", "model", "n", "name", "params", "parts", "prompt", "response", "result", "role",
    "stream", "structuredContent", "suffix", "system", "systemInstruction", "system_instruction",
    "template", "text", "thinking", "toolCalls", "tool_calls", "tools", "type",
})  # fmt: skip
_FOLDED = frozenset(one.casefold() for one in _KNOWN)
FREE = frozenset({
    "$defs", "_meta", "args", "arguments", "definitions", "extra_body", "format", "inputSchema",
    "input_schema", "json_schema", "logit_bias", "metadata", "options", "outputSchema",
    "parameters", "properties", "responseJsonSchema", "responseSchema", "response_json_schema",
    "response_schema", "schema", "structuredContent",
})  # fmt: skip
"""What stands under these has names of somebody else."""


def is_respelled(name: str) -> bool:
    """Tell whether some servers take a name for one that it is not."""
    return name not in _KNOWN and name.casefold() in _FOLDED
