"""Plugins that use the code of other plugins: what may run in one process, and what must be there.

Rules this module keeps:
- what a plugin needs comes from the same repository as the plugin itself, or from the one that its
  installation recorded for it, as the user's marketplaces said: the same name elsewhere is another
  plugin. Only a local plugin, which is from none, takes what is installed;
- one process has one version of each Python package: plugins that lock different ones cannot
  share it;
- compiled libraries are loaded only where the plugin whose process it is asked for that;
- it decides on values and does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tavo.errors import RefusedError

if TYPE_CHECKING:
    from marketplace_db.requirement import PluginRequirement

__all__ = ["Member", "check_process", "closure", "fits_every_python", "unmet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A plugin as its neighbours see it.

    `repository` is None for a local plugin; `python` its range of versions; `native` whether it may
    load compiled libraries; `wheels` those that were chosen for it, and `tag` the interpreter that
    they were chosen for, empty where they fit all. `elsewhere` are the repositories of plugins that
    it needs from another one than its own.
    """

    full_id: str
    version: str
    repository: str | None
    requires: tuple[PluginRequirement, ...] = ()
    python: str = ""
    native: bool = False
    wheels: tuple[str, ...] = ()
    tag: str = ""
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return its name and version."""
        return f"{self.full_id} {self.version}"


def closure(one: Member, find: Callable[[str], Member | None]) -> tuple[Member, ...]:
    """Return all plugins whose code a plugin uses, itself not, in the order of their names.

    Raises RefusedError for what is missing or does not fit.
    """
    found: dict[str, Member] = {}
    pending = [one]
    while pending:
        current = pending.pop()
        for need in current.requires:
            other = find(need.full_id)
            problem = _problem(current, need, other)
            if problem or other is None:
                raise RefusedError(
                    problem,
                    hint=f"`tavo registry install {need.full_id.removeprefix('tavo/')}`, or install"
                    f" {current.full_id} again.",
                )
            if other.full_id not in found and other.full_id != one.full_id:
                found[other.full_id] = other
                pending.append(other)
    return tuple(found[name] for name in sorted(found))


def check_process(one: Member, others: Iterable[Member]) -> str:
    """Return the tag of the interpreter that the process of `one` needs, empty for any.

    Raises RefusedError for plugins that cannot share a process.
    """
    versions: dict[str, tuple[str, Member]] = {}
    tags: dict[str, Member] = {}
    for member in (one, *others):
        if member.tag:
            tags.setdefault(member.tag, member)
        for wheel in member.wheels:
            name, version = wheel.split("-")[:2]
            name = name.replace("_", "-").replace(".", "-").lower()
            known, holder = versions.setdefault(name, (version, member))
            if known != version:
                raise RefusedError(
                    f"{one.label} runs in one process with what it needs, but {holder.label} brings"
                    f" {name} {known} and {member.label} brings {name} {version}",
                    hint="One of their authors has to lock the other's version.",
                )
            if not one.native and not wheel.endswith("-none-any.whl"):
                raise RefusedError(
                    f"{one.label} needs {member.label}, which loads compiled libraries"
                    f" ({wheel}), and does not ask for the permission native_code",
                    hint=f"The author of {one.full_id} has to ask for native_code.",
                )
    if len(tags) > 1:
        told = " and ".join(f"those of {member.label} for {tag}" for tag, member in tags.items())
        raise RefusedError(
            f"{one.label}: wheels were chosen for different interpreters, {told}",
            hint=f"Install it again: `tavo registry install {one.full_id.removeprefix('tavo/')}`.",
        )
    return next(iter(tags), "")


def unmet(members: Mapping[str, Member], changed: Collection[str]) -> str:
    """Return the sentence about the first need that changes leave unmet, or nothing.

    `members` is what would be installed; only needs of, and of what is, `changed` are looked at.
    """
    for full_id in sorted(members):
        one = members[full_id]
        for need in one.requires:
            if one.full_id in changed or need.full_id in changed:
                problem = _problem(one, need, members.get(need.full_id))
                if problem:
                    return problem
    return ""


def fits_every_python(wheel: str) -> bool:
    """Tell whether a wheel's name promises that every Python 3 takes it."""
    python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    return "py3" in python.split(".") and (abi, platform) == ("none", "any")


def _problem(one: Member, need: PluginRequirement, other: Member | None) -> str:
    if other is None:
        return f"{one.label} needs {need}, which is not installed"
    expected = one.elsewhere.get(need.full_id, one.repository)
    if one.repository is not None and other.repository != expected:
        return (
            f"{one.label} needs {need}, but the {other.label} that is installed comes from another"
            " repository"
        )
    if not need.accepts(other.version, prereleases=True):
        return f"{one.label} needs {need}, but {other.version} is installed"
    return ""
