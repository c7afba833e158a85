"""A policy about content: words and expressions, and what to do where they stand.

Settings: `rules`, a list of mappings with `id`, `words` or `pattern`, `action` (`block`, `redact`,
`note`), `phases` (`request`, `response`; both), `roles` (all), `ignore_case` (true), `text` (what
stands there instead).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tavo.detect.growing import derive
from tavo.detect.regex import RegexError
from tavo.detect.rules import Rule
from tavo.detect.seen import without_hidden
from tavo.errors import ConfigError
from tavo.llm.parts import Kind
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Scope, TextRule, Where

__all__ = ["ContentFilter"]

_ACTIONS = {"block": Action.BLOCK, "redact": Action.MODIFY, "note": Action.NOTE}
_ROLES = ("system", "developer", "user", "assistant", "tool")
_SPECIAL = frozenset("\\.+*?()|[]{}^$")


class ContentFilter(Filter):
    """Blocks, redacts or notes what a policy names."""

    kind: ClassVar[str] = "content"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._rules: list[tuple[TextRule, tuple[str, ...], tuple[str, ...]]] = []
        for number, values in enumerate(settings.mappings("rules"), 1):
            self._rules.append(_rule(values, f"{settings.where}: rules, number {number}"))
        if not self._rules:
            raise settings.error("rules", "at least one rule", [])
        settings.done()

    def rules(self, where: Where) -> Sequence[TextRule]:
        return [
            rule
            for rule, phases, roles in self._rules
            if where.phase in phases and where.role in roles and where.kind is not Kind.DATA
        ]


def _rule(values: dict[str, Any], where: str) -> tuple[TextRule, tuple[str, ...], tuple[str, ...]]:
    given = Settings({"filter": "content", **values}, where)
    name = given.text("id", "")
    words = given.texts("words")
    pattern = given.text("pattern", "")
    action = _ACTIONS[given.one_of("action", tuple(_ACTIONS), "block")]
    phases, roles = given.texts("phases", ("request", "response")), given.texts("roles", _ROLES)
    ignore_case = given.flag("ignore_case", True)
    instead = given.text("text", "[removed]")
    given.done()
    if not name:
        raise given.error("id", "a name", name)
    if not without_hidden(instead).strip():
        # what stands around it would become one, after everything was looked at
        raise given.error("text", "a text that is seen", instead)
    if bool(words) == bool(pattern):
        raise ConfigError(f"{where}: expected either `words` or a `pattern`")
    for phase in phases:
        if phase not in {"request", "response"}:
            raise given.error("phases", "request or response", phase)
    for role in roles:
        if role not in _ROLES:
            raise given.error("roles", f"some of {', '.join(_ROLES)}", role)
    if words:
        pattern = "|".join(_word(word) for word in sorted(words, key=len, reverse=True))
    pattern = f"(?i:{pattern})" if ignore_case else pattern
    try:
        derive(pattern)
    except RegexError as error:
        raise ConfigError(f"{where}: {name}: {error}") from None

    def replaced(text: str, rule: Rule, scope: Scope) -> str:
        return instead

    rule = Rule(id=f"content.{name}", pattern=pattern, label=name)
    return TextRule(rule=rule, action=action, replace=replaced), phases, roles


def _word(word: str) -> str:
    """Return an expression for a word or a phrase; between its words any space may stand."""
    parts = word.split()
    if not parts:
        raise ConfigError("content: a word is empty")
    text = r"\s{1,4}".join(
        "".join(f"\\{one}" if one in _SPECIAL else one for one in part) for part in parts
    )
    before = r"\b" if (word[0].isascii() and word[0].isalnum()) else ""
    after = r"\b" if (word[-1].isascii() and word[-1].isalnum()) else ""
    return f"{before}{text}{after}"
