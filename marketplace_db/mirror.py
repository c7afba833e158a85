"""Copying a repository tree, verified, so that the copy is a full repository itself.

Rules this module keeps:
- metadata is accepted by the client first; every artifact and blob is checked against its digest
  before it gets its name; what is there already is hashed again, and replaced if it is damaged;
- files only ever appear under new names; `timestamp.json` is switched last, by a rename: a killed
  copy leaves the old mirror or the new one, and the next run goes on where it stopped;
- the catalog comes by deltas where they lead to it, and large files go on where they stopped;
- the vetting reports that reviewers name go along, so that they can be read behind an air gap;
- a newer mirror is never overwritten by an older repository, and never by another one;
- `mirror.json` is a hint for people: nothing is believed because it stands there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from marketplace_db.catalog import Catalog
from marketplace_db.counted import Counted
from marketplace_db.errors import MirrorError
from marketplace_db.selection import EVERYTHING, Contents, Selection, contents_of
from marketplace_db.site import Site
from signing.chain import DELTAS
from signing.client import (
    Artifact,
    DirectorySource,
    Refreshed,
    Source,
    TrustState,
    fetch_artifact,
    fetch_blob,
)
from signing.digests import Digest, hash_file
from signing.errors import AttestationError, MissingError
from signing.files import replace_file, write_atomically
from signing.locks import hold
from signing.partial import fetch_in_steps
from signing.reports import unverified_reports
from signing.roles import blob_path, format_time
from signing.sources import Deadline

__all__ = ["HINT_NAME", "Audit", "MirrorReport", "Observer", "read_hint", "sync"]

HINT_NAME = "mirror.json"

_FORMAT = 1
_LONGEST_STATEMENT = 64 * 1024
_LONGEST_REPORT = 1 << 20
_BLOB_DEADLINE_S = 600.0
_LONGEST_HINT = 1 << 20
_LOCK_NAME = ".new-lock"
_LOOK_NAME = ".new-look"
_LOCK_S = 5.0


class Observer(Protocol):
    """Who is told how far a copy is."""

    def begin(self, what: str, total: int | None) -> None:
        """Start a stage of `total` steps."""

    def advance(self, steps: int = 1) -> None:
        """Say that steps are done."""

    def end(self) -> None:
        """Finish the stage."""


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

    def needed(self, files: Mapping[str, Digest], destination: Path) -> None:
        """Raise an error if some of these files can be had nowhere."""

    def named(self, files: Collection[str]) -> None:
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
    reporter: Observer | None = None,
) -> MirrorReport:
    """Make `destination` a verified copy of a repository; a new, an empty or an older copy.

    `cache` is the client's cache, `state` what this machine has accepted before. Raises the
    errors of `signing.client.refresh` and of `audit`, and MirrorError when the folder cannot be
    used.
    """
    source = DirectorySource(source) if isinstance(source, Path) else source
    _check_destination(source, destination)
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with hold(destination / _LOCK_NAME, _LOCK_S, "is writing this mirror"):
            return _sync(
                Counted(source), destination, Site(root, cache, state, now, build_time), selection,
                audit, reporter,
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
    reporter: Observer | None,
) -> MirrorReport:
    look = destination / _LOOK_NAME
    shutil.rmtree(look, ignore_errors=True)  # of a run that was killed
    try:
        _seed(site.of_repository / "metadata", look)
        found = _look(source, destination, look, site, selection)
        return _copy(source, destination, found, site, selection, audit, reporter)
    finally:
        shutil.rmtree(look, ignore_errors=True)


def _copy(
    source: Counted,
    destination: Path,
    found: _Look,
    site: Site,
    selection: Selection,
    audit: Audit | None,
    reporter: Observer | None,
) -> MirrorReport:
    refreshed, contents, files, here = found
    _check_hint(destination, refreshed)
    if audit:
        missing_here = {path: one for path, one in files.items() if one not in here}
        audit.needed(missing_here, destination)
    blobs = contents.blobs
    copy = _Copy(source, destination)
    if reporter:
        reporter.begin("copying the repository", len(blobs) + len(refreshed.artifacts))
    try:
        for digest, length in blobs.items():
            copy.blob(digest, length)
            if reporter:
                reporter.advance()
        reports = copy.reports(contents.statements)
        missing = sum(not copy.report(digest) for digest in reports)
        for artifact in refreshed.artifacts:
            copy.artifact(artifact, here.get(artifact.digest))
            if reporter:
                reporter.advance()
        if audit:
            audit.named({*files, *map(blob_path, reports), *(
                f"metadata/{name}" for name in refreshed.metadata)})  # fmt: skip
        for name in sorted(refreshed.metadata, key=lambda name: name == "timestamp.json"):
            write_atomically(destination / "metadata" / name, refreshed.metadata[name])
        hint = (
            json.dumps(_hint(refreshed, contents.releases, len(blobs), selection), indent=2) + "\n"
        )
        write_atomically(destination / HINT_NAME, hint.encode())
    finally:
        if reporter:
            reporter.end()
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
        missing_reports=missing,
    )


def _seed(metadata: Path, look: Path) -> None:
    """Let the look begin with what the client has accepted, so that nothing older passes."""
    for path in metadata.rglob("*.json"):
        target = look / metadata.parent.name / "metadata" / path.relative_to(metadata)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


class _Look(NamedTuple):
    """A repository's metadata and catalog, the files they name, and those that are here."""

    refreshed: Refreshed
    contents: Contents
    files: dict[str, Digest]
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
    with Catalog.open(refreshed.catalog, thorough=True) as catalog:
        contents = contents_of(catalog, selection)
    files = {blob_path(digest): digest for digest in contents.blobs}
    files |= {artifact.path: artifact.digest for artifact in refreshed.artifacts}
    brought = (refreshed.catalog, refreshed.publishers_file, refreshed.log)
    here = {file.digest: file.path for file in brought if file is not None}
    return _Look(refreshed, contents, files, here)


class _Copy:
    """Fetches what is missing or damaged in the destination, and counts."""

    def __init__(self, source: Source, destination: Path) -> None:
        self._source = source
        self._destination = destination
        self.fetched = self.kept = 0

    def keep(self, path: Path, digest: Digest) -> bool:
        """Tell whether the right file is there already."""
        try:
            right = self._is(path, digest)
        except FileNotFoundError:
            return False
        self.kept += right
        return right

    @staticmethod
    def _is(path: Path, digest: Digest) -> bool:
        return hash_file(path)[0] == digest

    def blob(self, digest: Digest, length: int | None) -> None:
        path = self._destination / blob_path(digest)
        if self.keep(path, digest):
            return
        if length is None:
            fetch_blob(self._source, digest, None, path, limit=_LONGEST_STATEMENT)
        else:
            self._in_steps(blob_path(digest), digest, length, path)
        self.fetched += 1

    def artifact(self, artifact: Artifact, here: Path | None) -> None:
        """Copy an artifact; `here` is where the client keeps the same bytes, if it does."""
        path = self._destination / artifact.path
        if self.keep(path, artifact.digest):
            return
        if artifact.name.startswith(DELTAS):
            fetch_artifact(self._source, artifact, path)  # small, and read already
        elif here is None:
            self._in_steps(artifact.path, artifact.digest, artifact.length, path)
        else:
            with here.open("rb") as before, replace_file(path) as stream:
                shutil.copyfileobj(before, stream, 1 << 20)
            if not self._is(path, artifact.digest):
                path.unlink()
                raise MirrorError(
                    f"{here}: changed while it was copied", hint="Run the same command again."
                )
        self.fetched += 1

    def _in_steps(self, name: str, digest: Digest, length: int, path: Path) -> None:
        fetch_in_steps(self._source, name, digest, length, path, Deadline(_BLOB_DEADLINE_S))

    def reports(self, statements: Iterable[Digest]) -> dict[Digest, None]:
        """Return the reports that reviewers' statements name, which are here by now."""
        named: dict[Digest, None] = {}
        for digest in statements:
            data = (self._destination / blob_path(digest)).read_bytes()
            with suppress(AttestationError):  # no client accepts a release by it
                named.update(dict.fromkeys(unverified_reports(data)))
        return named

    def report(self, digest: Digest) -> bool:
        """Copy a vetting report; tell whether the source has it."""
        path = self._destination / blob_path(digest)
        if self.keep(path, digest):
            return True
        try:
            fetch_blob(self._source, digest, None, path, limit=_LONGEST_REPORT)
        except MissingError:
            return False
        self.fetched += 1
        return True


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
    try:
        with (mirror / HINT_NAME).open("rb") as stream:
            value = json.loads(stream.read(_LONGEST_HINT))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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
