"""Credentials: kept from going to a provider, and from coming back in an answer.

Settings: `mode` (`remove`, `block`, `note`), `directions` (`both`, `request`, `response`), `custom`
(a mapping from a name to an expression).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tavo.detect.rules import Rule
from tavo.detect.secrets import SECRETS
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.filters.pii import removed
from tavo.proxy.chain.values import Action, TextRule, Where

__all__ = ["SecretsFilter"]


class SecretsFilter(Filter):
    """Takes credentials out, or blocks what holds one."""

    kind: ClassVar[str] = "secrets"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        mode = settings.one_of("mode", ("remove", "block", "note"), "remove")
        self._direction = settings.one_of("directions", ("both", "request", "response"), "both")
        rules = list(SECRETS)
        for name, pattern in settings.mapping("custom").items():
            if not isinstance(pattern, str):
                raise settings.error(f"custom.{name}", "an expression", pattern)
            label = name.upper().replace("-", "_")
            rules.append(Rule(id=f"secret.{name}", label=label, pattern=pattern))
        settings.done()
        action = {"block": Action.BLOCK, "note": Action.NOTE}.get(mode, Action.MODIFY)
        self._rules = [TextRule(rule=rule, action=action, replace=removed) for rule in rules]

    def rules(self, where: Where) -> Sequence[TextRule]:
        return self._rules if self._direction in {"both", where.phase} else ()
