"""Text that people do not see: Unicode tags, reordered lines, runs of invisible characters.

Settings: `mode` (`remove`, `block`, `note`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tavo.detect.hidden import FLAGS, HIDDEN
from tavo.detect.rules import Rule
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Scope, TextRule, Where

__all__ = ["HiddenFilter"]


class HiddenFilter(Filter):
    """Takes out what only a model would read."""

    kind: ClassVar[str] = "hidden-text"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        mode = settings.one_of("mode", ("remove", "block", "note"), "remove")
        settings.done()
        action = {"block": Action.BLOCK, "note": Action.NOTE}.get(mode, Action.MODIFY)
        self._rules = [
            TextRule(rule=FLAGS, action=Action.KEEP),
            *(TextRule(rule=rule, action=action, replace=_gone) for rule in HIDDEN),
        ]

    def rules(self, where: Where) -> Sequence[TextRule]:
        return self._rules


def _gone(text: str, rule: Rule, scope: Scope) -> str:
    return ""
