"""Requirements -> one version of each plugin that is needed, or a sentence that says why not.

Rules this module keeps:
- the decision is apart from I/O: versions and manifests come through a `CandidateSource`;
- the newest final version wins, except that what is installed stays while it fits;
- nothing depends on clocks or on the order of hashes: the same catalog gives the same answer;
- the work is bounded: a catalog made to be hard ends in a refusal, not in a hang.

The search is resolvelib's, which pip uses: backtracking with backjumps. The set it finds is put in
order, what is needed before what needs it; plugins that need each other are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from resolvelib import AbstractProvider, BaseReporter, Resolver
from resolvelib.resolvers import ResolutionImpossible, ResolutionTooDeep

from marketplace_db.errors import ConflictError
from marketplace_db.requirement import PluginRequirement, version_of

__all__ = ["Candidate", "CandidateSource", "Need", "in_order", "resolve"]

_MOST_CHECKS = 1_000_000
_MOST_ROUNDS = 500
_MOST_NAMED = 6
_INSTALLED = ", which is installed,"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One version of a plugin, and what it needs; `unusable` says why it cannot be used here."""

    full_id: str
    version: str
    requires: tuple[PluginRequirement, ...] = ()
    unusable: str = ""


class CandidateSource(Protocol):
    """Where versions come from, such as a catalog as this machine can use it."""

    def versions(self, full_id: str) -> Sequence[str]:
        """Return all versions of a plugin; none for one that is not there."""
        ...

    def examine(self, full_id: str, version: str) -> Candidate:
        """Return one of those versions, judged."""
        ...


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement and who has it; an empty `origin` is the user."""

    requirement: PluginRequirement
    origin: str = ""

    @classmethod
    def of_installed(cls, one: Candidate, requirement: PluginRequirement) -> Need:
        """Return a need of a plugin that is installed and stays."""
        return cls(requirement, f"{one.full_id} {one.version}{_INSTALLED}")

    def __str__(self) -> str:
        wanted = self.requirement
        if not self.origin:
            return f"you ask for {wanted}"
        return f"{self.origin} needs {wanted}"


def resolve(
    needs: Iterable[Need],
    source: CandidateSource,
    *,
    preferred: Mapping[str, str] | None = None,
    fixed: Mapping[str, Candidate] | None = None,
) -> tuple[Candidate, ...]:
    """Return one candidate of each plugin that is needed, what is needed first.

    `preferred` are versions that stay while they fit; `fixed` are plugins that may not change, and
    whose own needs are part of `needs` already. Raises ConflictError.
    """
    wanted = tuple(needs)
    provider = _Provider(source, wanted, preferred or {}, fixed or {})
    resolver: Resolver[Need, Candidate, str] = Resolver(provider, BaseReporter())
    try:
        result = resolver.resolve(wanted, max_rounds=_MOST_ROUNDS)
    except ResolutionImpossible as error:
        causes = [(one.requirement, one.parent) for one in error.causes]
        installed = any(_INSTALLED in need.origin for need, _ in causes)
        raise ConflictError(
            _explain(provider, causes),
            hint="Name the installed ones as well, to let them change too."
            if installed
            else "`tavo registry show PLUGIN` lists versions; ask for others.",
        ) from None
    except (ResolutionTooDeep, RecursionError, _TooHardError):
        names = ", ".join(sorted(need.requirement.full_id for need in wanted)[:_MOST_NAMED])
        raise ConflictError(
            f"no set of plugins was found within the bounds of the search for {names}",
            hint="Name exact versions, such as publisher/name==1.2, to make it smaller.",
        ) from None
    return in_order(result.mapping.values())


def in_order(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return candidates with what is needed before what needs it, else by name.

    Raises ConflictError for plugins that need each other.
    """
    by_id = {one.full_id: one for one in sorted(candidates, key=lambda one: one.full_id)}
    done: dict[str, Candidate] = {}
    for start in by_id:
        way: dict[str, Iterator[str]] = {}
        current: str | None = start
        while current is not None:
            if current in done or current not in by_id:
                current = next(reversed(way), None)
                continue
            if current not in way:
                way[current] = iter(sorted(need.full_id for need in by_id[current].requires))
            following = next(way[current], None)
            if following is None:
                done[current] = by_id[current]
                del way[current]
                current = next(reversed(way), None)
            elif following in way:
                names = [*list(way)[list(way).index(following) :], following]
                steps = "; ".join(
                    f"{one} {by_id[one].version} needs {other}" for one, other in pairwise(names)
                )
                raise ConflictError(
                    f"{steps}: plugins cannot need each other",
                    hint="One of their authors has to take the requirement out.",
                )
            else:
                current = following
    return tuple(done.values())


# -- inside


class _TooHardError(Exception):
    """The search took more steps than it may."""


@dataclass
class _Plugin:
    """What is known of one plugin; versions with the most preferred first."""

    versions: tuple[str, ...]
    lets_prereleases_in: bool
    fitting: dict[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rank = {version: number for number, version in enumerate(self.versions)}


class _Provider(AbstractProvider[Need, Candidate, str]):
    def __init__(
        self,
        source: CandidateSource,
        wanted: Sequence[Need],
        preferred: Mapping[str, str],
        fixed: Mapping[str, Candidate],
    ) -> None:
        self.wanted = wanted
        self.why: dict[str, dict[Need, Candidate]] = {}
        self._source = source
        self._preferred = preferred
        self.fixed = fixed
        self._plugins: dict[str, _Plugin] = {}
        self._examined: dict[tuple[str, str], Candidate] = {}
        self._checks = 0
        self._named = {n.requirement.full_id for n in wanted if n.requirement.names_prerelease}

    def identify(self, requirement_or_candidate: Need | Candidate) -> str:
        one = requirement_or_candidate
        return one.requirement.full_id if isinstance(one, Need) else one.full_id

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Mapping[str, Iterator[Any]],
        backtrack_causes: Sequence[Any],
    ) -> tuple[bool, bool, str]:
        # what caused trouble comes first, then what the user named; names decide the rest
        conflicting = any(
            identifier == self.identify(cause.requirement)
            or (cause.parent is not None and identifier == cause.parent.full_id)
            for cause in backtrack_causes
        )
        asked = any(one.parent is None for one in information[identifier])
        return not conflicting, not asked, identifier

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Need]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Callable[[], Iterator[Candidate]]:
        bad = {one.version for one in incompatibilities[identifier]}
        fitting = self.together([need.requirement for need in requirements[identifier]]) - bad
        rank = self.plugin(identifier).rank
        order = sorted(fitting, key=rank.__getitem__)

        def usable() -> Iterator[Candidate]:
            for version in order:
                candidate = self.examine(identifier, version)
                if not candidate.unusable:
                    yield candidate

        return usable

    def is_satisfied_by(self, requirement: Need, candidate: Candidate) -> bool:
        return candidate.version in self.fitting(requirement.requirement)

    def get_dependencies(self, candidate: Candidate) -> list[Need]:
        if candidate.full_id in self.fixed:
            return []  # its needs are among those at the start
        origin = f"{candidate.full_id} {candidate.version}"
        needs = [Need(one, origin) for one in candidate.requires]
        for need in needs:
            self.why.setdefault(need.requirement.full_id, {}).setdefault(need, candidate)
        return needs

    def plugin(self, full_id: str) -> _Plugin:
        """Return what is known of a plugin; its versions are read once."""
        known = self._plugins.get(full_id)
        if known is not None:
            return known
        if full_id in self.fixed:
            known = _Plugin((self.fixed[full_id].version,), lets_prereleases_in=True)
        else:
            newest = sorted(self._source.versions(full_id), key=version_of, reverse=True)
            self._count(len(newest))
            final = [v for v in newest if not version_of(v).is_prerelease]
            early = [v for v in newest if version_of(v).is_prerelease]
            stays = self._preferred.get(full_id)
            order = sorted([*final, *early], key=lambda version: version != stays)
            known = _Plugin(tuple(order), full_id in self._named or not final)
        self._plugins[full_id] = known
        return known

    def fitting(self, wanted: PluginRequirement) -> frozenset[str]:
        """Return the versions that a requirement accepts."""
        plugin = self.plugin(wanted.full_id)
        found = plugin.fitting.get(wanted.specifier)
        if found is None:
            self._count(len(plugin.versions))
            stays = self._preferred.get(wanted.full_id)
            found = plugin.fitting[wanted.specifier] = frozenset(
                version
                for version in plugin.versions
                if wanted.accepts(
                    version, prereleases=plugin.lets_prereleases_in or version == stays
                )
            )
        return found

    def together(self, wanted: Iterable[PluginRequirement]) -> frozenset[str]:
        """Return the versions of one plugin that all of these accept, usable or not."""
        sets = sorted({id(one): one for one in map(self.fitting, wanted)}.values(), key=len)
        self._count(len(sets[0]) // 4 + 1)
        return sets[0].intersection(*sets[1:])

    def examine(self, full_id: str, version: str) -> Candidate:
        """Return a version with what it needs; it is read once."""
        if full_id in self.fixed:
            return self.fixed[full_id]
        key = (full_id, version)
        if key not in self._examined:
            self._count(10)
            self._examined[key] = self._source.examine(full_id, version)
        return self._examined[key]

    def _count(self, checks: int) -> None:
        self._checks += checks
        if self._checks > _MOST_CHECKS:
            raise _TooHardError


def _explain(provider: _Provider, causes: Sequence[tuple[Need, Candidate | None]]) -> str:
    """Say which needs cannot be met together, and through which plugins they came."""
    groups: dict[str, dict[Need, str]] = {}
    for need, parent in causes:
        holder = "" if parent is None else parent.full_id
        groups.setdefault(need.requirement.full_id, {})[need] = holder
    for full_id, group in groups.items():
        narrow = {need: holder for need, holder in group.items() if need.requirement.specifier}
        groups[full_id] = narrow or group  # "any version" is part of no conflict
    sentences: dict[str, None] = {}
    ends: list[str] = []
    for full_id in sorted(groups, key=lambda name: (bool(_left(provider, groups[name])), name)):
        for need in _merged(groups[full_id]):
            sentences.update(dict.fromkeys(_chain(provider, need)))
        if end := _end(provider, full_id, groups[full_id]):
            ends.append(end)
    shown = list(sentences)[: 2 * _MOST_NAMED]
    if len(sentences) > len(shown):
        shown.append(f"and {len(sentences) - len(shown)} more")
    return "; ".join([*shown, *(ends or ["no choice of versions meets all of these"])])


def _left(provider: _Provider, group: Iterable[Need]) -> list[str]:
    """Return the versions that all needs of the group accept, usable or not, the best first."""
    needs = [need.requirement for need in group]
    rank = provider.plugin(needs[0].full_id).rank
    return sorted(provider.together(needs), key=rank.__getitem__)


def _merged(group: Mapping[Need, str]) -> list[Need]:
    """Let one need stand for the same one of several versions of a plugin."""
    same = Counter((holder, need.requirement) for need, holder in group.items() if holder)
    merged: dict[Need, None] = {}
    for need in sorted(group, key=lambda need: (need.origin, need.requirement)):
        count = same[group[need], need.requirement]
        origin = f"{group[need]} (each of {count} versions)" if count > 1 else need.origin
        merged[Need(need.requirement, origin)] = None
    return list(merged)


def _chain(provider: _Provider, need: Need) -> list[str]:
    """Return the sentences that lead from what the user asked for to this need."""
    steps = [str(need)]
    seen = {need.requirement.full_id}
    asked = {one.requirement.full_id for one in provider.wanted}
    holder = need.origin.partition(" ")[0]
    while holder and holder not in asked and holder not in seen and _INSTALLED not in steps[0]:
        seen.add(holder)
        versions = [  # the version that the last step speaks of was let in by its own need
            (one, parent) for one, parent in provider.why.get(holder, {}).items()
        ]
        if not versions:
            break
        above, parent = versions[0]
        steps.insert(0, str(above))
        holder = parent.full_id
    return steps


def _end(provider: _Provider, full_id: str, group: Mapping[Need, str]) -> str:
    known = provider.plugin(full_id).versions
    if not known:
        return f"{full_id} is not in the catalog"
    left = _left(provider, group)
    if left:
        reasons = [provider.examine(full_id, version) for version in left[:_MOST_NAMED]]
        if all(one.unusable for one in reasons):
            texts = [f"{full_id} {one.version} {one.unusable}" for one in reasons]
            more = len(left) - len(reasons)
            return "; ".join([*texts, *([f"and {more} more versions cannot be used"] * (more > 0))])
        return ""
    if full_id in provider.fixed:
        return f"{full_id} {known[0]} is installed, and stays while you do not name it"
    many = {1: "that", 2: "both"}.get(len({need.requirement for need in group}), "all of them")
    there = ", ".join(known[:_MOST_NAMED]) + (", …" if len(known) > _MOST_NAMED else "")
    tried = sorted({h for h in group.values() if h and len(provider.plugin(h).versions) > 1})
    others = f"; other versions of {' and '.join(tried)} do not help" if tried else ""
    return f"no version of {full_id} satisfies {many} (there are {there}){others}"
