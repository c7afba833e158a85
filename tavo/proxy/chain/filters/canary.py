"""Canary tokens: a word that only the system prompt holds, and that no answer may.

Settings: `tokens` (words that the operator put into system prompts), `insert` (false; true puts a
token of the proxy into each system prompt), `mode` (`block`, `remove`, `note`).

A token of the proxy is made when the chain is built, and looked for by that chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

from tavo.detect.rules import Rule
from tavo.llm.parts import Kind
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.filters.pii import removed
from tavo.proxy.chain.values import Action, Scope, TextRule, Where

__all__ = ["CanaryFilter"]

_SPACES = r"[\s\x{200B}\x{2060}_.-]{0,3}"


class CanaryFilter(Filter):
    """Blocks answers that give a system prompt away."""

    kind: ClassVar[str] = "canary"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        tokens = settings.texts("tokens")
        self._inserts = settings.flag("insert", False)
        mode = settings.one_of("mode", ("block", "remove", "note"), "block")
        settings.done()
        for token in tokens:
            if len(token) < 8 or not token.isalnum() or not token.isascii():
                raise settings.error("tokens", "at least 8 letters and digits", token)
        secret = hashlib.blake2b(settings.secret, digest_size=8, person=b"tavo canary").hexdigest()
        self._token = f"tc{secret}"
        if self._inserts:
            tokens = (*tokens, self._token)
        if not tokens:
            raise settings.error("tokens", "at least one token, or `insert: true`", [])
        action = {"remove": Action.MODIFY, "note": Action.NOTE}.get(mode, Action.BLOCK)
        self._rules = [
            TextRule(
                rule=Rule(
                    id=f"canary.{number}",
                    label="CANARY",
                    pattern=f"(?i:{_SPACES.join(token)})",
                ),
                action=action,
                replace=removed,
            )
            for number, token in enumerate(tokens, 1)
        ]

    def rules(self, where: Where) -> Sequence[TextRule]:
        return self._rules if where.phase == "response" and where.kind is not Kind.KEY else ()

    def prepare(self, body: Any, scope: Scope) -> bool:
        if not self._inserts or not isinstance(body, dict):
            return False
        mark = f"\n[{self._token}]"
        for key in ("system", "instructions"):
            if isinstance(body.get(key), str) and scope.dialect in {
                "anthropic-messages", "openai-responses", "ollama",
            }:  # fmt: skip
                body[key] += mark
                return True
        for message in body.get("messages", ()) if isinstance(body.get("messages"), list) else ():
            if isinstance(message, dict) and message.get("role") in {"system", "developer"}:
                if isinstance(message.get("content"), str):
                    message["content"] += mark
                    return True
                return False
        system = body.get("systemInstruction", body.get("system_instruction"))
        parts = system.get("parts") if isinstance(system, dict) else None
        if isinstance(parts, list) and parts and isinstance(parts[-1], dict):
            text = parts[-1].get("text")
            if isinstance(text, str):
                parts[-1]["text"] = text + mark
                return True
        return False
