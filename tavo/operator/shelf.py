"""The shelf of official plugins: which there are, which travel in the file, which are heavy.

    examples/plugins/shelf.yaml        embedded: [ids]   heavy: [ids]
    examples/plugins/sizes/<id>.json   file name of each locked wheel: its length in bytes

Rules this module keeps:
- an id that has no folder, that is in both lists or twice in one, and an unknown key are errors;
- a folder without a shelf.yaml, as tests have it, has all of its plugins inside;
- lengths that stand in a file are for wheels that an ordinary build does not fetch: of other
  systems, and of heavy plugins. A plugin without such a file has all its wheels fetched.

Units: bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from marketplace_db.lock import LOCK_NAME, LockedWheel, parse_lock
from marketplace_db.manifest import MANIFEST_NAME
from marketplace_db.strict_yaml import load_yaml
from tavo.errors import ConfigError
from tavo.host.interpreters import MINORS
from tavo.host.local import WHEELS_FOLDER

__all__ = ["LARGEST_EMBEDDED", "SHELF_NAME", "Shelf", "lengths_file", "read_lengths", "taken_here"]

SHELF_NAME = "shelf.yaml"
LARGEST_EMBEDDED = 2_000_000
_LARGEST_FILE = 16 * 1024
_LISTS = ("embedded", "heavy")


class Shelf(NamedTuple):
    """The plugins of a folder by their ids; `embedded` and `heavy` are some of `plugins`."""

    folder: Path
    plugins: tuple[str, ...]
    embedded: frozenset[str]
    heavy: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> Shelf:
        """Read the folders and the list. Raises ConfigError, ManifestError, OSError."""
        plugins = tuple(sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_NAME}")))
        path = folder / SHELF_NAME
        if not path.exists():
            return cls(folder, plugins, frozenset(plugins), frozenset())
        value = load_yaml(path.read_bytes(), name=SHELF_NAME, limit=_LARGEST_FILE)
        if not isinstance(value, dict) or set(value) != set(_LISTS):
            raise ConfigError(
                f"{path}: expected the keys {' and '.join(_LISTS)}, found"
                f" {', '.join(map(repr, value)) if isinstance(value, dict) else 'no mapping'}",
                hint="Both are lists of ids; an empty one is [].",
            )
        lists = [_ids(path, name, value[name], plugins) for name in _LISTS]
        if both := lists[0] & lists[1]:
            raise ConfigError(f"{path}: {min(both)} is in both lists, and can be in one only")
        return cls(folder, plugins, *lists)

    def chosen(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return the plugins with these ids, all if none is named. Raises ConfigError."""
        wanted = tuple(dict.fromkeys(ids))
        for one in wanted:
            if one not in self.plugins:
                raise _unknown(str(self.folder), one, self.plugins)
        return wanted or self.plugins

    def lock(self, plugin: str) -> tuple[LockedWheel, ...]:
        """Return the wheels that a plugin's lock names. Raises PackageError, OSError."""
        path = self.folder / plugin / LOCK_NAME
        return parse_lock(path.read_bytes()) if path.exists() else ()

    def own_wheels(self, plugin: str) -> Path:
        """Return the folder with wheels that were built from sources for a plugin."""
        return self.folder / plugin / WHEELS_FOLDER


def lengths_file(folder: Path, plugin: str) -> Path:
    """Return where the lengths of a plugin's wheels stand, if they do."""
    return folder / "sizes" / f"{plugin}.json"


def read_lengths(folder: Path, plugin: str) -> Mapping[str, int]:
    """Return the lengths of a plugin's wheels by file name, nothing where none are written down.

    Raises ConfigError, OSError.
    """
    path = lengths_file(folder, plugin)
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error
    if not isinstance(value, dict) or not all(type(n) is int and n > 0 for n in value.values()):
        raise ConfigError(
            f"{path}: expected lengths in bytes by file name",
            hint=f"Write it anew: `python3 build.py plugins --sizes {plugin}`.",
        )
    return value


def taken_here(
    wheels: Iterable[LockedWheel], minors: Sequence[str] = MINORS
) -> frozenset[LockedWheel]:
    """Return the wheels that this system takes, the best of each name for each CPython."""
    from packaging import tags
    from packaging.utils import parse_wheel_filename

    named = [(one, parse_wheel_filename(one.filename)[3]) for one in wheels]
    chosen: set[LockedWheel] = set()
    for minor in minors:
        version = tuple(map(int, minor.split(".")))
        name = f"cp{version[0]}{version[1]}"
        order = {
            tag: rank
            for rank, tag in enumerate((
                *tags.cpython_tags(version, abis=[name]),
                *tags.compatible_tags(version, interpreter=name),
            ))
        }  # fmt: skip
        best: dict[str, tuple[int, LockedWheel]] = {}
        for one, its in named:
            ranks = [order[tag] for tag in its if tag in order]
            if ranks and (one.name not in best or min(ranks) < best[one.name][0]):
                best[one.name] = (min(ranks), one)
        chosen.update(one for _, one in best.values())
    return frozenset(chosen)


def _ids(path: Path, name: str, value: object, plugins: tuple[str, ...]) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{path}: {name}: expected a list of ids, found {value!r:.60}")
    for one in value:
        if one not in plugins:
            raise _unknown(f"{path}: {name}", one, plugins)
        if value.count(one) > 1:
            raise ConfigError(f"{path}: {name}: {one} is there twice")
    return frozenset(value)


def _unknown(where: str, plugin: str, plugins: tuple[str, ...]) -> ConfigError:
    return ConfigError(
        f"{where}: there is no plugin {plugin!r:.60}, no folder of that name with a plugin.yaml",
        hint=f"There are {', '.join(plugins) or 'none'}.",
    )
