"""Known vulnerabilities of what installed plugins bring along, from a repository's snapshot.

Rules this module keeps:
- the snapshot is an artifact of the `catalog` role, and comes with every mirror and bundle; each
  use hashes it against signed metadata, also where it lies in the cache already;
- a version of which nothing certain can be told is told, as such.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from marketplace_db.advisories.snapshot import Advisories, Match
from signing.client import Artifact, Source, fetch_artifact
from signing.digests import hash_file
from signing.roles import ADVISORIES_NAME
from tavo.errors import InputError
from tavo.host.installations import Installation

__all__ = ["Known", "about", "fetch_snapshot", "forget_others"]


class Known(NamedTuple):
    """An advisory about a wheel of an installed plugin."""

    plugin: str
    version: str
    package: str
    package_version: str
    match: Match


def fetch_snapshot(artifacts: Iterable[Artifact], source: Source, cache: Path) -> Path:
    """Return the snapshot that is signed there, from the cache if it is there.

    Raises InputError if there is none, VerificationError, SourceError.
    """
    found = next((one for one in artifacts if one.name == ADVISORIES_NAME), None)
    if found is None:
        raise InputError(
            f"{source.name} has no snapshot of advisories",
            hint="Its operator takes one in with `tavo market advisories`.",
        )
    path = cache / f"{found.digest.hex}.advisories.db"
    with suppress(OSError):
        if hash_file(path) == (found.digest, found.length):
            return path
    fetch_artifact(source, found, path)
    return path


def forget_others(cache: Path, kept: Collection[Path]) -> None:
    """Delete snapshots from the cache that are not among those that were just used."""
    for old in cache.glob("*.advisories.db"):
        if old not in kept:
            old.unlink(missing_ok=True)


def about(installed: Iterable[Installation], known: Advisories) -> Iterator[Known]:
    """Yield what is known about the wheels of installed plugins. Raises AdvisoryError."""
    for one in installed:
        for filename in one.wheels:
            try:
                name, version, _, _ = parse_wheel_filename(filename)
            except InvalidWheelFilename as error:
                raise InputError(f"{one.full_id}: {filename} is no wheel: {error}") from error
            for match in known.about("PyPI", str(name), str(version)):
                yield Known(one.full_id, one.version, str(name), str(version), match)
