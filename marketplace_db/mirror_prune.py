"""What lies in a mirror and is referred to by nothing: old catalogs, old lists, blobs left over.

Rules this module keeps:
- nothing is deleted unless the caller says so: the answer without it is a list;
- what stays is what verified metadata of this mirror names, every root, and whatever is younger
  than the caller's number of days: a reader may still be at the version before;
- only names of a repository's own form are looked at; what else lies there is not ours;
- a mirror that does not verify is left as it is, and so is a folder that no sync or import wrote:
  the repository of a marketplace holds files that are not released yet.

Units: bytes, days.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from marketplace_db.errors import MirrorError
from marketplace_db.mirror import LOCK_NAME, LOCK_S, read_hint
from marketplace_db.mirror_copy import reports_of
from marketplace_db.selection import Contents, Selection
from marketplace_db.site import Site
from signing.client import DirectorySource, TrustState
from signing.digests import Digest
from signing.locks import hold
from signing.roles import ARTIFACT_NAME, LIST_VERSION, blob_path

__all__ = ["GRACE_DAYS", "Pruned", "prune"]

GRACE_DAYS = 7
_BLOB = re.compile(r"[0-9a-f]{64}")
_ARTIFACT = re.compile(ARTIFACT_NAME)
_LIST = re.compile(rf"{LIST_VERSION}\.(?!root\.)[a-z]+\.json")
_LEFT = re.compile(r"\.new-(?!lock\Z).{1,200}")
_MOST_NAMED = 1000


class Pruned(NamedTuple):
    """How many files nothing refers to, with the first of them; `young` of them stay for now."""

    files: int
    bytes: int
    young: int
    paths: tuple[str, ...]


def prune(
    mirror: Path,
    *,
    delete: bool,
    days: float = GRACE_DAYS,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
) -> Pruned:
    """Find what is in a mirror for nothing; delete it only with `delete`.

    Age is judged by the files' times and the system's clock. Raises the errors of
    `signing.client.refresh`, and MirrorError if something cannot be deleted.
    """
    hint = read_hint(mirror) or {}
    if "catalog_sha256" not in hint:
        raise MirrorError(
            f"{mirror}: was not written by `tavo mirror sync` or `import`, so nothing is pruned",
            hint="Name a mirror's folder. A marketplace's own repository is never pruned.",
        )
    selection = Selection.from_dict(hint.get("filters", {}))
    site = Site(root, cache, state, now, build_time)
    before = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    files = total = young = 0
    paths: list[str] = []
    try:
        with hold(mirror / LOCK_NAME, LOCK_S, "is writing this mirror"):
            for path in _unused(mirror, site, selection):
                status = path.lstat()
                if status.st_mtime > before:
                    young += 1
                    continue
                if delete:
                    path.unlink()
                files += 1
                total += status.st_size
                if len(paths) < _MOST_NAMED:
                    paths.append(path.relative_to(mirror).as_posix())
            if delete:
                _remove_empty(mirror)
    except OSError as error:
        raise MirrorError(
            f"{error.filename or mirror}: cannot be pruned: {error.strerror or error}",
            hint="Is the disk writable? Run the same command again: it goes on.",
        ) from error
    return Pruned(files, total, young, tuple(paths))


def _unused(mirror: Path, site: Site, selection: Selection) -> Iterator[Path]:
    refreshed = site.read(DirectorySource(mirror))
    contents = Contents(refreshed.catalog, selection)
    named = {one.path for one in refreshed.artifacts}
    yield from _left_over(mirror / "metadata", set(refreshed.metadata), _LIST)
    folders = [Path(folder) for folder, _, _ in os.walk(mirror / "targets")]
    for folder in folders:
        within = folder.relative_to(mirror).as_posix() + "/"
        here = {path.removeprefix(within) for path in named if path.startswith(within)}
        yield from _left_over(folder, here, _ARTIFACT)
    yield from _left_over(mirror, set(), None)
    used = (digest for digest, _ in contents.blobs())
    reports = sorted(set(reports_of(mirror, contents.statements())))
    yield from _blobs(mirror, heapq.merge(used, reports))


def _left_over(folder: Path, keep: set[str], form: re.Pattern[str] | None) -> Iterator[Path]:
    """Yield files of a form that are not to be kept, and what killed copies left behind."""
    for name in _names(folder):
        ours = _LEFT.fullmatch(name) or (form is not None and form.fullmatch(name))
        if ours and name not in keep and _is_file(folder / name):
            yield folder / name


def _blobs(mirror: Path, used: Iterable[Digest]) -> Iterator[Path]:
    """Walk the folders of blobs in the order of digests, beside what is used."""
    left = iter(used)
    next_used = next(left, None)
    for first in range(256):
        folder = mirror / "blobs" / "sha256" / f"{first:02x}"
        keep: set[str] = set()
        while next_used is not None and next_used.hex.startswith(folder.name):
            keep.add(Path(blob_path(next_used)).name)
            next_used = next(left, None)
        yield from _left_over(folder, keep, _BLOB)


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return []


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _remove_empty(mirror: Path) -> None:
    for folder in (mirror / "blobs" / "sha256").glob("[0-9a-f][0-9a-f]"):
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
