"""Credentials in what is shown of a log: first and last characters instead of the whole.

Rules this module keeps:
- what is masked is wider than what rules find: a form is enough, randomness is not asked for;
- a text is masked before it is cut, so that a cut leaves no part of a credential that is no longer
  known as one;
- only what is shown is masked: rules, correlations and actors work with the text as it is.
"""

from __future__ import annotations

from functools import cache

from tavo.detect.regex import Regex
from tavo.detect.secrets import SECRETS

__all__ = ["masked", "masked_piece"]

_AROUND = 4096
_FIRST, _LAST = 6, 2
_BEFORE = r"(?:\b|\\[nrtbf]|\\u[0-9A-Fa-f]{4})"
_KEY = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY-----"
_NAMED = (
    r"(?:api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret|passw(?:or)?d"
    r"|(?:access|auth|refresh)[_-]?token)"
)
_FORMS = (
    rf"(?:-----BEGIN {_KEY}(?:[A-Za-z0-9+/=\s]|\\+[nrt/])*(?:-----END {_KEY})?)",
    *(
        rf"{_BEFORE}(?:{rule.pattern.removeprefix(chr(92) + 'b')})"
        for rule in SECRETS if rule.id != "secret.private-key"
    ),
    rf"{_BEFORE}(?:(?:AKIA|ASIA)[0-9A-Z]{{16}}|sk-[A-Za-z0-9_-]{{20,}})",
    r"(?i:\bbearer\s{1,4}[A-Za-z0-9._~+/=-]{16,})",
    rf"(?i:{_NAMED}\\{{0,4}}[\"']?\s{{0,4}}[=:]\s{{0,4}}\\{{0,4}}[\"']?[^\s\"'\\,;&<>(){{}}…]{{8,}})",
)  # fmt: skip


@cache
def _regex() -> Regex:
    return Regex("|".join(f"(?:{one})" for one in _FORMS), plain=True)


def masked(text: str) -> str:
    """Return a text with its credentials masked."""
    return masked_piece(text, 0, len(text))


def masked_piece(text: str, start: int, end: int) -> str:
    """Return a piece of a text, in which credentials are masked, also those that it cuts."""
    first = max(0, start - _AROUND)
    window = text[first : end + _AROUND]
    data = window.encode("utf-8", "replace")
    out: list[str] = []
    at, stop = start - first, min(end - first, len(window))
    place, known, known_at = 0, 0, 0  # in bytes; and one place in bytes and in characters
    while (span := _regex().find(data, place)) is not None:
        low, high = span
        place = max(high, low + 1)
        begins = known + len(data[known_at:low].decode("utf-8"))
        ends = begins + len(data[low:high].decode("utf-8"))
        known, known_at = ends, high
        if ends <= at:
            continue
        if begins >= stop:
            break
        out.append(window[at:begins] if begins > at else "")
        out.append(_masked(window[begins:ends]))
        at = min(ends, stop) if ends < stop else stop
    out.append(window[at:stop])
    return "".join(out)


def _masked(secret: str) -> str:
    """Return what is left of a credential; of one with a name before it the name stays."""
    if secret.startswith("\\"):
        escape = 6 if secret[1] == "u" else 2
        return secret[:escape] + _masked(secret[escape:])
    scheme, found, rest = secret.partition("://")
    if found and secret.endswith("@") and scheme.isalpha():
        return f"{scheme}://{rest.partition(':')[0]}:…@"
    at = min((at for at in map(secret.find, "=: ") if at > 0), default=0)
    if at and not secret.startswith("-----"):
        bare = secret[at:].lstrip(" \t\r\n\\\"'=:")
        return f"{secret[: len(secret) - len(bare)]}{_short(bare)}"
    return _short(secret)


def _short(secret: str) -> str:
    if len(secret) < 3 * (_FIRST + _LAST) // 2:
        return "…"
    if secret.startswith("-----"):
        header, body = secret[: (end := secret.find("-----", 5) + 5)], secret[end:]
        return f"{header}…" if body.strip() else secret
    return f"{secret[:_FIRST]}…{secret[-_LAST:]}"
