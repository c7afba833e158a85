"""What a rule with the tag `credential` points at: the secret, and what is shown in its place.

Rules this module keeps:
- it is what the rule binds to `$SECRET`; of a rule that does not say `$SECRET`, its match or focus;
- the name of a variable is no secret: of one that holds a secret only the secret is meant, and of
  what a name stands for all, where `$SECRET` could not be told from the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tavo.covering import CREDENTIAL, SECRET, Piece, pieces_of, stars
from tavo.scan.bindings import Binding, Env
from tavo.scan.parsed import ParsedFile
from tavo.scan.rule import ScanRule

__all__ = ["Secret", "secrets_of", "without"]

_NAMES = frozenset({"identifier", "attribute", "dotted_name"})
_QUOTES = "\"'`"


class Secret(msgspec.Struct, frozen=True):
    """A secret: its byte range, as text, and its pieces in lines."""

    start: int
    end: int
    text: str
    pieces: tuple[Piece, ...]


def secrets_of(rule: ScanRule, start: int, end: int, env: Env, file: ParsedFile) -> list[Secret]:
    """Return the secrets of one match, none for a rule without the tag."""
    if CREDENTIAL not in rule.rule.tags:
        return []
    bound = env.get(SECRET)
    if bound is not None:
        found = [] if _is_name(bound) else [(bound.start, bound.end, bound.text)]
    elif rule.names_secret:
        found = [
            (one.start, one.end, one.text)
            for one in env.values()
            if not _is_name(one) and _is_elsewhere(one.text, file.source.text(one.start, one.end))
        ]
    else:
        same = [one for one in env.values() if (one.start, one.end) == (start, end)]
        found = [(start, end, same[0].text if same else file.source.text(start, end))]
        if any(_is_name(one) for one in same):
            found = []
    return [
        Secret(one[0], one[1], one[2], tuple(_pieces(*one, file)))
        for one in found
        if one[2].strip()
    ]


def without(env: Env, secrets: Sequence[Secret]) -> Env:
    """Return what metavariables are bound to as it may be shown."""
    if not secrets:
        return env
    shown = dict(env)
    for name, value in env.items():
        for secret in secrets:
            text = value.text
            if secret.start <= value.start and value.end <= secret.end and value.end > value.start:
                text = stars(text) if not _is_name(value) else text
            elif value.start < secret.end and secret.start < value.end:
                text = text.replace(secret.text, stars(secret.text))
            if text != value.text:
                shown[name] = value = Binding(value.start, value.end, text=text)
    return shown


def _is_name(bound: Binding) -> bool:
    return bound.node is not None and bound.node.kind in _NAMES


def _is_elsewhere(text: str, written: str) -> bool:
    """Tell whether a text is what the name stands for that is written here."""
    return text not in written and not any(quote in written for quote in _QUOTES)


def _pieces(start: int, end: int, text: str, file: ParsedFile) -> Iterator[Piece]:
    written = file.source.text(start, end)
    if not _is_elsewhere(text, written):
        yield from pieces_of(file.source.region(start, end), lambda n: file.source.lines(n, n))
    if text not in written:  # it stands elsewhere, or here in parts or with escapes
        yield from (Piece(0, 0, line) for line in text.split("\n") if line)
