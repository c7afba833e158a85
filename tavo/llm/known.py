"""The dialects that there are, in the order in which a request is shown to them."""

from __future__ import annotations

from tavo.llm.anthropic import AnthropicMessages
from tavo.llm.chat_traffic import ChatCompletions
from tavo.llm.dialect import Dialect, Operation
from tavo.llm.embeddings import Embeddings
from tavo.llm.gemini import Gemini
from tavo.llm.mcp import Mcp
from tavo.llm.ollama import Ollama
from tavo.llm.responses import Responses

__all__ = ["DIALECTS", "operation_of"]

DIALECTS: tuple[Dialect, ...] = (
    ChatCompletions(),
    Responses(),
    AnthropicMessages(),
    Embeddings(),
    Ollama(),
    Gemini(),
    Mcp(),
)


def operation_of(method: str, path: str, query: str = "") -> Operation | None:
    """Return what a request asks for; None where no dialect knows its path.

    The path is taken as it stands: one that is only equal after decoding is unknown.
    """
    if "%" in path or "//" in path or ";" in path or "/./" in path or "/../" in path:
        return None
    for dialect in DIALECTS:
        if (found := dialect.operation(method, path, query)) is not None:
            return found
    return None
