"""Refuses messages that give the model other orders than its own.

Rules this module keeps:
- two models, one for what users write and one for what tools and documents bring: what is a
  question in the one is an order in the other;
- a text that was judged is not judged again: an agent sends its whole history with each request.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import model

from tavo.plugins import (
    ChatRequest,
    ChatResponse,
    Context,
    Decision,
    FilterResult,
    ProxyFilteringPlugin,
)

_ALLOWED = FilterResult(decision=Decision.ALLOW)
_MOST_KEPT = 8192
_SAID = {
    "user": "It looks like an attempt to replace the instructions of the model",
    "tool": "A result of a tool looks like orders to the model",
    "documents": "Text in a prompt looks like orders hidden in a document",
}


class PromptGuardLite(ProxyFilteringPlugin):
    """Judges texts of users and results of tools by small linear models."""

    deadline_ms = 1000

    def start(self, context: Context) -> None:
        """Read the models."""
        config = context.config
        models = {"user": model.read("user"), "tool": model.read("tool")}
        models["documents"] = models["tool"]
        bounds = {
            "user": config.get("threshold", models["user"].threshold),
            "tool": config.get("tool_threshold", models["tool"].threshold),
        }
        bounds["documents"] = bounds["tool"]
        judge = config.get("judge", ["user", "tool"])
        self._by_role = {
            "user": [one for one in ("user", "documents") if one in judge],
            "tool": ["tool"] if "tool" in judge else [],
        }
        self._models = models
        self._bounds = bounds
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def filter_request(self, request: ChatRequest) -> FilterResult:
        """Refuse a request in which a message scores above its threshold."""
        for message in request.messages:
            for kind in self._by_role.get(message.role, ()):
                score = self._score(kind, message.content)
                if score >= self._bounds[kind]:
                    return FilterResult(
                        decision=Decision.BLOCK,
                        reason=f"{_SAID[kind]} (score {score:.2f}).",
                        labels=(f"injection-{kind}",),
                    )
        return _ALLOWED

    def filter_response(self, response: ChatResponse) -> FilterResult:
        """Let answers pass: who answers orders nobody."""
        return _ALLOWED

    def _score(self, kind: str, text: str) -> float:
        which = "user" if kind == "user" else "tool"
        data = text.encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(data, digest_size=16, person=which.encode()).digest()
        score = self._known.get(key)
        if score is None:
            score = self._known[key] = self._models[kind].score(text)
            if len(self._known) > _MOST_KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return score
