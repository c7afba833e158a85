"""Looking at a mirror: is all of it there and right, and what would a sync fetch.

Units: bytes.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from marketplace_db.selection import Contents, Selection
from marketplace_db.site import Site
from signing.chain import DELTAS, Step, chain_to
from signing.client import Refreshed, Source, TrustState
from signing.digests import Digest
from signing.errors import MissingError, SigningError
from signing.roles import CATALOG_NAME, blob_path
from signing.sources import Deadline

__all__ = ["Checked", "Wanted", "check", "wanted"]

_FILE_DEADLINE_S = 600.0


class Checked(NamedTuple):
    """What a mirror's files are: how many, and the paths of those that are missing or damaged."""

    refreshed: Refreshed
    files: int
    bytes: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]


class Wanted(NamedTuple):
    """What a sync would fetch: files and their bytes, as far as the catalog tells lengths."""

    refreshed: Refreshed
    files: int
    bytes: int


def check(
    source: Source,
    selection: Selection,
    *,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
) -> Checked:
    """Verify a mirror's metadata and hash each of its files; errors as `refresh`."""
    refreshed, files = _files(source, selection, Site(root, cache, state, now, build_time))
    missing: list[str] = []
    damaged: list[str] = []
    count = total = 0
    for path, digest, _ in files:
        count += 1
        hasher = hashlib.sha256()
        try:
            for chunk in source.read(path, Deadline(_FILE_DEADLINE_S)):
                hasher.update(chunk)
                total += len(chunk)
        except MissingError:
            missing.append(path)
        except SigningError:
            damaged.append(path)
        else:
            if hasher.hexdigest() != digest.hex:
                damaged.append(path)
    return Checked(refreshed, count, total, tuple(missing), tuple(damaged))


def wanted(
    source: Source,
    mirror: Path,
    selection: Selection,
    *,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
) -> Wanted:
    """Return what a sync from `source` would fetch into the mirror; errors as `refresh`."""
    refreshed, files = _files(source, selection, Site(root, cache, state, now, build_time))
    lacking = {path: length or 0 for path, _, length in files if not (mirror / path).is_file()}
    catalog = next(one for one in refreshed.artifacts if one.name == CATALOG_NAME)
    steps = (
        Step(one.name, one.path, one.digest, one.length)
        for one in refreshed.artifacts
        if one.role == "catalog" and one.name.startswith(DELTAS)
    )
    if catalog.path in lacking and chain_to(catalog.digest, catalog.length, steps, _old(mirror)):
        del lacking[catalog.path]  # the deltas are counted
    return Wanted(refreshed, len(lacking), sum(lacking.values()))


def _old(mirror: Path) -> Iterator[tuple[Digest, Path]]:
    for path in (mirror / "targets" / "catalog").glob(f"{'[0-9a-f]' * 64}.catalog.db"):
        yield Digest(path.name[:64]), path


def _files(
    source: Source, selection: Selection, site: Site
) -> tuple[Refreshed, Iterator[tuple[str, Digest, int | None]]]:
    """Return what was accepted, and path, digest and length of each file that it names."""
    refreshed = site.read(source)
    contents = Contents(refreshed.catalog, selection)
    artifacts = ((one.path, one.digest, one.length) for one in refreshed.artifacts)
    blobs = ((blob_path(digest), digest, length) for digest, length in contents.blobs())
    return refreshed, itertools.chain(artifacts, blobs)
