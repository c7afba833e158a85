"""Which releases a copy of a repository holds, and which files that makes.

Rules this module keeps:
- a selection leaves blobs out and nothing else: metadata, catalog and recalls are always whole;
- what a chosen plugin needs of other plugins is chosen with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from marketplace_db.catalog import Catalog, ReleaseRow, full_id_of
from marketplace_db.errors import ManifestError, MirrorError
from signing.digests import Digest

__all__ = ["EVERYTHING", "Contents", "Selection", "contents_of"]

_PLATFORMS = {
    "linux": ("manylinux", "musllinux", "linux"),
    "macos": ("macosx",),
    "windows": ("win",),
}
_WORD = re.compile(r"[A-Za-z0-9._/+-]{1,200}")
_MOST_WORDS = 50


class Selection(NamedTuple):
    """What is copied; an empty field chooses everything. Platforms choose among wheels only."""

    plugins: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, list[str]]:
        """Return a JSON-able form, without the empty fields."""
        return {name: list(words) for name, words in self._asdict().items() if words}

    @classmethod
    def from_dict(cls, value: object) -> Selection:
        """Read `to_dict`'s form. Raises MirrorError for any other."""
        if not isinstance(value, dict) or not value.keys() <= set(cls._fields):
            raise MirrorError("the filters are not ones that this version of tavo knows")
        return cls.of(**value)

    @classmethod
    def of(cls, **words: Any) -> Selection:
        """Check the words and make a selection. Raises MirrorError."""
        fields: dict[str, tuple[str, ...]] = {}
        for name, values in words.items():
            if not isinstance(values, list | tuple) or len(values) > _MOST_WORDS:
                raise MirrorError(f"the filter {name} is not a list of at most {_MOST_WORDS} words")
            for word in values:
                if not isinstance(word, str) or not _WORD.fullmatch(word):
                    raise MirrorError(f"the filter {name} holds {word!r:.80}, which is no name")
            fields[name] = tuple(sorted(set(values)))
        if unknown := set(fields.get("platforms", ())) - _PLATFORMS.keys():
            raise MirrorError(
                f"{min(unknown)}: not a platform",
                hint=f"Known are {', '.join(sorted(_PLATFORMS))}.",
            )
        fields["plugins"] = tuple(full_id_of(name) for name in fields.get("plugins", ()))
        return cls(**fields)

    def wants_wheel(self, filename: str) -> bool:
        """Tell whether a wheel runs on one of the platforms."""
        if not self.platforms:
            return True
        wanted = tuple(prefix for name in self.platforms for prefix in _PLATFORMS[name])
        tags = filename.removesuffix(".whl").rpartition("-")[2].split(".")
        return any(tag == "any" or tag.startswith(wanted) for tag in tags)


EVERYTHING = Selection()


class Contents(NamedTuple):
    """The blobs that chosen releases consist of; a length is None where no catalog tells it.

    `statements` are those of the blobs that reviewers signed.
    """

    blobs: Mapping[Digest, int | None]
    statements: tuple[Digest, ...]
    releases: int


def contents_of(catalog: Catalog, selection: Selection = EVERYTHING) -> Contents:
    """Return what a copy of this catalog's releases holds. Raises MirrorError."""
    rows = list(catalog.releases())
    wanted = _wanted(catalog, rows, selection)
    found: dict[Digest, int | None] = {}
    statements: set[Digest] = set()
    releases = 0
    for release in rows:
        if wanted is not None and release.full_id not in wanted:
            continue
        releases += 1
        found[release.package] = release.length
        found.setdefault(release.publisher_envelope, None)
        for envelope in release.reviewer_envelopes:
            found.setdefault(envelope, None)
            statements.add(envelope)
        for wheel in release.wheels:
            if selection.wants_wheel(wheel.filename):
                found[wheel.digest] = wheel.length
    return Contents({one: found[one] for one in sorted(found)}, tuple(sorted(statements)), releases)


def _wanted(catalog: Catalog, rows: list[ReleaseRow], selection: Selection) -> set[str] | None:
    """Return the full ids that are chosen, with those they need; None for all of them."""
    if not any(selection._replace(platforms=())):
        return None
    by_id: dict[str, list[ReleaseRow]] = {}
    for row in rows:
        by_id.setdefault(row.full_id, []).append(row)
    if unknown := set(selection.plugins) - by_id.keys():
        raise MirrorError(
            f"{min(unknown)}: no plugin of this catalog",
            hint="`tavo registry list` shows what there is.",
        )
    chosen = {full_id for full_id in by_id if _chooses(catalog, full_id, selection)}
    todo = list(chosen)
    while todo:
        for row in by_id.get(todo.pop(), ()):
            try:
                needs = {need.full_id for need in row.parsed_manifest().requirements}
            except ManifestError:  # such a release cannot be installed either
                continue
            todo += needs - chosen
            chosen |= needs
    return chosen


def _chooses(catalog: Catalog, full_id: str, selection: Selection) -> bool:
    plugin = catalog.plugin(full_id)
    return (
        (not selection.plugins or full_id in selection.plugins)
        and (not selection.types or plugin.plugin_type in selection.types)
        and (
            not selection.categories or not set(selection.categories).isdisjoint(plugin.categories)
        )
        and (not selection.publishers or plugin.publisher in selection.publishers)
    )
