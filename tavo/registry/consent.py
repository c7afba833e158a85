"""What a release asks for against what was accepted before, and what is still missing.

Rules this module keeps:
- it decides on values: it asks nobody and stores nothing;
- what was accepted before counts, in the set in which it was accepted (`tavo.host.permissions`);
- `--yes` grants what is needed and ordinary. A variable of the environment and every word of a red
  combination is granted by its own name only, or by an answer;
- a grant of something that a release does not ask for grants nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from marketplace_db.manifest import Manifest
from marketplace_db.permissions import (
    danger_sentences,
    in_order,
    is_optional,
    permission_sentences,
    permission_words,
    red_combinations,
)
from tavo.errors import UsageError
from tavo.host.permissions import AcceptedSet, granted_words, needed

__all__ = ["Consent", "Demand", "Grants", "demand_of", "read_grants", "settle"]

_WORD = re.compile(
    r"(?:(?P<plugin>[a-z0-9-]+(?:/[a-z0-9-]+)?)=)?"
    r"(?P<word>files|target|native_code|(?:network|env|subprocess|program):[A-Za-z0-9_.+:-]+"
    r"|plugin:[a-z0-9-]+/[a-z0-9-]+)\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one release asks for.

    `asked` are all words, the worst first; `before` is what counts from earlier answers: the set
    that covers it, else the newest. `is_new` is what is needed beyond that, and variables that the
    user was never asked about. `first` says that nothing of this plugin was ever accepted,
    `accepted` that it may run with what was accepted before.
    """

    full_id: str
    version: str
    asked: tuple[str, ...]
    before: frozenset[str]
    is_new: tuple[str, ...]
    first: bool
    accepted: bool
    can: tuple[str, ...]
    cannot: tuple[str, ...]
    danger: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What is granted of a demand. The plugin may run if `missing` is empty.

    `missing` are needed words, `declined` variables that the plugin does without.
    """

    demand: Demand
    granted: frozenset[str]
    missing: tuple[str, ...]
    declined: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Tell whether the plugin may run."""
        return not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """The words of `--grant`: those for the plugins that the user named, those for one by its id.

    `yes` is `--yes`.
    """

    named: frozenset[str] = frozenset()
    scoped: frozenset[tuple[str, str]] = frozenset()
    yes: bool = False

    def words_for(self, full_id: str, *, is_named: bool = True) -> frozenset[str]:
        """Return the words for one plugin; `is_named` says that the user named this plugin."""
        own = {word for plugin, word in self.scoped if plugin == full_id}
        return self.named | own if is_named else frozenset(own)

    def unasked(self, demands: Sequence[Demand]) -> tuple[str, ...]:
        """Return the words that none of the demands asks for, as they are written."""
        asked = {one.full_id: set(one.asked) for one in demands}
        every = set().union(*asked.values())
        scoped = (f"{p}={word}" for p, word in self.scoped if word not in asked.get(p, ()))
        return (*sorted(self.named - every), *sorted(scoped))


def read_grants(words: Sequence[str], *, yes: bool = False) -> Grants:
    """Read the words of `--grant`. Raises UsageError for one that is no permission."""
    named: set[str] = set()
    scoped: set[tuple[str, str]] = set()
    for given in words:
        match = _WORD.match(given)
        if match is None:
            raise UsageError(
                f"--grant {given!r:.100}: is not a permission",
                hint="Expected network:HOST, env:NAME, subprocess:PROGRAM, program:NAME,"
                " plugin:ID, native_code, target or files; PLUGIN=… before it means that plugin"
                " alone.",
            )
        word = match["word"]
        if word.startswith("network:"):
            word = word.lower().removesuffix(":443")
        if (plugin := match["plugin"]) is None:
            named.add(word)
        else:
            scoped.add((plugin if "/" in plugin else f"tavo/{plugin}", word))
    return Grants(named=frozenset(named), scoped=frozenset(scoped), yes=yes)


def demand_of(manifest: Manifest, accepted: Sequence[AcceptedSet]) -> Demand:
    """Compare what a manifest asks for with all that was accepted, the newest answer last."""
    asked = permission_words(manifest)
    can, cannot = permission_sentences(manifest)
    known = granted_words(asked, accepted)
    newest: frozenset[str] = accepted[-1].granted if accepted else frozenset()
    before = newest & frozenset(asked) if known is None else known
    seen = frozenset[str]().union(*(one.asked for one in accepted))
    new = [w for w in asked if w not in before and not (is_optional(w) and w in seen)]
    return Demand(
        full_id=manifest.full_id,
        version=manifest.version,
        asked=asked,
        before=before,
        is_new=tuple(new),
        first=not accepted,
        accepted=known is not None,
        can=tuple(can),
        cannot=tuple(cannot),
        danger=danger_sentences(manifest),
    )


def settle(
    demand: Demand, *, grants: Grants, is_named: bool = True, answered: Collection[str] = ()
) -> Consent:
    """Decide what is granted by earlier answers, words, `--yes`, and answers just given."""
    asked = frozenset(demand.asked)
    granted = demand.before | (asked & grants.words_for(demand.full_id, is_named=is_named))
    granted |= asked & frozenset(answered)
    if grants.yes:
        ordinary = granted | needed(asked)
        red = {word for one in red_combinations(ordinary) for word in one.words}
        granted |= needed(asked) - red
    return Consent(
        demand=demand,
        granted=granted,
        missing=in_order(needed(asked) - granted),
        declined=in_order(asked - needed(asked) - granted),
    )
