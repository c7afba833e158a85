"""What is shown of a record: its beginning, who and what it is about, what a rule has seen.

Rules this module keeps:
- a text is masked before it is cut, and cut before it is kept.
"""

from __future__ import annotations

from typing import Any

from tavo.logs.event import LogEvent
from tavo.logs.masking import masked_piece
from tavo.logs.sigma.rules import LogRule

__all__ = ["brief_of", "excerpts", "short", "snippet_of"]

_BRIEF = ("user.id", "api_key.id", "client.address", "gen_ai.conversation.id",
          "gen_ai.request.model", "gen_ai.tool.name", "user_agent.original", "event.id",
          "trace_id")  # fmt: skip
_EXCERPT = 160
_SNIPPET = 400


def excerpts(rule: LogRule, event: LogEvent) -> dict[str, str]:
    """Return what a reader should see of the fields that the rule is about."""
    texts = sorted(rule.gate.texts, key=len, reverse=True) if rule.gate is not None else []
    words = [text.decode("utf-8", "replace") for text in texts[:60]]
    out = {}
    for field in rule.fields[:6]:
        for value in event.get(field)[:50]:
            text = value if isinstance(value, str) else str(value)
            low = text.lower()
            at = next((low.find(word) for word in words if word in low), -1)
            if at < 0 and field in out:
                continue
            if at < 0:
                out[field] = short(text)
                continue
            start = max(0, at - _EXCERPT // 2)
            piece = masked_piece(text, start, start + _EXCERPT)
            out[field] = (
                f"{'…' if start else ''}{piece}{'…' if len(text) > start + _EXCERPT else ''}"
            )
            break
    return out


def snippet_of(raw: bytes) -> str:
    """Return what is shown of a line."""
    text = raw[: 16 * _SNIPPET].decode("utf-8", "replace")
    return masked_piece(text, 0, _SNIPPET)


def brief_of(event: LogEvent) -> dict[str, str]:
    """Return who and what a record is about."""
    return {field: short(value) for field in _BRIEF if (value := event.first(field)) is not None}


def short(value: Any) -> str:
    """Return a value as a text that is not long."""
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _EXCERPT else f"{masked_piece(text, 0, _EXCERPT)}…"
