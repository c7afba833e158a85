"""Placeholders that stand for personal data upstream, and how they become values again.

Rules this module keeps:
- a placeholder is a label and a keyed hash of the value, under a key of the client alone: the same
  value has the same placeholder in each request of that client, and nothing is stored;
- it becomes its value again only for values found in that very request, and only in text of the
  answer: never inside links, images, URLs or tags, where showing a text sends it somewhere;
- what only looks like a placeholder in a text that comes in gets one `=` more, and loses it again
  on its way back: nobody can write one that becomes a value.

Sources of what sends something when it is shown: CommonMark 0.31 sections 6.3 to 6.6, the HTML and
URL Living Standards (backslashes and missing slashes included).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tavo.detect.rules import Rule, RuleSet
from tavo.proxy.chain.values import Action, Scope, TextRule

__all__ = ["LINKS", "escaping", "placeholder", "restoring"]

_DIGITS = 16

_LINKS = (
    (r"scheme", r"(?i:\b(?:https?|ftp|wss?|file|mailto|tel|sms|data|javascript|blob)):\S*"),
    (r"label", r"\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*\]\("),
    (r"reference", r"\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*\]\[[^\]\n]*\]?"),
    (r"host", r"\{=*[A-Z_]{1,40}:[0-9a-f]{16}\}[^\s.@]*[.@][0-9A-Za-z{]"),
)
LINKS = RuleSet([Rule(id=f"link.{name}", pattern=pattern) for name, pattern in _LINKS])
"""Where a value must not be put: who shows such a text, sends it. What only needs a look at what
stands before is in `tavo.proxy.chain.showing`.
"""


def placeholder(value: str, rule: Rule, scope: Scope) -> str:
    """Return what stands for a value, and note that this request holds it."""
    digest = hashlib.blake2b(
        f"{rule.label}\0{value}".encode("utf-8", "surrogatepass"),
        key=scope.key,
        digest_size=_DIGITS // 2,
    ).hexdigest()
    text = f"{{{rule.label}:{digest}}}"
    scope.values[text] = value
    scope.own.add(value)
    return text


def _form(labels: Iterable[str]) -> str:
    return rf"\{{=*(?:{'|'.join(sorted(labels))}):[0-9a-f]{{{_DIGITS}}}\}}"


def _escaped(text: str, rule: Rule, scope: Scope) -> str:
    scope.has_lookalikes = True
    return "{=" + text[1:]


def _restored(text: str, rule: Rule, scope: Scope) -> str:
    if text.startswith("{="):
        return "{" + text[2:]
    return scope.values.get(text, text)


def escaping(labels: Iterable[str]) -> TextRule:
    """Return the rule for what looks like a placeholder in a text that comes in."""
    rule = Rule(id="pii.lookalike", pattern=_form(labels), label="LOOKALIKE")
    return TextRule(rule=rule, action=Action.MODIFY, replace=_escaped, quiet=True)


def restoring(labels: Iterable[str]) -> TextRule:
    """Return the rule that makes placeholders of a text of the answer values again."""
    rule = Rule(id="pii.placeholder", pattern=_form(labels), label="RESTORED")
    return TextRule(
        rule=rule, action=Action.MODIFY, replace=_restored, quiet=True, outside_links=True
    )
