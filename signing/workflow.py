"""One walk through a repository's metadata with python-tuf, and our own checks on top.

Rules this module keeps:
- python-tuf checks signatures, versions, hashes, lengths and expiry at the given reference time;
- on top of it: no gap in the chain of roots, no key that counts twice or serves offline and
  online, no artifact signed by another role than its own, no metadata that outlives its role;
- the walk runs in a scratch folder seeded from the cache: nothing is kept until all of it held;
- every foreign exception leaves as one of `signing.errors` (`signing.tuf_source`).

Of the reading modules these two alone import tuf (0.15 s): a refresh alone imports them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tuf.api.metadata import Metadata, Role, Root, Targets  # type: ignore[attr-defined]
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

from signing.digests import Digest
from signing.errors import SigningError, SourceError, VerificationError, printable
from signing.keys import PublicKey
from signing.roles import (
    DELEGATED_PATHS,
    DEVELOPMENT_FIELD,
    ISSUED_FIELD,
    OFFLINE_ROLES,
    ONLINE_ROLES,
    REPOSITORY_FIELD,
    ROOT_VERSION_FIELD,
    parse_time,
)
from signing.sources import Deadline, Source
from signing.trust import NO_GRACE, Floor, Period, check_period, stale_by
from signing.tuf_source import BASE, FOREIGN, SourceFetcher, translate

__all__ = ["Artifact", "Walk", "keep_metadata", "walk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that signed metadata names."""

    name: str
    digest: Digest
    length: int
    role: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Metadata that held. `files` are the exact bytes by the file's name in the repository."""

    repository: str
    development: bool
    floors: Mapping[str, Floor]
    periods: Mapping[str, Period]
    artifacts: Mapping[str, Artifact]
    files: Mapping[str, bytes]
    catalog_keys: tuple[PublicKey, ...]


def walk(
    source: Source,
    *,
    root: bytes,
    cache: Path,
    reference: Callable[[str], datetime],
    deadline: Deadline,
    with_releases: bool = False,
    grace: timedelta = NO_GRACE,
) -> Walk:
    """Verify the source's metadata from the trusted root on.

    `cache` holds metadata accepted earlier, possibly none. `reference` gives the time at which
    expiry is judged, for the fingerprint of the keys that may sign timestamps. `with_releases`
    walks the `releases` role too, which a full copy needs. `grace` is how long after its expiry
    metadata other than the root still counts; the caller judges what it used. Raises SigningError.
    """
    fetcher = SourceFetcher(source, deadline)
    with tempfile.TemporaryDirectory(prefix="tavo-metadata-") as name:
        scratch = Path(name)
        _seed(scratch, cache)
        updater: Updater | None = None
        moment: datetime | None = None
        try:
            updater = Updater(
                metadata_dir=str(scratch),
                metadata_base_url=f"{BASE}metadata/",
                fetcher=fetcher,
                config=UpdaterConfig(),
                bootstrap=root,
            )
            updater._load_root()
            # The steps of `Updater.refresh`: python-tuf has no public way to judge expiry at
            # another time than the system's, and ours depends on the newest root.
            trusted = updater._trusted_set
            moment = reference(_fingerprint(trusted.root.get_delegated_role("timestamp")))
            if grace:
                stale_by({"root": _aware(trusted.root.expires)}, moment, NO_GRACE, source.name)
            trusted.reference_time = moment - grace
            updater._load_timestamp()
            updater._load_snapshot()
            updater._load_targets("targets", "root")
            wanted = [role for role in DELEGATED_PATHS if role != "releases" or with_releases]
            for role in wanted:
                updater._load_targets(role, "targets")
            return _check(updater, source, scratch, root, wanted)
        except SigningError:
            raise
        except FOREIGN as error:
            raise translate(error, fetcher, updater, moment) from error
        except OSError as error:
            raise SourceError(
                f"{scratch}: cannot write metadata: {error.strerror}",
                hint="Make room in the folder for temporary files.",
            ) from error


def keep_metadata(walked: Walk, cache: Path) -> None:
    """Keep accepted metadata for the next walk, timestamp last. Raises OSError."""
    from signing.files import write_atomically

    for name in sorted(walked.files, key=lambda name: name == "timestamp.json"):
        version, _, rest = name.partition(".")
        if rest == "root.json":
            write_atomically(cache / "root_history" / name, walked.files[name])
        else:
            write_atomically(cache / (rest if version.isdecimal() else name), walked.files[name])


# -- our checks


def _check(
    updater: Updater, source: Source, scratch: Path, first: bytes, delegated: list[str]
) -> Walk:
    trusted = updater._trusted_set
    root: Root = trusted.root
    where = source.name
    identity, development = _check_root(Metadata[Root].from_bytes(first).signed, root, where)
    _check_gap(root.version, trusted.timestamp.unrecognized_fields, source)
    roles = _roles(root, trusted.targets, delegated, where)
    _check_separation(roles, where)
    if trusted.targets.targets:
        raise VerificationError(
            f"targets.json from {where}: names artifacts itself; expected delegations only"
        )
    names = ["root", "timestamp", "snapshot", "targets", *delegated]
    periods = {name: _period(trusted[name], name, where) for name in names}
    versions = {name: trusted[name].version for name in names}
    artifacts: dict[str, Artifact] = {}
    for role in delegated:
        for artifact in _artifacts(cast(Targets, trusted[role]), role, where):
            artifacts[artifact.name] = artifact
    files = {"timestamp.json": (scratch / "timestamp.json").read_bytes()}
    for name in ("snapshot", "targets", *delegated):
        files[f"{versions[name]}.{name}.json"] = (scratch / f"{name}.json").read_bytes()
    for version in range(Metadata[Root].from_bytes(first).signed.version, root.version + 1):
        name = f"{version}.root.json"
        files[name] = (scratch / "root_history" / name).read_bytes()
    return Walk(
        repository=identity,
        development=development,
        floors={name: Floor(versions[name], _fingerprint(roles[name])) for name in names},
        periods=periods,
        artifacts=artifacts,
        files=files,
        catalog_keys=_keys_of(trusted.targets, roles["catalog"]),
    )


def _check_root(first: Root, last: Root, where: str) -> tuple[str, bool]:
    facts = [
        (
            root.unrecognized_fields.get(REPOSITORY_FIELD),
            root.unrecognized_fields.get(DEVELOPMENT_FIELD, False) is not False,
        )
        for root in (first, last)
    ]
    if facts[0] != facts[1] or not isinstance(facts[0][0], str):
        raise VerificationError(
            f"{last.version}.root.json from {where}: the repository's id or its development mark "
            f"changed since version {first.version}",
            hint="Trust the new root explicitly if its operator confirms the change.",
        )
    return facts[0][0], facts[0][1]


def _check_gap(reached: int, timestamp: Mapping[str, Any], source: Source) -> None:
    said = timestamp.get(ROOT_VERSION_FIELD)
    if type(said) is not int:
        raise VerificationError(
            f"timestamp.json from {source.name}: does not say which root is the newest"
        )
    newest = max(said, *(source.root_versions() or ()), 0)
    if newest > reached:
        raise VerificationError(
            f"{reached + 1}.root.json is missing from {source.name}, but version {newest} exists: "
            "the chain of roots has a gap",
            hint="The mirror is incomplete: copy it again.",
        )


def _roles(root: Root, targets: Targets, delegated: list[str], where: str) -> dict[str, Role]:
    roles = {name: root.get_delegated_role(name) for name in root.roles}
    delegations = targets.delegations
    listed = (delegations.roles if delegations else None) or {}
    for name in DELEGATED_PATHS:
        role = listed.get(name)
        if role is None:
            raise VerificationError(f"targets.json from {where}: no delegation to {name}")
        paths = role.paths or []
        if (
            not role.terminating
            or not paths
            or any(not path.startswith(f"{name}/") for path in paths)
        ):
            raise VerificationError(
                f"targets.json from {where}: the delegation to {name} is not bound to {name}/"
            )
        roles[name] = role
    for delegator, names in ((root, list(root.roles)), (targets, list(DELEGATED_PATHS))):
        for name in names:
            for key_id in roles[name].keyids:
                key = delegator.get_key(key_id)
                try:
                    PublicKey.from_dict(key_id, key.to_dict())
                except ValueError as error:
                    raise VerificationError(
                        f"keys of {name} from {where}: {printable(error)}"
                    ) from error
    return roles


def _keys_of(targets: Targets, role: Role) -> tuple[PublicKey, ...]:
    return tuple(
        PublicKey.from_dict(key_id, targets.get_key(key_id).to_dict()) for key_id in role.keyids
    )


def _check_separation(roles: Mapping[str, Role], where: str) -> None:
    offline = {key for name in OFFLINE_ROLES for key in roles[name].keyids}
    for name in ONLINE_ROLES:
        both = offline & set(roles[name].keyids)
        if both:
            raise VerificationError(
                f"metadata from {where}: key {min(both):.12} serves {name}, which is online, "
                "and an offline role; expected separate keys"
            )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fingerprint(role: Role) -> str:
    form = json.dumps([sorted(role.keyids), role.threshold])
    return hashlib.sha256(form.encode()).hexdigest()[:32]


def _period(signed: Any, role: str, where: str) -> Period:
    file = f"{role}.json from {where}"
    try:
        issued = parse_time(signed.unrecognized_fields.get(ISSUED_FIELD))
    except ValueError as error:
        raise VerificationError(f"{file}: signed time of issue: {printable(error)}") from None
    period = Period(issued, signed.expires)
    check_period(period, role, file)
    return period


def _artifacts(targets: Targets, role: str, where: str) -> Iterator[Artifact]:
    for name, target in targets.targets.items():
        folder, _, file = name.rpartition("/")
        if not (folder == role or folder.startswith(f"{role}/")) or not _NAME.fullmatch(name):
            raise VerificationError(
                f"{role}.json from {where}: {name!r:.120} is not an artifact of this role"
            )
        try:
            digest = Digest(target.hashes["sha256"])
        except (KeyError, ValueError):
            raise VerificationError(
                f"{role}.json from {where}: no SHA-256 digest for {file!r:.80}"
            ) from None
        yield Artifact(
            name=name, digest=digest, length=target.length, role=role, version=targets.version
        )


_NAME = re.compile(r"[a-z]+(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)+")


def _seed(scratch: Path, cache: Path) -> None:
    try:
        for path in cache.glob("*.json"):
            if path.is_file() and not path.is_symlink():
                shutil.copyfile(path, scratch / path.name)
        for path in (cache / "root_history").glob("*.root.json"):
            (scratch / "root_history").mkdir(exist_ok=True)
            shutil.copyfile(path, scratch / "root_history" / path.name)
    except OSError as error:
        raise SourceError(f"{cache}: cannot read cached metadata: {error.strerror}") from error
