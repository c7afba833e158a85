"""Which releases a copy of a repository holds, and which files that makes.

Rules this module keeps:
- a selection leaves blobs out and nothing else: metadata, catalog and recalls are always whole;
- what a chosen plugin needs of other plugins is chosen with it.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, NamedTuple

from marketplace_db.catalog import Catalog, PluginRow, full_id_of
from marketplace_db.errors import ManifestError, MirrorError
from marketplace_db.manifest import manifest_from_json
from signing.digests import Digest, VerifiedFile

__all__ = ["EVERYTHING", "Contents", "Selection"]

_SYSTEMS = {
    "linux": ("manylinux", "musllinux", "linux"),
    "macos": ("macosx",),
    "windows": ("win",),
}
_MACHINES = {
    "linux-x86_64": ("linux", ("x86_64",)),
    "linux-aarch64": ("linux", ("aarch64",)),
    "macos-arm64": ("macos", ("arm64", "universal2")),
    "windows-x86_64": ("windows", ("amd64",)),
}
_PLATFORMS = {**{name: (name, ("",)) for name in _SYSTEMS}, **_MACHINES}
_PYTHON = re.compile(r"3\.(?:0|[1-9][0-9]?)")
_TAG = re.compile(r"(cp|py)3([0-9]{0,3})")
_WORD = re.compile(r"[A-Za-z0-9._/+-]{1,200}")
_MOST_WORDS = 50


class Selection(NamedTuple):
    """What is copied; an empty field chooses everything.

    Platforms and versions of Python, such as `3.11`, choose among wheels only.
    """

    plugins: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()

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
        for version in fields.get("pythons", ()):
            if not _PYTHON.fullmatch(version):
                raise MirrorError(
                    f"{version}: not a version of Python", hint="Give two numbers, such as 3.11."
                )
        fields["plugins"] = tuple(full_id_of(name) for name in fields.get("plugins", ()))
        return cls(**fields)

    def wants_wheel(self, filename: str) -> bool:
        """Tell whether a wheel runs on one of the platforms, in one of the versions of Python."""
        words = filename.removesuffix(".whl").split("-")
        if len(words) < 5:
            return True  # no name of a wheel, so nothing is known of it
        python, abi, platform = (word.split(".") for word in words[-3:])
        return self._on_platform(platform) and self._in_python(python, abi)

    def _on_platform(self, tags: list[str]) -> bool:
        if not self.platforms or "any" in tags:
            return True
        for system, machines in (_PLATFORMS[name] for name in self.platforms):
            if any(tag.startswith(_SYSTEMS[system]) and tag.endswith(machines) for tag in tags):
                return True
        return False

    def _in_python(self, pythons: list[str], abis: list[str]) -> bool:
        if not self.pythons:
            return True
        minors = [int(version.partition(".")[2]) for version in self.pythons]
        for tag in pythons:
            found = _TAG.fullmatch(tag)
            if found is None:
                continue
            # Each later Python takes the wheels of `py310`, and the stable ABI's; else its own.
            later = found[1] == "py" or "abi3" in abis
            if not found[2] or any(
                int(found[2]) == minor or (later and int(found[2]) < minor) for minor in minors
            ):
                return True
        return False


EVERYTHING = Selection()


class Contents:
    """What chosen releases of a catalog consist of, read from the catalog each time it is asked.

    A catalog may name millions of blobs, so none of it is kept in memory.
    """

    def __init__(self, file: VerifiedFile, selection: Selection) -> None:
        """Check the catalog in full. Raises CatalogError, MirrorError."""
        self._file = file
        self._selection = selection
        with Catalog.open(file, thorough=True) as catalog:
            self._plugins = _wanted(catalog, selection)
            self.releases = catalog.count_releases(self._plugins)

    def blobs(self) -> Generator[tuple[Digest, int | None], None, None]:
        """Yield each blob once, in the order of digests, with its length if the catalog has it."""
        with Catalog.open(self._file) as catalog:
            yield from catalog.blobs(self._plugins, self._selection.wants_wheel)

    def statements(self) -> Generator[Digest, None, None]:
        """Yield those of the blobs that reviewers signed."""
        with Catalog.open(self._file) as catalog:
            yield from catalog.statements(self._plugins)


def _wanted(catalog: Catalog, selection: Selection) -> frozenset[str] | None:
    """Return the full ids that are chosen, with those they need; None for all of them."""
    if not any(selection._replace(platforms=(), pythons=())):
        return None
    chosen: set[str] = set()
    unknown = set(selection.plugins)
    for plugin in catalog.each_plugin():
        unknown.discard(plugin.full_id)
        if _chooses(plugin, selection):
            chosen.add(plugin.full_id)
    if unknown:
        raise MirrorError(
            f"{min(unknown)}: no plugin of this catalog",
            hint="`tavo registry browse` shows what there is.",
        )
    todo = list(chosen)
    while todo:
        needs: set[str] = set()
        for text in catalog.manifests([todo.pop()]):
            try:
                needs |= {need.full_id for need in manifest_from_json(text).requirements}
            except ManifestError:  # such a release cannot be installed either
                continue
        todo += needs - chosen
        chosen |= needs
    return frozenset(chosen)


def _chooses(plugin: PluginRow, selection: Selection) -> bool:
    return (
        (not selection.plugins or plugin.full_id in selection.plugins)
        and (not selection.types or plugin.plugin_type in selection.types)
        and (
            not selection.categories or not set(selection.categories).isdisjoint(plugin.categories)
        )
        and (not selection.publishers or plugin.publisher in selection.publishers)
    )
