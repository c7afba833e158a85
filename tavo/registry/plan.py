"""What an install, an upgrade or a lock comes to: which releases, in which order, for which Python.

Rules this module keeps:
- what the user named may change; other plugins stay as they are, except those that are there only
  because others need them, and these only as far as they must;
- one plugin is one name of one repository, the one that its namespace comes from on this machine:
  an installed plugin of another repository meets no need;
- an upgrade never goes down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from marketplace_db.catalog import ReleaseRow
from marketplace_db.errors import NotInCatalogError
from marketplace_db.manifest import Manifest
from marketplace_db.requirement import PluginRequirement, version_of
from marketplace_db.resolve import Candidate, CandidateSource, Need, in_order, resolve
from tavo.errors import RefusedError, UsageError
from tavo.host.installed import Installation
from tavo.host.interpreters import Interpreter
from tavo.host.together import Member, check_process, closure, fits_every_python
from tavo.registry.candidates import CatalogCandidates, Choice, Judge, choose_for
from tavo.registry.install import Prepared, prepare
from tavo.registry.lockfile import LockedPlugin, LockFile
from tavo.registry.offered import statement_problem
from tavo.registry.shelves import Shelf, Shelves

if TYPE_CHECKING:
    from tavo.registry.entitlements import Entitlements

__all__ = ["Step", "is_only_needed", "locked_steps", "plan", "plan_upgrade", "prepare_step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One release to install. `wanted` is the range that the user named, None if it is only needed.

    `replaces` is the installed version, empty for none; `named` says that this command named it.
    `shelf` is the catalog that it comes from, `elsewhere` the repositories of plugins that it needs
    from other ones.
    """

    release: ReleaseRow
    interpreter: Interpreter
    wanted: str | None
    replaces: str
    named: bool
    shelf: Shelf
    elsewhere: Mapping[str, str]

    @property
    def provenance(self) -> dict[str, object]:
        """Return what is recorded about why it is there, and where what it needs comes from."""
        why: dict[str, object] = (
            {"only_needed": True} if self.wanted is None else {"wanted": self.wanted}
        )
        return {**why, "needs_from": dict(self.elsewhere)} if self.elsewhere else why


def is_only_needed(one: Installation) -> bool:
    """Tell whether an installation is there only because others need it."""
    return bool(one.provenance.get("only_needed"))


def plan(
    shelves: Shelves,
    wanted: Sequence[PluginRequirement],
    installed: Iterable[Installation],
    *,
    passed_over: dict[str, str] | None = None,
) -> list[Step]:
    """Choose what to install so that all `wanted` plugins and what they need are there together.

    `passed_over` is told which releases do not stand any more, and why.
    Raises NotInCatalogError, ConflictError with the chain of needs, RefusedError.
    """
    here = {one.full_id: one for one in installed}
    if not wanted:
        raise UsageError("registry install: name a plugin, or a lock file with -r")
    named = _named(wanted)
    for full_id in named:
        # a wrong name is told with the nearest right one
        shelves.of(full_id).catalog.plugin(full_id)
    source = _Source(_Candidates(shelves, told=passed_over), here, named)
    return _steps(shelves, source, named, here, renew=True)


def plan_upgrade(
    shelves: Shelves,
    wanted: Sequence[PluginRequirement],
    installed: Iterable[Installation],
    *,
    judges: Sequence[Judge] = (),
    passed_over: dict[str, str] | None = None,
) -> list[Step]:
    """Choose the newest releases of the `wanted` installed plugins, of all if none is named.

    Each stays in the range that it was installed with, unless another one is named, and never goes
    down. `judges` say which releases are passed over, and `passed_over` is told which and why.
    Steps are returned only for what changes.
    Raises UsageError, ConflictError, RefusedError.
    """
    here = {one.full_id: one for one in installed}
    ours = {name: one for name, one in here.items() if _home(shelves, one) is not None}
    named: dict[str, str] = {}
    for requirement in wanted:
        if requirement.full_id not in here:
            raise UsageError(
                f"{requirement.full_id}: is not installed",
                hint=f"Install it: `tavo registry install"
                f" {requirement.full_id.removeprefix('tavo/')}`.",
            )
        kept = str(here[requirement.full_id].provenance.get("wanted", ""))
        named[requirement.full_id] = requirement.specifier or kept
    if not wanted:
        named = {
            name: str(one.provenance.get("wanted", ""))
            for name, one in ours.items() if not is_only_needed(one)
        }  # fmt: skip
    source = _Source(_Candidates(shelves, judges, passed_over), here, named, upgrade=True)
    if not wanted:
        source.stay.clear()  # what is only needed goes along
    if not named:
        return []
    return [
        replace(step, wanted=None)  # what is only needed stays so, also where it is named here
        if step.replaces and is_only_needed(here[step.release.full_id])
        else step
        for step in _steps(shelves, source, named, here, renew=False)
    ]


def locked_steps(shelves: Shelves, lock: LockFile, installed: Iterable[Installation]) -> list[Step]:
    """Return what a lock file names, each with exactly its digests.

    Raises RefusedError for everything that differs, NotInCatalogError.
    """
    if shelves.find(lock.repository) is None:
        raise RefusedError(
            f"{lock.name}: is for the repository {lock.repository}, this is"
            f" {' and '.join(shelf.repository for shelf in shelves) or 'none'}",
            hint="Name a mirror of that repository with --mirror, or write a new lock file with"
            " `tavo registry lock`.",
        )
    here = {one.full_id: one for one in installed}
    candidates = _Candidates(shelves)
    found: dict[str, Candidate] = {}
    for one in lock.plugins:
        if shelves.of(one.full_id).repository != lock.repository:
            raise RefusedError(
                f"{lock.name}: {one.full_id} is locked for the repository {lock.repository}, and"
                f" its namespace comes from {shelves.of(one.full_id).name} here",
                hint="Write a new lock file with `tavo registry lock PLUGIN`.",
            )
        release = candidates.release(one.full_id, one.version)
        _compare(lock, one, release)
        candidate = candidates.examine(one.full_id, one.version)
        if candidate.unusable:
            raise RefusedError(
                f"{lock.name}: {one.full_id} {one.version} {candidate.unusable}",
                hint="Write a new lock file with `tavo registry lock PLUGIN`.",
            )
        found[one.full_id] = candidate
    members: dict[str, Member] = {}
    steps = []
    wanted = {one.full_id: one.wanted for one in lock.plugins}
    for candidate in in_order(found.values()):
        release = candidates.release(candidate.full_id, candidate.version)
        choice = _choose(release, shelves, members, here)
        steps.append(_step(release, choice, wanted[release.full_id], here, shelves))
    return steps


def prepare_step(step: Step, folder: Path, entitlements: Entitlements | None = None) -> Prepared:
    """Fetch and accept the release of a step into a folder of its own below `folder`."""
    release = step.release
    place = folder / release.package.hex
    place.mkdir()
    return prepare(
        step.shelf.opened, step.shelf.catalog, release.full_id, release.version, place,
        interpreter=step.interpreter, entitlements=entitlements,
    )  # fmt: skip


# -- inside


class _Candidates:
    """The releases of every open catalog, each plugin's from the one that its namespace is of."""

    def __init__(
        self,
        shelves: Shelves,
        judges: Sequence[Judge] = (),
        told: dict[str, str] | None = None,
    ) -> None:
        self._shelves = shelves
        self._judges = judges
        self._told = told
        self._of: dict[str, CatalogCandidates] = {}

    def versions(self, full_id: str) -> list[str]:
        """Return all versions of a plugin; none of one that no catalog has."""
        try:
            return self._at(full_id).versions(full_id)
        except NotInCatalogError:
            return []

    def release(self, full_id: str, version: str) -> ReleaseRow:
        """Return a release as its catalog tells it. Raises NotInCatalogError."""
        return self._at(full_id).release(full_id, version)

    def examine(self, full_id: str, version: str) -> Candidate:
        """Return a release with what it needs, and why it cannot be used here if it cannot."""
        return self._at(full_id).examine(full_id, version)

    def _at(self, full_id: str) -> CatalogCandidates:
        shelf = self._shelves.of(full_id)
        if shelf.repository not in self._of:
            self._of[shelf.repository] = self._candidates(shelf)
        return self._of[shelf.repository]

    def _candidates(self, shelf: Shelf) -> CatalogCandidates:
        opened = shelf.opened

        def judge(release: ReleaseRow, manifest: Manifest) -> str:
            problem = statement_problem(opened, release)
            problem = problem or next(
                filter(None, (one(release, manifest) for one in self._judges)), ""
            )
            if problem and self._told is not None:
                self._told[f"{release.full_id} {release.version}"] = problem
            return problem

        return CatalogCandidates(
            shelf.catalog, opened.publishers, withdrawn=opened.withdrawn, judge=judge
        )


class _Source(CandidateSource):
    """The catalog's releases, and those that are installed, which stay usable where they are."""

    def __init__(
        self,
        catalog: _Candidates,
        here: Mapping[str, Installation],
        named: Mapping[str, str],
        *,
        upgrade: bool = False,
    ) -> None:
        self.catalog = catalog
        self.stay = {
            name: one.version
            for name, one in here.items()
            if name not in named and is_only_needed(one)
        }
        self.fixed_here = {
            name: one for name, one in here.items() if name not in named and name not in self.stay
        }
        floating = {*self.stay, *(named if upgrade else ())}
        self._kept = {name: here[name] for name in floating}
        self._floor = {name: version_of(here[name].version) for name in named} if upgrade else {}

    def versions(self, full_id: str) -> list[str]:
        found = self.catalog.versions(full_id)
        kept = self._kept.get(full_id)
        if kept is not None and kept.version not in found:
            found.append(kept.version)
        floor = self._floor.get(full_id)
        return found if floor is None else [v for v in found if version_of(v) >= floor]

    def examine(self, full_id: str, version: str) -> Candidate:
        kept = self._kept.get(full_id)
        if kept is not None and kept.version == version:
            return _candidate(kept)
        return self.catalog.examine(full_id, version)


def _named(wanted: Sequence[PluginRequirement]) -> dict[str, str]:
    named: dict[str, str] = {}
    for one in wanted:
        if one.full_id in named:
            raise UsageError(
                f"{one.full_id}: is named twice", hint="Write one range, such as 'name>=1,<2'."
            )
        named[one.full_id] = one.specifier
    return named


def _candidate(one: Installation, unusable: str = "") -> Candidate:
    return Candidate(
        full_id=one.full_id,
        version=one.version,
        requires=one.manifest.requirements,
        unusable=unusable,
    )


def _steps(
    shelves: Shelves,
    source: _Source,
    named: Mapping[str, str],
    here: Mapping[str, Installation],
    *,
    renew: bool,
) -> list[Step]:
    fixed: dict[str, Candidate] = {}
    needs = [Need(PluginRequirement(name, text)) for name, text in named.items()]
    for name, one in sorted(source.fixed_here.items()):
        foreign = _home(shelves, one) is None
        fixed[name] = _candidate(one, "is installed from another repository" if foreign else "")
        if not foreign:
            needs += [Need.of_installed(fixed[name], need) for need in fixed[name].requires]
    chosen = resolve(needs, source, preferred=source.stay, fixed=fixed)
    members: dict[str, Member] = {}
    steps = []
    for candidate in chosen:
        name = candidate.full_id
        now = here.get(name)
        if name in fixed or (
            now is not None
            and now.version == candidate.version
            and _home(shelves, now) is not None
            and not (renew and name in named)
        ):
            continue
        release = source.catalog.release(name, candidate.version)
        choice = _choose(release, shelves, members, here)
        steps.append(_step(release, choice, named.get(name), here, shelves))
    return steps


def _choose(
    release: ReleaseRow,
    shelves: Shelves,
    members: dict[str, Member],
    here: Mapping[str, Installation],
) -> Choice:
    """Choose interpreter and wheels; what it needs was chosen before. Raises RefusedError."""

    def find(full_id: str) -> Member | None:
        if full_id in members:
            return members[full_id]
        return here[full_id].member if full_id in here else None

    manifest = release.parsed_manifest()
    alone = Member(
        full_id=release.full_id,
        version=release.version,
        repository=shelves.of(release.full_id).repository,
        requires=manifest.requirements,
        python=manifest.python,
        native=manifest.permissions.native_code,
        elsewhere=_elsewhere(release, shelves),
    )
    others = closure(alone, find)
    tag = check_process(alone, others)
    ranges = [("", manifest.python), *((other.label, other.python) for other in others)]
    choice = choose_for(release, ranges, tag=tag)
    if isinstance(choice, str):
        raise RefusedError(
            f"{alone.label}: {choice}",
            hint="Install such a CPython, so that python3.N is on PATH, or choose another version.",
        )
    tied = not all(map(fits_every_python, choice.wheels))
    member = Member(
        full_id=alone.full_id, version=alone.version, repository=alone.repository,
        requires=alone.requires, python=alone.python, native=alone.native,
        wheels=choice.wheels, tag=choice.interpreter.tag if tied else "",
        elsewhere=alone.elsewhere,
    )  # fmt: skip
    check_process(member, others)
    members[member.full_id] = member
    return choice


def _home(shelves: Shelves, one: Installation) -> Shelf | None:
    """Return the open catalog that an installed plugin is of, if its namespace comes from there."""
    shelf = shelves.find(one.repository)
    if shelf is None or shelves.hidden(shelf, [one.full_id]):
        return None
    return shelf


def _elsewhere(release: ReleaseRow, shelves: Shelves) -> dict[str, str]:
    """Return the repositories of what a release needs from another marketplace than its own."""
    home = shelves.of(release.full_id).repository
    found: dict[str, str] = {}
    for need in release.parsed_manifest().requirements:
        repository = shelves.of(need.full_id).repository
        if repository != home:
            found[need.full_id] = repository
    return found


def _step(
    release: ReleaseRow,
    choice: Choice,
    wanted: str | None,
    here: Mapping[str, Installation],
    shelves: Shelves,
) -> Step:
    now = here.get(release.full_id)
    return Step(
        release=release,
        interpreter=choice.interpreter,
        wanted=wanted,
        replaces="" if now is None else now.version,
        named=wanted is not None,
        shelf=shelves.of(release.full_id),
        elsewhere=_elsewhere(release, shelves),
    )


def _compare(lock: LockFile, one: LockedPlugin, release: ReleaseRow) -> None:
    if one.package != release.package:
        raise RefusedError(
            f"{lock.name}: {one.full_id} {one.version} has the digest {one.package.hex}, but in the"
            f" catalog it is {release.package.hex}",
            hint="Do not install it. Find out who changed the lock file, or whose catalog this is.",
        )
    if one.wheels != {wheel.filename: wheel.digest for wheel in release.wheels}:
        raise RefusedError(
            f"{lock.name}: the wheels of {one.full_id} {one.version} are not those of the catalog",
            hint="Find out who changed the lock file, or write it again with `tavo registry lock`.",
        )
