"""The Model Context Protocol over streamable HTTP, as it passes through a proxy.

Rules this module keeps:
- texts that come from a server are of the role `tool`, whatever they claim: models read them;
- a batch is a list of messages, each read for itself;
- messages of a stream are whole; nothing is cut across them.

Source: the MCP specification 2025-06-18, base protocol and transports; JSON-RPC 2.0.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tavo.llm.dialect import Broken, Dialect, EventReader, Framing, Operation, Parts, sse
from tavo.llm.parts import Kind, Media, Reading, dumped, word

__all__ = ["Mcp", "request_id"]

_CODE = -32001


class Mcp(Dialect):
    """MCP over streamable HTTP."""

    name: ClassVar[str] = "mcp"
    one_answer: ClassVar[bool] = False

    def operation(self, method: str, path: str, query: str) -> Operation | None:
        if not path.rstrip("/").endswith("/mcp"):
            return None
        if method == "POST":
            return Operation(dialect=self, name="messages", framing=Framing.SSE)
        if method == "GET":
            return Operation(dialect=self, name="listen", framing=Framing.SSE, stream=True)
        if method == "DELETE":
            return Operation(dialect=self, name="end", has_text=False, stream=False)
        return None

    def read_request(self, operation: Operation, body: Any) -> Reading:
        reading = Reading()
        for message in body if isinstance(body, list) else [body]:
            if isinstance(message, dict):
                self._asked(reading, operation, message)
        reading.rest(body if isinstance(body, dict | list) else [body], "user")
        return reading

    def read_answer(self, operation: Operation, body: Any) -> Reading:
        reading = Reading(is_answer=True)
        for message in body if isinstance(body, list) else [body]:
            if isinstance(message, dict):
                self._answered(reading, operation, message)
        if isinstance(body, list):
            reading.joined(0)
        reading.rest(body if isinstance(body, dict | list) else [body], "tool")
        return reading

    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        params = body.get("params")
        if body.get("method") == "tools/call" and isinstance(params, dict):
            reading.call(params.get("name"), params, "arguments")
        self._answered(reading, operation, body)  # what the client sampled, for the server

    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        if isinstance(result := body.get("result"), dict):
            _result(reading, result)

    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        return _Events(self, operation)

    def refusal(self, why: Broken) -> bytes:
        return dumped(_error(why))

    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        return sse(_error(why), event="message")


def request_id(body: Any) -> Any:
    """Return the id that an answer to a request carries, None where it expects none."""
    for message in body if isinstance(body, list) else [body]:
        if isinstance(message, dict) and isinstance(message.get("id"), str | int):
            return message["id"]
    return None


def _error(why: Broken) -> dict[str, Any]:
    error = {"code": _CODE, "message": why.message, "data": {"code": why.code}}
    return {"jsonrpc": "2.0", "id": why.id, "error": error}


def _result(reading: Reading, result: dict[str, Any]) -> None:
    tools = result.get("tools")
    if isinstance(tools, list):
        for tool in tools:
            if isinstance(tool, dict):
                reading.tool(tool.get("name"), tool, tools)
    start = len(reading.slots)
    for key in ("content", "contents", "messages"):
        value = result.get(key)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                inner = part.get("content")
                for one in (part, inner, part.get("resource")):
                    _part(reading, one)
    reading.joined(start)
    if isinstance(structured := result.get("structuredContent"), dict):
        reading.inside(structured, "tool", Kind.TEXT, free=True)


def _part(reading: Reading, part: Any) -> None:
    if not isinstance(part, dict):
        return
    reading.text(part, "text", "tool")
    if word(part, "type") in {"image", "audio"} or isinstance(part.get("blob"), str):
        reading.media.append(Media(word(part, "type") or "file"))


class _Events(EventReader):
    def __init__(self, dialect: Mcp, operation: Operation) -> None:
        super().__init__()
        self._dialect = dialect
        self._operation = operation

    def read(self, event: Any) -> Parts:
        parts = Parts()
        parts.whole(self._dialect.read_answer(self._operation, event))
        return parts

    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        return False
