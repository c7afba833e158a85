"""What the user accepted for a plugin, and whether that covers what a release asks for.

Rules this module keeps:
- what was accepted is a set that was seen as a whole: a release may run if one such set holds all
  that it needs. Two sets are never added up, because together they may be a red combination;
- an environment variable is granted by its own name, never by accepting the rest;
- it decides on values; `tavo.host.state` stores them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from marketplace_db.permissions import is_optional

__all__ = ["AcceptedSet", "granted_words", "needed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedSet:
    """What a release asked for when the user was asked, and what of it was granted."""

    asked: frozenset[str]
    granted: frozenset[str]


def needed(words: Collection[str]) -> frozenset[str]:
    """Return the words without which the plugin does not run."""
    return frozenset(word for word in words if not is_optional(word))


def granted_words(words: Collection[str], accepted: Sequence[AcceptedSet]) -> frozenset[str] | None:
    """Return which of the words are granted, None if the plugin may not run.

    `accepted` is everything that was accepted for this plugin, in any order. A plugin that asks for
    nothing must have been accepted, too.
    """
    asked = frozenset(words)
    exact = [one for one in accepted if one.asked == asked]
    covering = [one for one in exact or accepted if needed(asked) <= one.granted]
    if not covering:
        return None
    return needed(asked).union(*(one.granted & asked for one in covering))
