"""The fields of a normalised event: their names, types and meaning.

Rules this module keeps:
- a name is that of OpenTelemetry's conventions for generative AI, HTTP, users and MCP where they
  have one; what they lack has a name of ours without a prefix of theirs;
- `copied` says that a value stands in the record as it is, so that a text in it can be looked for
  in the record's bytes; a value that a reader derives is only known after reading.

The table is shown in docs/log-fields.md, which a test compares with it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CATEGORIES", "CONVERSATION", "COPIED", "FIELDS", "Field"]


class Field(NamedTuple):
    """One field; `kind` is text, number, time or list."""

    kind: str
    copied: bool
    text: str


FIELDS: dict[str, Field] = {
    "time": Field("time", False, "When it happened, UTC."),
    "event.id": Field("text", True, "The record's own id, such as a request's."),
    "trace_id": Field("text", True, "The trace that it is a part of."),
    "span_id": Field("text", True, "Its span in the trace."),
    "gen_ai.conversation.id": Field("text", True, "The conversation or session."),
    "user.id": Field("text", True, "Who asked: the user, else the identity of the caller."),
    "api_key.id": Field("text", True, "A name or hash of the key that was used, never the key."),
    "team.id": Field("text", True, "The team, tenant or project of the caller."),
    "client.address": Field("text", True, "The caller's address."),
    "user_agent.original": Field("text", True, "The caller's User-Agent."),
    "server.address": Field("text", True, "The host that was called."),
    "gen_ai.provider.name": Field("text", False, "Whose model: openai, anthropic, aws.bedrock…"),
    "gen_ai.operation.name": Field("text", False, "chat, embeddings, execute_tool…"),
    "gen_ai.request.model": Field("text", True, "The model that was asked for."),
    "gen_ai.response.model": Field("text", True, "The model that answered."),
    "gen_ai.response.finish_reasons": Field("list", True, "Why it stopped."),
    "gen_ai.request.max_tokens": Field("number", True, "The most tokens that were asked for."),
    "gen_ai.request.temperature": Field("number", True, "The temperature that was asked for."),
    "gen_ai.usage.input_tokens": Field("number", True, "Tokens of the question."),
    "gen_ai.usage.output_tokens": Field("number", True, "Tokens of the answer."),
    "gen_ai.usage.cache_read.input_tokens": Field("number", True, "Tokens read from a cache."),
    "usage.cost": Field("number", True, "What it cost, in US dollars."),
    "duration_ms": Field("number", False, "How long it took, in milliseconds."),
    "ttft_ms": Field("number", False, "Time to the first token, in milliseconds."),
    "outcome": Field("text", False, "success or failure."),
    "error.type": Field("text", True, "The class of the failure."),
    "error.message": Field("text", True, "What the failure said."),
    "http.request.method": Field("text", True, "GET, POST…"),
    "http.response.status_code": Field("number", True, "The status of the answer."),
    "http.response.body.size": Field("number", True, "The size of the answer, in bytes."),
    "url.path": Field("text", True, "The path, without the query."),
    "url.query": Field("text", True, "The query."),
    "url.original": Field("text", True, "The path and the query."),
    "http.request.referrer": Field("text", True, "The page that led there."),
    "gen_ai.system_instructions": Field("text", True, "The system prompt."),
    "gen_ai.prompt": Field("text", True, "The last turn of the user."),
    "gen_ai.input": Field("text", True, "All turns that were sent, and results of tools."),
    "gen_ai.completion": Field("text", True, "What the model answered, without tool calls."),
    "gen_ai.tool.name": Field("list", True, "Names of the tools that were called."),
    "gen_ai.tool.call.arguments": Field("list", True, "Arguments of the calls."),
    "gen_ai.tool.call.result": Field("list", True, "What tools gave back."),
    "gen_ai.tool.definitions": Field("list", True, "Names and descriptions of offered tools."),
    "mcp.method.name": Field("text", True, "The method of an MCP message."),
    "mcp.session.id": Field("text", True, "The session of an MCP server."),
    "log.body": Field("text", True, "The text of a record that has one, or that is only text."),
    "log.level": Field("text", True, "info, warning, error…"),
    "log.logger": Field("text", True, "The part of the program that wrote it."),
}
"""Field to its description, in the order of the documentation."""

COPIED = {name: field.copied for name, field in FIELDS.items()}

CATEGORIES = ("inference", "tool", "mcp", "gateway")
"""The categories of log sources with the product genai."""

CONVERSATION = frozenset({
    "gen_ai.system_instructions", "gen_ai.prompt", "gen_ai.input", "gen_ai.completion",
    "gen_ai.tool.name", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
})  # fmt: skip
"""Fields that come out of the messages of a conversation."""
