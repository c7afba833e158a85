"""Copying a repository tree, verified, so that the copy is a full repository itself.

Rules this module keeps:
- metadata is accepted by the client first; every artifact and blob is checked against its digest
  before it gets its name; what is there already is hashed again, and replaced if it is damaged;
- files only ever appear under new names; `timestamp.json` is switched last, by a rename: a killed
  copy leaves the old mirror or the new one, and the next run goes on where it stopped;
- the vetting reports that reviewers name go along, so that they can be read behind an air gap;
- a newer mirror is never overwritten by an older repository, and never by another one;
- `mirror.json` is a hint for people: nothing is believed because it stands there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from marketplace_db.catalog import Catalog
from marketplace_db.errors import MirrorError
from signing.client import (
    DirectorySource,
    Refreshed,
    Source,
    TrustState,
    fetch_artifact,
    fetch_blob,
    refresh,
)
from signing.digests import Digest, hash_file
from signing.errors import AttestationError, MissingError, VerificationError
from signing.files import write_atomically
from signing.reports import unverified_reports
from signing.roles import blob_path, format_time
from signing.sources import Deadline

__all__ = ["HINT_NAME", "MirrorReport", "Observer", "sync"]

HINT_NAME = "mirror.json"

_FORMAT = 1
_LONGEST_STATEMENT = 64 * 1024
_LONGEST_REPORT = 1 << 20
_BLOB_DEADLINE_S = 600.0


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
    """

    destination: Path
    refreshed: Refreshed
    releases: int
    fetched_files: int
    fetched_bytes: int
    kept_files: int
    missing_reports: int = 0


@dataclass(frozen=True, slots=True)
class _Blob:
    digest: Digest
    length: int | None


def sync(
    source: Source | Path,
    destination: Path,
    *,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
    reporter: Observer | None = None,
) -> MirrorReport:
    """Make `destination` a verified copy of a repository; a new, an empty or an older copy.

    `cache` is the client's cache, `state` what this machine has accepted before. Raises the
    errors of `signing.client.refresh`, and MirrorError when the folder cannot be used.
    """
    source = DirectorySource(source) if isinstance(source, Path) else source
    _check_destination(source, destination)
    refreshed = refresh(
        source,
        root=root,
        cache=cache,
        state=state,
        now=now,
        build_time=build_time,
        with_releases=True,
    )
    _check_hint(destination, refreshed)
    with Catalog.open(refreshed.catalog, thorough=True) as catalog:
        blobs, statements, releases = _blobs(catalog)
    copy = _Copy(source, destination)
    if reporter:
        reporter.begin("copying the repository", len(blobs) + len(refreshed.artifacts))
    try:
        for blob in blobs:
            copy.blob(blob)
            if reporter:
                reporter.advance()
        missing = sum(not copy.report(digest) for digest in copy.reports(statements))
        for artifact in refreshed.artifacts:
            path = destination / artifact.path
            if not copy.keep(path, artifact.digest):
                fetch_artifact(source, artifact, path)
                copy.count(artifact.length)
            if reporter:
                reporter.advance()
        for name in sorted(refreshed.metadata, key=lambda name: name == "timestamp.json"):
            write_atomically(destination / "metadata" / name, refreshed.metadata[name])
        hint = json.dumps(_hint(refreshed, releases, len(blobs)), indent=2) + "\n"
        write_atomically(destination / HINT_NAME, hint.encode())
    except OSError as error:
        raise MirrorError(
            f"{error.filename or destination}: cannot be written: {error.strerror or error}",
            hint="Free some space or choose another folder, then run the same command again.",
        ) from error
    finally:
        if reporter:
            reporter.end()
    return MirrorReport(
        destination=destination,
        refreshed=refreshed,
        releases=releases,
        fetched_files=copy.fetched,
        fetched_bytes=copy.bytes,
        kept_files=copy.kept,
        missing_reports=missing,
    )


class _Copy:
    """Fetches what is missing or damaged in the destination, and counts."""

    def __init__(self, source: Source, destination: Path) -> None:
        self._source = source
        self._destination = destination
        self.fetched = self.bytes = self.kept = 0

    def keep(self, path: Path, digest: Digest) -> bool:
        """Tell whether the right file is there already."""
        try:
            found, _ = hash_file(path)
        except FileNotFoundError:
            return False
        if found == digest:
            self.kept += 1
        return found == digest

    def count(self, length: int) -> None:
        self.fetched += 1
        self.bytes += length

    def blob(self, blob: _Blob) -> None:
        path = self._destination / blob_path(blob.digest)
        if self.keep(path, blob.digest):
            return
        if blob.length is not None:
            fetch_blob(self._source, blob.digest, blob.length, path)
            self.count(blob.length)
            return
        data = _read_statement(self._source, blob.digest)
        write_atomically(path, data)
        self.count(len(data))

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
        self.count(path.stat().st_size)
        return True


def _read_statement(source: Source, digest: Digest) -> bytes:
    """Read a blob whose length the catalog does not tell, which is always a small one."""
    name = blob_path(digest)
    data = b""
    for chunk in source.read(name, Deadline(_BLOB_DEADLINE_S)):
        data += chunk
        if len(data) > _LONGEST_STATEMENT:
            raise VerificationError(
                f"{name} from {source.name}: longer than {_LONGEST_STATEMENT} bytes"
            )
    if Digest.of(data) != digest:
        raise VerificationError(
            f"{name} from {source.name}: is not the file of that digest",
            hint="The source is damaged or hostile: use another one.",
        )
    return data


def _blobs(catalog: Catalog) -> tuple[list[_Blob], list[Digest], int]:
    """Return all blobs that the catalog names, those that reviewers signed, and its releases."""
    found: dict[Digest, int | None] = {}
    statements: dict[Digest, None] = {}
    releases = 0
    for release in catalog.releases():
        releases += 1
        found[release.package] = release.length
        found.setdefault(release.publisher_envelope, None)
        for envelope in release.reviewer_envelopes:
            found.setdefault(envelope, None)
            statements[envelope] = None
        for wheel in release.wheels:
            found[wheel.digest] = wheel.length
    blobs = [_Blob(digest, found[digest]) for digest in sorted(found)]
    return blobs, sorted(statements), releases


def _hint(refreshed: Refreshed, releases: int, blobs: int) -> dict[str, Any]:
    record = refreshed.record
    return {
        "format": _FORMAT,
        "kind": "full",
        "repository": record.repository,
        "development": record.development,
        "written": format_time(record.accepted_at),
        "issued": format_time(record.issued),
        "expires": format_time(record.expires),
        "root": record.root_version,
        "timestamp": record.floors["timestamp"].version,
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


def _check_hint(destination: Path, refreshed: Refreshed) -> None:
    """Keep a mirror from being replaced by an older or another repository by mistake."""
    try:
        hint = json.loads((destination / HINT_NAME).read_bytes())
        repository, timestamp = str(hint["repository"]), int(hint["timestamp"])
    except (OSError, ValueError, KeyError, TypeError):
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
