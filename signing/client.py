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

from signing.digests import _SEAL, Digest, VerifiedFile, hash_file
from signing.errors import (
    SigningError,
    SourceError,
    VerificationError,
)
from signing.files import flush_folders, replace_file
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
    ENTITLEMENTS_NAME,
    LOG_NAME,
    PUBLISHERS_NAME,
    artifact_path,
    blob_path,
)
from signing.sources import Deadline, DirectorySource, HttpSource, Source
from signing.trust import (
    FIRM_ROLES,
    NO_GRACE,
    Period,
    Stale,
    TrustState,
    check_floors,
    clock_sentence,
    reference_time,
    stale_by,
)

if TYPE_CHECKING:
    from signing.chain import Rebuild
    from signing.log import SeenLog
    from signing.workflow import Walk

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
_LONGEST_ENTITLEMENTS = 64 << 20
_NOTHING: Mapping[str, str] = MappingProxyType({})
_LOCK_S = 30.0


class Artifact(NamedTuple):
    """A file that signed metadata names; `path` is where it lies in the repository."""

    name: str
    path: str
    digest: Digest
    length: int
    role: str


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
            deltas, fallback = _shorten(
                source, artifacts, folder / "artifacts", apply_deltas, old_artifacts, deadline
            )
            files = {
                name: _bring(
                    source,
                    _named(artifacts, name, source),
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
            seen, news, log = _follow_log(
                source, artifacts, walked, record, state, folder / "artifacts", deadline,
                old_artifacts,
            )  # fmt: skip
            revoked = _revoked_entitlements(
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
    _check_file(record.catalog)
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


def fetch_blob(
    source: Source,
    digest: Digest,
    length: int | None,
    destination: Path,
    *,
    limit: int = 1 << 20,
    deadline_s: float = 600.0,
) -> None:
    """Fetch a blob that a verified catalog names; `destination` appears only if it is right.

    `length` is None where the catalog names the digest only, as for statements: then at most
    `limit` bytes are read. Raises VerificationError for another length or digest, SourceError for
    the rest.
    """
    deadline = Deadline(deadline_s)
    _fetch(source, blob_path(digest), digest, length, destination, deadline, limit=limit)


def fetch_artifact(
    source: Source, artifact: Artifact, destination: Path, *, deadline_s: float = 600.0
) -> None:
    """Fetch an artifact that a refresh has named; errors as `fetch_blob`."""
    deadline = Deadline(deadline_s)
    _fetch(source, artifact.path, artifact.digest, artifact.length, destination, deadline)


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


# -- inside


def _named(artifacts: Iterable[Artifact], name: str, source: Source) -> Artifact:
    for artifact in artifacts:
        if artifact.name == name:
            return artifact
    raise VerificationError(
        f"{source.name}: the signed metadata names no {name}",
        hint="This repository has not released anything yet.",
    )


def _revoked_entitlements(
    source: Source,
    artifacts: Iterable[Artifact],
    folder: Path,
    period: Period,
    deadline: Deadline,
    old: Sequence[Path],
) -> Mapping[str, str]:
    """Fetch and read what the `catalog` role takes back of entitlements, where it does."""
    named = next((one for one in artifacts if one.name == ENTITLEMENTS_NAME), None)
    if named is None:
        return _NOTHING
    from signing.entitlements import read_revoked  # few marketplaces need it

    file = _bring(source, named, folder, 0, period, _LONGEST_ENTITLEMENTS, deadline, old)
    return read_revoked(file.path.read_bytes())


def _follow_log(
    source: Source,
    artifacts: Iterable[Artifact],
    walked: Walk,
    record: AcceptedRecord,
    state: TrustState,
    folder: Path,
    deadline: Deadline,
    old: Sequence[Path],
) -> tuple[SeenLog | None, str, AcceptedFile | None]:
    """Fetch the log of releases, where there is one, and compare it with what was seen of it.

    What is embedded in a file of tavo has none, and says nothing about the one that is elsewhere.
    Return what is seen from now on, a line for the user, and the file.
    """
    named = next((one for one in artifacts if one.name == LOG_NAME), None)
    if named is None and (state.log is None or record.embedded):
        return state.log, "", None
    from signing.log import LONGEST_LOG, check_log  # a marketplace without a log needs none

    file = None
    if named is not None:
        _begin_log(named, folder, old)
        file = _bring(
            source, named, folder, walked.floors["catalog"].version, walked.periods["catalog"],
            LONGEST_LOG, deadline, old, in_steps=True,
        )  # fmt: skip
    seen, news = check_log(
        None if file is None else file.path.read_bytes(),
        state.log,
        repository=walked.repository,
        catalog=record.catalog.digest,
        signers=walked.catalog_keys,
        keys=walked.floors["catalog"].keys,
        where=source.name,
    )
    return seen, news, file


def _begin_log(named: Artifact, folder: Path, old: Sequence[Path]) -> None:
    """Let the fetch of a log go on behind the entries that are here: it only grows."""
    path = folder / f"{named.digest.hex}.{named.name.rpartition('/')[2]}"
    if path.exists():
        return
    known = [one for place in (*old, folder) for one in place.glob("*.releases.log")]
    longest = max(known, key=lambda one: one.stat().st_size, default=None)
    if longest is None:
        return
    entries = longest.read_bytes().partition(b"\n\n")[0] + b"\n"
    if len(entries) < named.length:
        folder.mkdir(parents=True, exist_ok=True)
        path.with_name(f".new-{named.digest.hex}.part").write_bytes(entries)


def _shorten(
    source: Source,
    artifacts: Iterable[Artifact],
    folder: Path,
    apply: Rebuild | None,
    old: Sequence[Path],
    deadline: Deadline,
) -> tuple[int, str]:
    """Make the catalog out of one that is here, if deltas lead to it; say how many, or why not."""
    catalog = _named(artifacts, CATALOG_NAME, source)
    wanted = folder / f"{catalog.digest.hex}.catalog.db"
    if apply is None or any((place / wanted.name).exists() for place in (*old, folder)):
        return 0, ""
    from signing.chain import DELTAS, Step, chain_to, rebuild  # an update alone needs them

    steps = (
        Step(item.name, item.path, item.digest, item.length)
        for item in artifacts
        if item.role == "catalog" and item.name.startswith(DELTAS)
    )
    here = [
        (Digest(path.name[:64]), path)
        for place in (*old, folder)
        for path in place.glob(f"{'[0-9a-f]' * 64}.catalog.db")
    ]
    chain = chain_to(catalog.digest, catalog.length, steps, here)
    if chain is None:
        return 0, ""
    try:
        rebuild(source, chain, catalog.digest, wanted, apply, deadline)
    except (SigningError, OSError) as error:
        return 0, str(error)
    return len(chain.steps), ""


def _bring(
    source: Source,
    artifact: Artifact,
    folder: Path,
    version: int,
    period: Period,
    limit: int,
    deadline: Deadline,
    old: Sequence[Path] = (),
    *,
    in_steps: bool = False,
) -> AcceptedFile:
    if artifact.length > limit:
        raise VerificationError(
            f"{artifact.name} from {source.name}: {artifact.length} bytes, at most {limit} allowed"
        )
    path = folder / f"{artifact.digest.hex}.{artifact.name.rpartition('/')[2]}"
    _take_over(path, old)
    file = AcceptedFile(
        path=path,
        name=artifact.name,
        digest=artifact.digest,
        length=artifact.length,
        role=artifact.role,
        version=version,
        period=period,
    )
    try:
        _check_file(file)
    except SigningError:
        wanted = (source, artifact.path, artifact.digest, artifact.length, path, deadline)
        if in_steps:
            from signing.partial import fetch_in_steps

            fetch_in_steps(*wanted)
        else:
            _fetch(*wanted)
    return file


def _take_over(path: Path, old: Sequence[Path]) -> None:
    """Copy a file of this name from another folder; whether it is right is seen after."""
    found = next((place / path.name for place in old if (place / path.name).is_file()), None)
    if found is None or path.exists():
        return
    with found.open("rb") as before, replace_file(path) as stream:
        while chunk := before.read(1 << 20):
            stream.write(chunk)


def _fetch(
    source: Source,
    path: str,
    digest: Digest,
    length: int | None,
    destination: Path,
    deadline: Deadline,
    *,
    limit: int = 0,
) -> None:
    import hashlib

    where = f"{path} from {source.name}"
    hint = "The mirror is damaged or hostile: copy it again, or use another one."
    hasher = hashlib.sha256()
    received = 0
    try:
        with replace_file(destination) as stream:
            for chunk in source.read(path, deadline):
                received += len(chunk)
                if received > (limit if length is None else length):
                    raise VerificationError(
                        f"{where}: longer than "
                        + (f"{limit} bytes" if length is None else f"the signed {length} bytes"),
                        hint=hint,
                    )
                hasher.update(chunk)
                stream.write(chunk)
            if length is not None and received != length:
                raise VerificationError(
                    f"{where}: {received} bytes, signed are {length}", hint=hint
                )
            if hasher.hexdigest() != digest.hex:
                raise VerificationError(
                    f"{where}: sha256 is {hasher.hexdigest()}, signed is {digest.hex}", hint=hint
                )
    except OSError as error:
        raise SourceError(
            f"{destination}: cannot write: {error.strerror or error}",
            hint="Check the free space and the permissions of this folder.",
        ) from error


def _check_file(file: AcceptedFile) -> None:
    try:
        digest, length = hash_file(file.path)
    except OSError as error:
        raise SourceError(
            f"{file.path}: cannot read: {error.strerror}", hint="Refresh from the mirror again."
        ) from error
    if (digest, length) != (file.digest, file.length):
        raise _changed(file.path)


def _read_publishers(record: AcceptedRecord) -> Publishers:
    file = record.publishers
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{file.path}: cannot read: {error.strerror}", hint="Refresh from the mirror again."
        ) from error
    if Digest.of(data) != file.digest:
        raise _changed(file.path)
    return Publishers.parse(data)


def _changed(path: Path) -> VerificationError:
    return VerificationError(
        f"{path}: changed since it was accepted",
        hint="Delete the file and refresh from the mirror again.",
    )


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
