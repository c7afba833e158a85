"""Copying a repository tree, verified, so that the copy is a full repository itself.

Rules this module keeps:
- metadata is accepted by the client first; every artifact and blob is checked against its digest
  before it gets its name; what is there already is hashed again, and replaced if it is damaged;
- files only ever appear under new names; `timestamp.json` is switched last, by a rename, after
  everything else is on the disk: a killed copy and a power cut leave the old mirror or the new one,
  and the next run goes on where it stopped;
- the catalog comes by deltas where they lead to it, and large files go on where they stopped;
- a newer mirror is never overwritten by an older repository, and never by another one;
- `mirror.json` is a hint for people: nothing is believed because it stands there.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from marketplace_db.counted import Counted
from marketplace_db.errors import MirrorError
from marketplace_db.mirror_copy import Copier, Observer, reports_of
from marketplace_db.selection import EVERYTHING, Contents, Selection
from marketplace_db.site import Site
from signing.client import DirectorySource, Refreshed, Source, TrustState
from signing.digests import Digest
from signing.errors import MissingError, SigningError
from signing.files import flush_folders, write_atomically
from signing.locks import hold
from signing.roles import blob_path, format_time
from signing.sources import Deadline

__all__ = [
    "CONNECTIONS", "HINT_NAME", "LOCK_NAME", "LOCK_S", "Audit", "MirrorReport",
    "also_in", "read_hint", "sync",
]  # fmt: skip

HINT_NAME = "mirror.json"

_FORMAT = 1
_LONGEST_HINT = 1 << 20
_HINT_S = 10.0
_LOOK_NAME = ".new-look"
LOCK_NAME = ".new-lock"
LOCK_S = 5.0
_ALSO = re.compile(
    r"targets/releases/[0-9a-f]{64}\.(.+)|targets/catalog/[0-9a-f]{64}\.(advisories\.db)"
)
CONNECTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReport:
    """What a sync did. Keep `refreshed.state` and `refreshed.record` for the next one.

    `missing_reports` counts the vetting reports that reviewers name and the source does not hold:
    nothing depends on them, and nobody can read them then.
    `fetched_bytes` and `requests` count everything that was read from the source, metadata too.
    """

    destination: Path
    refreshed: Refreshed
    releases: int
    fetched_files: int
    fetched_bytes: int
    requests: int
    kept_files: int
    missing_reports: int = 0


class Audit(Protocol):
    """Who looks at what a copy needs before it is made, and at what it named when it is."""

    def needed(self, files: Iterable[str], destination: Path) -> None:
        """Raise an error if some of these files can be had nowhere."""

    def named(self, files: Iterable[str]) -> None:
        """Raise an error if the source holds what is not among these files, which is all."""


def sync(
    source: Source | Path,
    destination: Path,
    *,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
    selection: Selection = EVERYTHING,
    audit: Audit | None = None,
    connections: int = CONNECTIONS,
    reporter: Observer | None = None,
) -> MirrorReport:
    """Make `destination` a verified copy of a repository; a new, an empty or an older copy.

    `cache` is the client's cache, `state` what this machine has accepted before; at most
    `connections` files are fetched at a time. Raises the errors of `signing.client.refresh` and
    of `audit`, and MirrorError when the folder cannot be used.
    """
    source = DirectorySource(source) if isinstance(source, Path) else source
    _check_destination(source, destination)
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with hold(destination / LOCK_NAME, LOCK_S, "is writing this mirror"):
            return _sync(
                Counted(source), destination, Site(root, cache, state, now, build_time), selection,
                audit, connections, reporter,
            )  # fmt: skip
    except OSError as error:
        raise MirrorError(
            f"{error.filename or destination}: cannot be written: {error.strerror or error}",
            hint="Free some space or choose another folder, then run the same command again.",
        ) from error


def _sync(
    source: Counted,
    destination: Path,
    site: Site,
    selection: Selection,
    audit: Audit | None,
    connections: int,
    reporter: Observer | None,
) -> MirrorReport:
    look = destination / _LOOK_NAME
    shutil.rmtree(look, ignore_errors=True)  # of a run that was killed
    try:
        _seed(site.of_repository / "metadata", look)
        found = _look(source, destination, look, site, selection)
        copy = Copier(source, destination, connections, reporter)
        return _copy(source, destination, found, site, selection, audit, copy)
    finally:
        shutil.rmtree(look, ignore_errors=True)


def _copy(
    source: Counted,
    destination: Path,
    found: _Look,
    site: Site,
    selection: Selection,
    audit: Audit | None,
    copy: Copier,
) -> MirrorReport:
    refreshed, contents, here = found
    _check_hint(destination, refreshed)

    def files() -> Iterator[tuple[str, Digest]]:
        yield from ((blob_path(digest), digest) for digest, _ in contents.blobs())
        yield from ((one.path, one.digest) for one in refreshed.artifacts)

    if audit:
        audit.needed((path for path, digest in files() if digest not in here), destination)
    copy.begin(contents.blobs(), sum(one.length for one in refreshed.artifacts))
    try:
        try:
            copy.blobs(contents.blobs())
        except MissingError as error:
            raise _explained(error, source) from error
        copy.reports(contents.statements())
        for artifact in refreshed.artifacts:
            copy.artifact(artifact, here.get(artifact.digest))
        if audit:
            reports = reports_of(destination, contents.statements())
            audit.named(itertools.chain(
                (path for path, _ in files()), map(blob_path, reports),
                (f"metadata/{name}" for name in refreshed.metadata),
            ))  # fmt: skip
        copy.settle()
        _switch(
            destination, refreshed, _hint(refreshed, contents.releases, copy.named_blobs, selection)
        )
    finally:
        copy.end()
    # Only now may this machine's client know of it: killed before, it still reads the old mirror.
    accepted = site.read(DirectorySource(destination))
    return MirrorReport(
        destination=destination,
        refreshed=accepted._replace(
            record=accepted.record._replace(source=source.name),
            deltas=refreshed.deltas,
            fallback=refreshed.fallback,
        ),
        releases=contents.releases,
        fetched_files=copy.fetched,
        fetched_bytes=source.bytes,
        requests=source.requests,
        kept_files=copy.kept,
        missing_reports=copy.missing_reports,
    )


def _switch(destination: Path, refreshed: Refreshed, hint: dict[str, Any]) -> None:
    """Make the copied files the mirror: `timestamp.json` after all that it leads to."""
    metadata = destination / "metadata"
    for name, data in refreshed.metadata.items():
        if name != "timestamp.json":
            write_atomically(metadata / name, data)
    flush_folders([metadata, destination])
    write_atomically(metadata / "timestamp.json", refreshed.metadata["timestamp.json"])
    write_atomically(destination / HINT_NAME, (json.dumps(hint, indent=2) + "\n").encode())
    flush_folders([metadata, destination])


def _seed(metadata: Path, look: Path) -> None:
    """Let the look begin with what the client has accepted, so that nothing older passes."""
    for path in metadata.rglob("*.json"):
        target = look / metadata.parent.name / "metadata" / path.relative_to(metadata)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


class _Look(NamedTuple):
    """A repository's metadata and catalog, what they name, and which of it is here."""

    refreshed: Refreshed
    contents: Contents
    here: dict[Digest, Path]


def _look(
    source: Source,
    destination: Path,
    look: Path,
    site: Site,
    selection: Selection,
) -> _Look:
    refreshed = site.read(
        source,
        cache=look,
        old_artifacts=(
            destination / "targets" / "catalog",
            destination / "targets" / "publishers",
            site.of_repository / "artifacts",
        ),
    )
    contents = Contents(refreshed.catalog, selection)
    brought = (refreshed.catalog, refreshed.publishers_file, refreshed.log)
    here = {file.digest: file.path for file in brought if file is not None}
    return _Look(refreshed, contents, here)


def also_in(paths: Iterable[str]) -> list[str]:
    """Return what is among the paths of a repository besides its plugins and catalogs.

    Such as `tavo-1.2.3.pyz`, `rules-team-1.0.zip` and `advisories.db`.
    """
    names = (_ALSO.fullmatch(path) for path in paths)
    return sorted(found[1] or found[2] for found in names if found)


def _hint(refreshed: Refreshed, releases: int, blobs: int, selection: Selection) -> dict[str, Any]:
    record = refreshed.record
    return {
        "format": _FORMAT,
        "kind": "filtered" if any(selection) else "full",
        "repository": record.repository,
        "development": record.development,
        "written": format_time(record.accepted_at),
        "issued": format_time(record.issued),
        "expires": format_time(record.expires),
        "root": record.root_version,
        "timestamp": record.floors["timestamp"].version,
        "catalog": refreshed.catalog.version,
        "catalog_sha256": refreshed.catalog.digest.hex,
        "filters": selection.to_dict(),
        "releases": releases,
        "blobs": blobs,
        "also": also_in(one.path for one in refreshed.artifacts),
    }


def _check_destination(source: Source, destination: Path) -> None:
    if isinstance(source, DirectorySource):
        here, there = destination.resolve(), source.path.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise MirrorError(
                f"{destination}: lies in the repository that is copied, or around it",
                hint="Choose a folder of its own for the mirror.",
            )
    if destination.exists() and not destination.is_dir():
        raise MirrorError(f"{destination}: is not a folder")
    try:
        names = set(_names(destination))
    except OSError as error:
        raise MirrorError(f"{destination}: cannot be read: {error.strerror}") from error
    if names and not names <= {"metadata", "targets", "blobs", HINT_NAME}:
        raise MirrorError(
            f"{destination}: holds other files ({sorted(names)[0]!r})",
            hint="Choose an empty folder, or a mirror made before.",
        )


def _names(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        for path in folder.iterdir():
            if not path.name.startswith(".new-"):
                yield path.name


def read_hint(mirror: Path) -> dict[str, Any] | None:
    """Return what `mirror.json` says, None where there is none. Nothing of it is to be trusted."""
    return _hint_in(DirectorySource(mirror))


def _hint_in(source: Source) -> dict[str, Any] | None:
    data = b""
    try:
        for piece in source.read(HINT_NAME, Deadline(_HINT_S)):
            data += piece
            if len(data) > _LONGEST_HINT:
                return None
        value = json.loads(data)
    except (SigningError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _explained(error: MissingError, source: Source) -> MissingError:
    """Say of what a source lacks that it holds a part of the catalog, if it says so itself."""
    try:
        selection = Selection.from_dict((_hint_in(source) or {}).get("filters"))
    except MirrorError:
        return error
    if not any(selection):
        return error
    words = "; ".join(f"{name}: {', '.join(one)}" for name, one in selection.to_dict().items())
    return MissingError(
        str(error),
        hint=f"{source.name} is a mirror of a part of the catalog ({words}). Give the same filters,"
        " or sync from another source.",
    )


def _check_hint(destination: Path, refreshed: Refreshed) -> None:
    """Keep a mirror from being replaced by an older or another repository by mistake."""
    hint = read_hint(destination) or {}
    try:
        repository, timestamp = str(hint["repository"]), int(hint["timestamp"])
    except (ValueError, KeyError, TypeError):
        return
    if repository != refreshed.record.repository:
        raise MirrorError(
            f"{destination}: is a mirror of another repository ({repository:.12})",
            hint="Choose another folder.",
        )
    if timestamp > (offered := refreshed.record.floors["timestamp"].version):
        raise MirrorError(
            f"{destination}: is newer than what is offered (timestamp {timestamp}, offered"
            f" {offered})",
            hint="Sync from a source that is up to date.",
        )
