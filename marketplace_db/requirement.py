"""Which plugin is wanted, in which versions: `publisher/name>=1,<2`.

Rules this module keeps:
- the part in front is a full id, except where a person types it: there a bare name means `tavo/…`;
- the part behind is a version specifier of the Python packaging specifications, in normal form, so
  that equal requirements are equal texts;
- a pre-release is accepted only by a requirement that names one.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

__all__ = ["PluginRequirement", "parse_requirement", "version_of"]

_NAME = r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}"
_FULL = re.compile(rf"(?P<id>{_NAME}/{_NAME})\s*(?P<range>[^a-z0-9/\s-].*)?", re.DOTALL)
_BARE = re.compile(rf"(?P<id>(?:{_NAME}/)?{_NAME})\s*(?P<range>[^a-z0-9/\s-].*)?", re.DOTALL)
_LONGEST = 200
_ORDER = (">=", ">", "~=", "==", "===", "!=", "<=", "<")


@dataclass(frozen=True, slots=True, order=True)
class PluginRequirement:
    """A plugin by its full id; `specifier` is empty where every version will do."""

    full_id: str
    specifier: str = ""

    def accepts(self, version: str, *, prereleases: bool = False) -> bool:
        """Tell whether a version is meant; `prereleases` lets them in without being named."""
        ranges = _specifiers(self.specifier)
        return ranges.contains(
            version_of(version), prereleases=prereleases or bool(ranges.prereleases)
        )

    @property
    def names_prerelease(self) -> bool:
        """Tell whether its range names a pre-release, which lets all of them in."""
        return bool(_specifiers(self.specifier).prereleases)

    def __str__(self) -> str:
        return f"{self.full_id} {self.specifier}".rstrip()


def parse_requirement(text: str, *, typed: bool = False) -> PluginRequirement:
    """Read a requirement; `typed` takes what people write: `name`, `name@1.2`, `name>=1,<2`.

    Raises ValueError with what is wrong.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:40]!r}… is longer than {_LONGEST} characters")
    match = (_BARE if typed else _FULL).fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a plugin like publisher/name>=1,<2")
    full_id, given = match["id"], (match["range"] or "").strip()
    if typed and given.startswith("@"):
        given = f"=={given[1:].strip()}"
    try:
        ranges = SpecifierSet(given)
    except InvalidSpecifier:
        raise ValueError(f"{text!r}: {given!r} is not a version range like >=1,<2") from None
    parts = {(_ORDER.index(one.operator), one.operator, one.version) for one in ranges}
    if any(operator == "===" for _, operator, _ in parts):
        raise ValueError(f"{text!r}: '===' compares texts, not versions; write '=='")
    specifier = ",".join(operator + version for _, operator, version in sorted(parts))
    return PluginRequirement(full_id if "/" in full_id else f"tavo/{full_id}", specifier)


@functools.lru_cache(maxsize=65536)
def version_of(text: str) -> Version:
    """Return a version for comparing; what is none sorts below all others."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0.dev0")


@functools.lru_cache(maxsize=4096)
def _specifiers(text: str) -> SpecifierSet:
    return SpecifierSet(text)
