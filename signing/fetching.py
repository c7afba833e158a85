"""How files come into the cache of the reading side: fetched, shortened, taken over.

Rules this module keeps:
- a file appears under its name only if its bytes have the length and digest that were signed;
- what is here already, or can be made out of what is here, is hashed like anything that was sent;
- what a file means, and whether it counts, is `signing.client`'s to say.

Units: seconds, bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from signing.digests import Digest, hash_file
from signing.errors import SigningError, SourceError, VerificationError
from signing.files import replace_file
from signing.record import AcceptedFile, AcceptedRecord
from signing.roles import CATALOG_NAME, ENTITLEMENTS_NAME, LOG_NAME, blob_path
from signing.sources import Deadline, Source
from signing.trust import Period, TrustState

if TYPE_CHECKING:
    from signing.chain import Rebuild
    from signing.log import SeenLog
    from signing.workflow import Walk

__all__ = [
    "Artifact",
    "bring",
    "changed",
    "check_file",
    "fetch_artifact",
    "fetch_blob",
    "follow_log",
    "named_artifact",
    "revoked_entitlements",
    "shorten",
]

_LONGEST_ENTITLEMENTS = 64 << 20
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Artifact(NamedTuple):
    """A file that signed metadata names; `path` is where it lies in the repository."""

    name: str
    path: str
    digest: Digest
    length: int
    role: str


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


def named_artifact(artifacts: Iterable[Artifact], name: str, source: Source) -> Artifact:
    """Return the artifact of this name. Raises VerificationError if there is none."""
    for artifact in artifacts:
        if artifact.name == name:
            return artifact
    raise VerificationError(
        f"{source.name}: the signed metadata names no {name}",
        hint="This repository has not released anything yet.",
    )


def revoked_entitlements(
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

    file = bring(source, named, folder, 0, period, _LONGEST_ENTITLEMENTS, deadline, old)
    return read_revoked(file.path.read_bytes())


def follow_log(
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
        file = bring(
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


def shorten(
    source: Source,
    artifacts: Iterable[Artifact],
    folder: Path,
    apply: Rebuild | None,
    old: Sequence[Path],
    deadline: Deadline,
) -> tuple[int, str]:
    """Make the catalog out of one that is here, if deltas lead to it; say how many, or why not."""
    catalog = named_artifact(artifacts, CATALOG_NAME, source)
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


def bring(
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
    """Return an artifact as a file in the folder, fetched if it is not there; `old` are others."""
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
        check_file(file)
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


def check_file(file: AcceptedFile) -> None:
    """Hash an accepted file again. Raises VerificationError if it changed, or SourceError."""
    try:
        digest, length = hash_file(file.path)
    except OSError as error:
        raise SourceError(
            f"{file.path}: cannot read: {error.strerror}", hint="Refresh from the mirror again."
        ) from error
    if (digest, length) != (file.digest, file.length):
        raise changed(file.path)


def changed(path: Path) -> VerificationError:
    """Return what is raised where an accepted file is not what was accepted."""
    return VerificationError(
        f"{path}: changed since it was accepted",
        hint="Delete the file and refresh from the mirror again.",
    )
