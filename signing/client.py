"""The reading side: refresh from a source, reopen what was accepted, fetch blobs.

Rules this module keeps:
- only here are `VerifiedFile`s made, and only after the bytes were hashed against signed metadata;
- a refresh holds a lock on its cache, has one deadline for everything, and keeps nothing unless
  all of it held;
- expiry is judged at the reference time of `signing.trust`; the embedded repository alone is
  judged at its build time, and gets the same full check otherwise;
- reopening hashes the files against the record again and never imports tuf;
- old files stay until `prune` is told which records are still in use.

Units: seconds, bytes, times UTC.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from signing.digests import _SEAL, Digest, VerifiedFile
from signing.errors import (
    SourceError,
)
from signing.fetching import (
    Artifact,
    bring,
    changed,
    check_file,
    fetch_artifact,
    fetch_blob,
    follow_log,
    named_artifact,
    revoked_entitlements,
    shorten,
)
from signing.files import flush_folders
from signing.keys import PublicKey
from signing.locks import hold
from signing.publishers import Publishers, Recalls
from signing.record import (
    AcceptedFile,
    AcceptedRecord,
    RootFacts,
    root_facts,
    root_fingerprint,
)
from signing.roles import (
    CATALOG_NAME,
    PUBLISHERS_NAME,
    artifact_path,
)
from signing.sources import Deadline, DirectorySource, HttpSource, Source
from signing.trust import (
    FIRM_ROLES,
    NO_GRACE,
    Stale,
    TrustState,
    check_floors,
    clock_sentence,
    reference_time,
    stale_by,
)

if TYPE_CHECKING:
    from signing.chain import Rebuild

__all__ = [
    "AcceptedRecord",
    "Artifact",
    "DirectorySource",
    "HttpSource",
    "Refreshed",
    "RootFacts",
    "Source",
    "TrustState",
    "fetch_artifact",
    "fetch_blob",
    "keys_of",
    "prune",
    "publishers_of",
    "recalls_of",
    "refresh",
    "reopen",
    "root_facts",
    "root_fingerprint",
    "stale_record",
]

_LONGEST_CATALOG = 2 << 30
_LONGEST_PUBLISHERS = 16 << 20
_NOTHING: Mapping[str, str] = MappingProxyType({})
_LOCK_S = 30.0


class Refreshed(NamedTuple):
    """The outcome of a refresh. Keep `record` and `state` together, in one transaction.

    `metadata` are the accepted metadata files by name, and `artifacts` all files they name: what
    a full copy of the repository consists of, besides the blobs. `notices` are lines that the
    user should see, such as the age of an embedded repository. `deltas` says how many of them
    brought the catalog, 0 if the whole file was fetched or nothing was new; `fallback` is why they
    did not, where they should have. `revoked_entitlements` maps the ids of those that the `catalog`
    role took back to reasons.
    """

    catalog: VerifiedFile
    publishers: Publishers
    publishers_file: VerifiedFile
    state: TrustState
    record: AcceptedRecord
    metadata: Mapping[str, bytes]
    artifacts: tuple[Artifact, ...]
    notices: tuple[str, ...] = ()
    deltas: int = 0
    fallback: str = ""
    revoked_entitlements: Mapping[str, str] = _NOTHING
    stale: Stale | None = None
    log: VerifiedFile | None = None
    log_news: str = ""
    catalog_keys: tuple[PublicKey, ...] = ()


def refresh(
    source: Source,
    *,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
    embedded: bool = False,
    with_releases: bool = False,
    apply_deltas: Rebuild | None = None,
    old_artifacts: Sequence[Path] = (),
    deadline_s: float = 600.0,
) -> Refreshed:
    """Verify a repository from the trusted root on and bring its catalog into the cache.

    `embedded` is for the repository inside the program only: its expiry is judged at
    `build_time`. `with_releases` verifies the `releases` role too. `apply_deltas` lets a catalog
    be made from the one that is in the cache, where that costs less than fetching it; what it makes
    counts only if it has the signed digest. `old_artifacts` are folders with what was fetched
    before: what is there is hashed like anything else, and not fetched again. `stale` of the result
    says that metadata had expired and counts only by the grace of `state`.

    Raises RollbackError, ExpiredError, other VerificationErrors, SourceError and BusyError; then
    nothing has changed.
    """
    facts = root_facts(root)

    def reference(timestamp_keys: str) -> datetime:
        if embedded:
            return build_time
        newest = state.issued_by(timestamp_keys)
        return reference_time(now=now, newest_issued=newest, build_time=build_time)

    deadline = Deadline(deadline_s)
    grace = NO_GRACE if embedded else state.grace
    folder = cache / facts.repository
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder / "lock", min(_LOCK_S, deadline.left()), "is refreshing this cache"):
            from signing.workflow import keep_metadata, walk

            walked = walk(
                source,
                root=root,
                cache=folder / "metadata",
                reference=reference,
                deadline=deadline,
                with_releases=with_releases,
                grace=grace,
            )
            stale = stale_by(
                {role: period.expires for role, period in walked.periods.items()},
                reference(walked.floors["timestamp"].keys),
                grace,
                source.name,
            )
            check_floors(state, walked.repository, walked.floors, source.name)
            artifacts = tuple(
                Artifact(
                    name=item.name,
                    path=artifact_path(item.name, item.digest),
                    digest=item.digest,
                    length=item.length,
                    role=item.role,
                )
                for item in walked.artifacts.values()
            )
            expires_role, first_expiry = min(
                walked.periods.items(), key=lambda item: item[1].expires
            )
            deltas, fallback = shorten(
                source, artifacts, folder / "artifacts", apply_deltas, old_artifacts, deadline
            )
            files = {
                name: bring(
                    source,
                    named_artifact(artifacts, name, source),
                    folder / "artifacts",
                    walked.floors[role].version,
                    walked.periods[role],
                    limit,
                    deadline,
                    old_artifacts,
                )
                for name, role, limit in (
                    (CATALOG_NAME, "catalog", _LONGEST_CATALOG),
                    (PUBLISHERS_NAME, "publishers", _LONGEST_PUBLISHERS),
                )
            }
            record = AcceptedRecord(
                repository=walked.repository,
                source=source.name,
                root_version=walked.floors["root"].version,
                floors=walked.floors,
                catalog=files[CATALOG_NAME],
                publishers=files[PUBLISHERS_NAME],
                issued=walked.periods["timestamp"].issued,
                expires=first_expiry.expires,
                expires_role=expires_role,
                accepted_at=now,
                build_time=build_time,
                embedded=embedded,
                development=walked.development,
                firm_expires=min(
                    period.expires for role, period in walked.periods.items() if role in FIRM_ROLES
                ),
            )
            publishers = _read_publishers(record)
            seen, news, log = follow_log(
                source, artifacts, walked, record, state, folder / "artifacts", deadline,
                old_artifacts,
            )  # fmt: skip
            revoked = revoked_entitlements(
                source,
                artifacts,
                folder / "artifacts",
                walked.periods["catalog"],
                deadline,
                old_artifacts,
            )
            keep_metadata(walked, folder / "metadata")
            # The caller records next what is here: it must not be gone after a power cut.
            kept = folder / "metadata"
            flush_folders([folder / "artifacts", kept / "root_history", kept, folder, cache])
    except OSError as error:
        raise SourceError(
            f"{folder}: cannot write the cache: {error.strerror or error}",
            hint="Check the free space and the permissions of this folder.",
        ) from error
    return Refreshed(
        catalog=_seal(record.catalog, record),
        publishers=publishers,
        publishers_file=_seal(record.publishers, record),
        state=state.advance(
            walked.repository, walked.floors, walked.periods["timestamp"], now=now, log=seen
        ),
        record=record,
        metadata=walked.files,
        artifacts=artifacts,
        notices=tuple(
            filter(None, (record.age_sentence(now), clock_sentence(record.issued, now), news))
        ),
        log_news=news,
        catalog_keys=walked.catalog_keys,
        deltas=deltas,
        fallback=fallback,
        revoked_entitlements=revoked,
        stale=stale,
        log=None if log is None else _seal(log, record),
    )


def reopen(
    record: AcceptedRecord,
    *,
    state: TrustState,
    now: datetime,
    build_time: datetime | None = None,
) -> tuple[VerifiedFile, Publishers]:
    """Hash the accepted files again and check expiry; return the catalog and the publishers.

    `stale_record` tells whether it counts only by the grace of `state`. Raises RollbackError if
    something newer was accepted since, ExpiredError, VerificationError if a file changed,
    SourceError if one cannot be read.
    """
    check_floors(state, record.repository, record.floors, f"the catalog from {record.source}")
    stale_record(record, state=state, now=now, build_time=build_time)
    check_file(record.catalog)
    return _seal(record.catalog, record), _read_publishers(record)


def stale_record(
    record: AcceptedRecord,
    *,
    state: TrustState,
    now: datetime,
    build_time: datetime | None = None,
) -> Stale | None:
    """Return what of an accepted catalog is used only by the site's grace, None if all holds.

    The embedded one is judged at its build time, and a record that does not know when its root
    expires has no grace. Raises ExpiredError.
    """
    if record.embedded:
        reference = record.build_time
    else:
        known = max(filter(None, (build_time, record.build_time)))
        reference = reference_time(now=now, newest_issued=state.newest_issued, build_time=known)
    periods = {record.expires_role: record.expires}
    if record.firm_expires is not None:
        periods.setdefault("root", record.firm_expires)
    firm = record.firm_expires is None or record.embedded
    grace = NO_GRACE if firm else state.grace
    return stale_by(periods, reference, grace, f"the catalog from {record.source}")


def recalls_of(record: AcceptedRecord) -> Recalls:
    """Return what the record's publishers document revokes, also after it has expired.

    Recalls only take away, so an old one still counts. Raises VerificationError or SourceError
    if the file changed or cannot be read.
    """
    return _read_publishers(record).recalls


def keys_of(record: AcceptedRecord) -> dict[str, frozenset[str]]:
    """Return the key ids of each namespace in the record's publishers document, expired or not.

    They tell whether a later document names the same hands, and verify nothing. Raises as
    `recalls_of`.
    """
    namespaces = _read_publishers(record).namespaces
    return {name: frozenset(namespace.keys) for name, namespace in namespaces.items()}


def publishers_of(record: AcceptedRecord) -> Publishers:
    """Return the record's publishers document, expired or not: for what is installed already.

    Raises as `recalls_of`.
    """
    return _read_publishers(record)


def prune(
    cache: Path, keep: Iterable[AcceptedRecord], *, repository: str = "*", older_than_s: float = 0
) -> None:
    """Delete cached artifacts that none of the records uses; files in use elsewhere stay.

    `repository` restricts it to one; what was made less than `older_than_s` ago stays, too.
    """
    used = {file.path for record in keep for file in (record.catalog, record.publishers)}
    latest = time.time() - older_than_s
    for path in cache.glob(f"{repository}/artifacts/*"):
        if path not in used:
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime <= latest:
                    path.unlink()


def _read_publishers(record: AcceptedRecord) -> Publishers:
    file = record.publishers
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{file.path}: cannot read: {error.strerror}", hint="Refresh from the mirror again."
        ) from error
    if Digest.of(data) != file.digest:
        raise changed(file.path)
    return Publishers.parse(data)


def _seal(file: AcceptedFile, record: AcceptedRecord) -> VerifiedFile:
    return VerifiedFile(
        _SEAL,
        path=file.path,
        name=file.name,
        digest=file.digest,
        length=file.length,
        role=file.role,
        version=file.version,
        issued=file.period.issued,
        expires=file.period.expires,
        development=record.development,
    )
