"""Whose a namespace is: the keys that held it, and whether the same hands hold it still."""

from __future__ import annotations

from typing import NamedTuple

from signing.publishers import Namespace, Recalls

__all__ = ["Keys", "follow_keys"]


class Keys(NamedTuple):
    """The key ids of a namespace: those that hold it now, and all that did since its last owner."""

    now: frozenset[str]
    ever: frozenset[str]
    same_hands: bool = True


def follow_keys(
    known: Keys | None, namespace: Namespace, recalls: Recalls, before: Recalls
) -> Keys:
    """Compare a namespace with what was known of it.

    Its hands are the same if a key that held it still does, as in a rotation, and no key that ever
    did was recalled since.
    """
    now = frozenset(namespace.keys)
    if known is None:
        return Keys(now=now, ever=now, same_hands=False)
    recalled = recalls.keys.keys() - before.keys.keys()
    same = bool((known.now & now) - recalls.keys.keys()) and not (known.ever | now) & recalled
    return Keys(now=now, ever=known.ever | now if same else now, same_hands=same)
