"""Personal data: a placeholder goes upstream, the value comes back to who sent it.

Settings: `labels` (EMAIL, CARD, IBAN, SSN, IP, PHONE; all), `mode` (`placeholder`, `remove`,
`block`, `note`), `answers` (false; true also takes personal data out of answers that the request
did not hold), `custom` (a mapping from a label to an expression).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tavo.detect.pii import PII
from tavo.detect.rules import Rule
from tavo.llm.parts import Kind
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.placeholders import escaping, placeholder, restoring
from tavo.proxy.chain.values import Action, Scope, TextRule, Where

__all__ = ["PiiFilter"]

_MODES = ("placeholder", "remove", "block", "note")


class PiiFilter(Filter):
    """Takes personal data out of requests, and puts it back into the text of answers."""

    kind: ClassVar[str] = "pii"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        known = list(dict.fromkeys(rule.label for rule in PII))
        labels = settings.texts("labels", known)
        for label in labels:
            if label not in known:
                raise settings.error("labels", f"some of {', '.join(known)}", label)
        self._mode = settings.one_of("mode", _MODES, "placeholder")
        self._answers = settings.flag("answers", False)
        rules = [rule for rule in PII if rule.label in labels]
        for label, pattern in settings.mapping("custom").items():
            if not label.isupper() or not label.replace("_", "").isalpha():
                raise settings.error("custom", "labels in capital letters", label)
            if not isinstance(pattern, str):
                raise settings.error(f"custom.{label}", "an expression", pattern)
            rules.append(Rule(id=f"pii.{label.lower()}", label=label, pattern=pattern))
        settings.done()
        self._rules = rules
        self._labels = list(dict.fromkeys(rule.label for rule in rules))

    def rules(self, where: Where) -> Sequence[TextRule]:
        if where.kind is Kind.DATA or where.role == "header":
            return ()
        if where.phase == "request":
            action = {"block": Action.BLOCK, "note": Action.NOTE}.get(self._mode, Action.MODIFY)
            replace = placeholder if self._mode == "placeholder" else removed
            found = [TextRule(rule=rule, action=action, replace=replace) for rule in self._rules]
            if self._mode == "placeholder":
                found.insert(0, escaping(self._labels))
            return found
        found = []
        if self._mode == "placeholder" and where.restores:
            found.append(restoring(self._labels))
        if self._answers:
            action = Action.NOTE if self._mode == "note" else Action.MODIFY
            found += [TextRule(rule=one, action=action, replace=kept_own) for one in self._rules]
        return found


def removed(text: str, rule: Rule, scope: Scope) -> str:
    """Return what stands for a value that never comes back."""
    return f"[{rule.label} removed]"


def kept_own(text: str, rule: Rule, scope: Scope) -> str:
    """Leave what the client said itself, take out the rest."""
    return text if text in scope.own else removed(text, rule, scope)
