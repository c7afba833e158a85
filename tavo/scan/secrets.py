"""What a rule with the tag `credential` points at: the secret, and what is shown in its place.

Rules this module keeps:
- it is what the rule binds to `$SECRET`, else its match or focus;
- the name of a variable is no secret: of one that holds a secret only the secret is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tavo.covering import CREDENTIAL, SECRET, Piece, pieces_of, stars
from tavo.plugins import Rule
from tavo.scan.bindings import Binding, Env
from tavo.scan.parsed import ParsedFile

__all__ = ["Secret", "secrets_of", "without"]

_NAMES = frozenset({"identifier", "attribute", "dotted_name"})


class Secret(msgspec.Struct, frozen=True):
    """A secret: its byte range, as text, and its pieces in lines."""

    start: int
    end: int
    text: str
    pieces: tuple[Piece, ...]


def secrets_of(rule: Rule, start: int, end: int, env: Env, file: ParsedFile) -> list[Secret]:
    """Return the secrets of one match, none for a rule without the tag."""
    if CREDENTIAL not in rule.tags:
        return []
    bound = env.get(SECRET)
    if bound is not None:
        if _is_name(bound):
            return []
        start, end = bound.start, bound.end
    elif any((one.start, one.end) == (start, end) and _is_name(one) for one in env.values()):
        return []
    written = file.source.text(start, end)
    text = written if bound is None else bound.text
    pieces: list[Piece] = []
    if text in written or "".join(text.split()) in "".join(written.split()):
        pieces += _pieces(start, end, file)
    elif any(quote in written for quote in "\"'`"):  # written in parts, or with escapes
        pieces += [*_pieces(start, end, file), *_texts(text)]
    else:
        pieces += _texts(text)  # what a name stands for, which is written elsewhere
    return [Secret(start, end, text, tuple(pieces))] if text.strip() else []


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


def _pieces(start: int, end: int, file: ParsedFile) -> Iterable[Piece]:
    def line_at(number: int) -> str:
        return file.source.lines(number, number)

    return pieces_of(file.source.region(start, end), line_at)


def _texts(text: str) -> Iterable[Piece]:
    return (Piece(0, 0, line) for line in text.split("\n") if line)
