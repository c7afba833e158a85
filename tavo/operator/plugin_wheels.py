"""Fetch the wheels that the official plugins lock, each exactly as its lock names it.

    python -m tavo.operator.plugin_wheels --plugins examples/plugins --wheels .build/wheels
        [--all] [--heavy] [--sizes] [ID...]

`--all` fetches for all systems, `--heavy` also for heavy plugins; with ids, both are about these.

Rules this module keeps:
- a wheel is taken by name and SHA-256, for whichever system it is; nothing is chosen anew, no
  source distribution is fetched, and nothing that was fetched is run;
- an ordinary build fetches what this system takes; of a plugin whose lengths are not written down
  all wheels, and of heavy plugins none;
- a wheel that was built from sources lies beside its plugin, in `.wheels`;
- pip and uv talk to the index, so that its address and its certificates are those of the user.

Units: bytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.utils import parse_wheel_filename

from marketplace_db.errors import MarketplaceError
from marketplace_db.lock import LockedWheel
from signing.digests import hash_file
from signing.files import write_atomically
from tavo.errors import InputError, TavoError, exit_code_of
from tavo.operator.shelf import Shelf, lengths_file, read_lengths, taken_here

__all__ = ["Extent", "fetch", "main", "wanted", "write_lengths"]

_LONGEST_REASON = 400
_WITHOUT_INDEX = (
    "A package index is needed once. Without network, put the wheels in a folder and set"
    " PIP_NO_INDEX=1 and PIP_FIND_LINKS=FOLDER."
)


class Extent(NamedTuple):
    """How much a build has of the plugins with these `ids`, of all if there is none.

    `everything`: the wheels of all systems; `heavy`: also those of heavy plugins.
    """

    everything: bool = False
    heavy: bool = False
    ids: frozenset[str] = frozenset()


def wanted(shelf: Shelf, plugin: str, extent: Extent) -> frozenset[LockedWheel]:
    """Return the wheels of a plugin that a build fetches. Raises PackageError, ConfigError."""
    locked = frozenset(shelf.lock(plugin))
    if extent.ids and plugin not in extent.ids:
        extent = Extent()
    if plugin in shelf.heavy and not extent.heavy:
        return frozenset()
    if extent.everything or not read_lengths(shelf.folder, plugin):
        return locked
    return taken_here(locked)


def fetch(wheels: Iterable[LockedWheel], folder: Path, own: Sequence[Path] = ()) -> int:
    """Put wheels into a folder unless they are there; return how many were fetched.

    `own` are folders with wheels that no index has. Raises InputError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for wheel in sorted(set(wheels)):
        target = folder / wheel.filename
        if target.exists() and hash_file(target)[0] == wheel.digest:
            continue
        beside = [path for one in own if (path := one / wheel.filename).exists()]
        if beside:
            write_atomically(target, beside[0].read_bytes())
        else:
            missing.append(wheel)
    for group in _groups(missing):
        _download(group, folder)
    return len(missing)


def write_lengths(shelf: Shelf, plugin: str, folder: Path) -> None:
    """Write down how long each locked wheel of a plugin is, by the index and without fetching.

    What lies in `folder` or beside the plugin is measured. Raises InputError, PackageError.
    """
    locked = shelf.lock(plugin)
    lengths: dict[str, int] = {}
    for wheel in locked:
        for place in (folder, shelf.own_wheels(plugin)):
            path = place / wheel.filename
            if path.exists() and hash_file(path)[0] == wheel.digest:
                lengths[wheel.filename] = path.stat().st_size
    if unknown := [wheel for wheel in locked if wheel.filename not in lengths]:
        listed = _listed(unknown)
        for wheel in unknown:
            if wheel.digest.hex not in listed:
                raise InputError(
                    f"{plugin}: the index does not list {wheel.filename} with the digest that the"
                    " lock names",
                    hint="Put the wheel into the folder of wheels, or lock another one.",
                )
            lengths[wheel.filename] = listed[wheel.digest.hex]
    path = lengths_file(shelf.folder, plugin)
    data = json.dumps(lengths, sort_keys=True, indent=1) + "\n"
    write_atomically(path, data.encode(), mode=0o644)


# -- inside


def _groups(wheels: Iterable[LockedWheel]) -> list[list[LockedWheel]]:
    """Put wheels together that one call can fetch: of the same tags, each name once."""
    groups: dict[tuple[object, ...], list[LockedWheel]] = defaultdict(list)
    times: dict[tuple[object, ...], int] = defaultdict(int)
    for wheel in wheels:
        tags = parse_wheel_filename(wheel.filename)[3]
        times[(tags, wheel.name)] += 1
        groups[(tags, times[(tags, wheel.name)])].append(wheel)
    return list(groups.values())


def _download(group: Sequence[LockedWheel], folder: Path) -> None:
    tags = parse_wheel_filename(group[0].filename)[3]
    python = max((tag.interpreter for tag in tags), key=len)
    words = ["--implementation", python[:2]]
    if python[2:] not in {"2", "3"}:
        words += ["--python-version", f"{python[2]}.{python[3:]}"]
    for name, values in (
        ("--abi", {tag.abi for tag in tags}), ("--platform", {tag.platform for tag in tags}),
    ):  # fmt: skip
        words += [part for value in sorted(values) for part in (name, value)]
    lines = [f"{one.name}=={one.version} --hash=sha256:{one.digest.hex}\n" for one in group]
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        lock = Path(name) / "lock"
        lock.write_text("".join(lines))
        done = _run(
            "pip", "download", "--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:",
            "--disable-pip-version-check", "--ignore-requires-python", "-r", str(lock),
            "--dest", name, *words,
        )  # fmt: skip
        for wheel in group:
            found = Path(name) / wheel.filename
            if done.returncode != 0 or not found.exists():
                raise InputError(
                    f"{wheel.filename} cannot be fetched: {_reason(done.stderr)}",
                    hint=_WITHOUT_INDEX,
                )
            if hash_file(found)[0] != wheel.digest:
                raise InputError(f"{wheel.filename}: what was fetched has another digest")
            found.replace(folder / wheel.filename)


def _listed(wheels: Iterable[LockedWheel]) -> Mapping[str, int]:
    """Return the lengths of all wheels of these distributions in the index, by their digests."""
    with tempfile.TemporaryDirectory(prefix="tavo-sizes-") as name:
        lines = sorted({f"{one.name}=={one.version}\n" for one in wheels})
        place = Path(name)
        (place / "names.txt").write_text("".join(lines))
        done = _run(
            "uv", "pip", "compile", str(place / "names.txt"), "--no-deps", "--universal", "--quiet",
            "--python-version", "3.11", "--format", "pylock.toml", "--system-certs",
            "-o", str(place / "pylock.toml"),
        )  # fmt: skip
        if done.returncode != 0:
            raise InputError(
                f"the index does not list the wheels: {_reason(done.stderr)}", hint=_WITHOUT_INDEX
            )
        with (place / "pylock.toml").open("rb") as stream:
            lock = tomllib.load(stream)
    return {
        one["hashes"]["sha256"]: one["size"]
        for package in lock.get("packages", ())
        for one in package.get("wheels", ())
        if "size" in one
    }


def _run(tool: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", tool, *words], capture_output=True, text=True, check=False
    )


def _reason(text: str) -> str:
    errors = [line.strip() for line in text.splitlines() if line.lower().startswith("error")]
    return (errors[0] if errors else text.strip() or "no reason was given")[:_LONGEST_REASON]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the build; print one sentence and return the exit code when something fails."""
    parser = argparse.ArgumentParser(prog="tavo.operator.plugin_wheels")
    for name in ("plugins", "wheels"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("all", "heavy", "sizes"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("ids", nargs="*")
    given = parser.parse_args(arguments)
    try:
        shelf = Shelf.read(given.plugins)
        chosen = shelf.chosen(given.ids)
        if given.sizes:
            for plugin in chosen:
                if shelf.lock(plugin):
                    write_lengths(shelf, plugin, given.wheels)
            return 0
        extent = Extent(given.all, given.heavy, frozenset(given.ids))
        wheels: set[LockedWheel] = set()
        for plugin in shelf.plugins:
            wheels |= wanted(shelf, plugin, extent)
        count = fetch(wheels, given.wheels, [shelf.own_wheels(one) for one in shelf.plugins])
    except (TavoError, MarketplaceError) as error:
        sys.stderr.write(f"plugins: {error}\n{error.hint}\n")
        return int(exit_code_of(error))
    except OSError as error:
        sys.stderr.write(f"plugins: {error}\n")
        return 3
    if count:
        sys.stderr.write(f"plugins: fetched {count} wheels of {len(wheels)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
