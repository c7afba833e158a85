"""The writing side of a repository: roles, publishing, rotation of keys.

Rules this module keeps:
- artifacts are written before the metadata that names them and `timestamp.json` last: a reader, or
  a killed publisher, sees the old repository or the new one (`signing.tree` writes each whole);
- only roles whose content changes are signed again, so a machine with the online keys alone can
  release a catalog, and cannot touch publishers, releases, targets or root;
- no key serves an offline and an online role.

The tree is described in `docs/security-model.md`; names come from `signing.roles`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signature  # type: ignore[attr-defined]
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    MetaFile,
    Snapshot,
    Timestamp,
)

from signing.ceremony import Ceremony, Change, issue
from signing.digests import Digest
from signing.errors import RepositoryError
from signing.founding import blank, first_ceremony
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.layout import keys_of, role_of
from signing.log import Log, append, entry_of, read_log, resign
from signing.roles import (
    ADVISORIES_NAME,
    CATALOG_NAME,
    DEFAULT_LIFE,
    DELEGATED_PATHS,
    DEVELOPMENT_FIELD,
    ENTITLEMENTS_NAME,
    LOG_NAME,
    LONGEST_LIFE,
    OFFLINE_ROLES,
    PUBLISHERS_NAME,
    REPOSITORY_FIELD,
    ROLES,
    ROOT_VERSION_FIELD,
    format_time,
)
from signing.tree import Tree

__all__ = ["Repository"]

_IDENTITY = re.compile(r"[0-9a-f]{32}")


class Repository:
    """A repository tree that this machine may write, as far as its keyring reaches."""

    def __init__(
        self,
        directory: Path,
        keyring: Keyring,
        metadata: Mapping[str, Metadata[Any]],
        life: Mapping[str, timedelta] | None = None,
    ) -> None:
        """Use `create` or `open`; `life` overrides how long new metadata of a role lives."""
        self.directory = directory
        self._tree = Tree(directory)
        self.keyring = keyring
        self._metadata = dict(metadata)
        self._life = {**DEFAULT_LIFE, **(life or {})}
        for role, span in self._life.items():
            if not timedelta(0) < span <= LONGEST_LIFE[role]:
                raise ValueError(f"{role} metadata lives at most {LONGEST_LIFE[role]}")

    # -- making and opening

    @classmethod
    def create(
        cls,
        directory: Path,
        keyring: Keyring,
        now: datetime,
        *,
        life: Mapping[str, timedelta] | None = None,
        identity: str | None = None,
        first_version: int = 1,
    ) -> Repository:
        """Make a repository with empty delegated roles in a folder that holds none yet.

        `identity` is the repository's id, 32 lower-case hexadecimal digits, drawn at random if
        not given. `first_version` is where the versions of all metadata but the root begin: a
        build that keeps no history takes its time, so that clients see versions that only rise.
        Raises RepositoryError if one is there, a threshold cannot be met, or an online key is
        also an offline key; ValueError for an id or a version of another form.
        """
        if identity is not None and not _IDENTITY.fullmatch(identity):
            raise ValueError(f"{identity!r} is not an id of 32 hexadecimal digits")
        if first_version < 1:
            raise ValueError(f"versions begin at 1, found {first_version}")
        public = {role: [key.public for key in keyring.of(role)] for role in ROLES}
        first = first_ceremony(
            public, now, identity=identity, development=keyring.development,
            first_version=first_version, life=life,
        )  # fmt: skip
        first.sign_all(key for role in OFFLINE_ROLES for key in keyring.of(role))
        return cls.found(directory, first, keyring, now, life=life)

    @classmethod
    def found(
        cls,
        directory: Path,
        first: Ceremony,
        keyring: Keyring,
        now: datetime,
        *,
        life: Mapping[str, timedelta] | None = None,
    ) -> Repository:
        """Make a repository out of its first ceremony, in a folder that holds none yet.

        The keyring holds the online keys. Raises RepositoryError if a repository is there, or
        signatures are missing.
        """
        Tree(directory).check_free()
        if set(first.metadata) != set(OFFLINE_ROLES) or first.metadata["root"].signed.version != 1:
            raise RepositoryError("this ceremony does not found a repository")
        before = first.metadata["publishers"].signed.version - 1
        repository = cls(directory, keyring, blank(before), life)
        repository.adopt(first, now)
        return repository

    @classmethod
    def open(
        cls,
        directory: Path,
        keyring: Keyring,
        *,
        life: Mapping[str, timedelta] | None = None,
    ) -> Repository:
        """Open a tree that was written here. It is trusted: verify foreign trees by the client.

        Raises RepositoryError if a file is missing or cannot be read.
        """
        return cls(directory, keyring, Tree(directory).read(), life)

    # -- facts

    @property
    def root_bytes(self) -> bytes:
        """Return the newest root metadata: what a client must be given to trust this tree."""
        return self._tree.metadata_path("root", self.version("root")).read_bytes()

    @property
    def identity(self) -> str:
        """Return the id that survives key rotations."""
        return str(self._metadata["root"].signed.unrecognized_fields[REPOSITORY_FIELD])

    def version(self, role: str) -> int:
        """Return the version of the role's newest metadata."""
        return int(self._metadata[role].signed.version)

    def published(self, name: str) -> Digest | None:
        """Return the digest of a published artifact such as `releases/tavo-1.0.pyz`, or None."""
        role = name.partition("/")[0]
        target = self._metadata[role].signed.targets.get(name) if role in DELEGATED_PATHS else None
        return None if target is None else Digest(target.hashes["sha256"])

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names of the published artifacts of a folder such as `catalog/deltas/`."""
        role = folder.partition("/")[0]
        return tuple(name for name in self._metadata[role].signed.targets
                     if name.startswith(folder))  # fmt: skip

    def expires(self, role: str) -> datetime:
        """Return until when the role's newest metadata is valid."""
        end: datetime = self._metadata[role].signed.expires
        return end if end.tzinfo else end.replace(tzinfo=UTC)

    @property
    def development(self) -> bool:
        """Tell whether the root says that it was made for development."""
        return bool(self._metadata["root"].signed.unrecognized_fields.get(DEVELOPMENT_FIELD))

    def artifact(self, name: str) -> Path | None:
        """Return where a published artifact lies, or None."""
        digest = self.published(name)
        return None if digest is None else self._tree.artifact_path(name, digest)

    def missing_keys(self, role: str) -> int:
        """Return how many keys are missing in the keyring to sign a role, 0 if none."""
        allowed = role_of(role, self._metadata)
        held = {key.public.key_id for key in self.keyring.of(role)} & set(allowed.keyids)
        return max(0, int(allowed.threshold) - len(held))

    # -- publishing

    def publish(
        self,
        *,
        catalog: Path | None = None,
        publishers: bytes | None = None,
        releases: Sequence[Path] = (),
        deltas: Sequence[Path] = (),
        advisories: Path | None = None,
        entitlements: bytes | None = None,
        log: bytes | None = None,
        without: Collection[str] = (),
        renew: Collection[str] = (),
        now: datetime,
    ) -> None:
        """Release artifacts; sign what changed, then snapshot and timestamp.

        `entitlements` are those that were taken back (`signing.entitlements.write_revoked`), `log`
        is that of the releases with this one in it (`with_release`).
        `without` are names that the catalog's role no longer lists, such as old deltas.

        `renew` names roles to sign again with a new expiry though nothing changed in them; with
        no argument but `now`, snapshot and timestamp are renewed. The root is renewed by a ceremony
        (`prepare`), as its next version is signed before what it signs. Raises RepositoryError for
        a role that cannot be renewed here, and if a needed key is not in the keyring; then nothing
        was published.
        """
        if wrong := sorted(set(renew) - {"targets", *DELEGATED_PATHS, "snapshot", "timestamp"}):
            raise RepositoryError(
                f"{wrong[0]}: cannot be renewed by publishing"
                + ("" if wrong[0] == "root" else ", it is no role"),
                hint="Renew the root with a ceremony: `tavo market renew root`."
                if wrong[0] == "root"
                else f"Roles are {', '.join(ROLES)}.",
            )
        if catalog is not None and log is None and self.published(LOG_NAME):
            raise RepositoryError(
                "a catalog is released without an entry in the log of releases: clients refuse it",
                hint="This is a defect of the caller: `Repository.with_release` makes the entry.",
            )
        changed = [role for role in ("targets", *DELEGATED_PATHS) if role in renew]
        files: list[tuple[str, str, Path | bytes]] = []
        if catalog is not None:
            files.append(("catalog", CATALOG_NAME, catalog))
        files.extend(("catalog", f"catalog/deltas/{path.name}", path) for path in deltas)
        if advisories is not None:
            files.append(("catalog", ADVISORIES_NAME, advisories))
        if entitlements is not None:
            files.append(("catalog", ENTITLEMENTS_NAME, entitlements))
        if log is not None:
            files.append(("catalog", LOG_NAME, log))
        if publishers is not None:
            files.append(("publishers", PUBLISHERS_NAME, publishers))
        files.extend(("releases", f"releases/{path.name}", path) for path in releases)
        changed.extend(role for role, _, _ in files if role not in changed)
        for role in (*changed, "snapshot", "timestamp"):
            self._signers(role)
        before = deepcopy(self._metadata)
        try:
            for name in without:
                self._metadata["catalog"].signed.targets.pop(name, None)
            for role, name, content in files:
                self._metadata[role].signed.targets[name] = self._tree.store_artifact(name, content)
            self._write(changed, now)
        except BaseException:
            self._metadata = before
            raise

    def add_blob(self, content: Path | bytes) -> Digest:
        """Store a file or bytes by digest, once; return the digest. Raises RepositoryError."""
        return self._tree.add_blob(content)

    def log(self) -> Log | None:
        """Return the log of releases, None where none was begun. Raises VerificationError."""
        path = self.artifact(LOG_NAME)
        return None if path is None else read_log(path.read_bytes(), str(path))

    def with_release(self, catalog: Digest, length: int, *, releases: int, now: datetime) -> bytes:
        """Return the log with the release of a catalog that is published next, signed.

        Raises RepositoryError if no key of the catalog's role is in the keyring.
        """
        log = self.log()
        entries = () if log is None else log.entries
        entry = entry_of(
            index=len(entries), catalog=catalog, length=length,
            publishers=self.published(PUBLISHERS_NAME), releases=releases, time=format_time(now),
            version=self.version("catalog") + 1,
        )  # fmt: skip
        return append(entries, entry, self.identity, self._signers("catalog")[0])

    # -- rotation

    def rotate_root(self, keyring: Keyring, now: datetime) -> None:
        """Change to the keys of another keyring, wherever they differ.

        The new root is signed by the old and by the new root keys; roles with new keys are
        signed again. The given keyring replaces this one. Raises RepositoryError if a threshold
        of old or new keys is missing, or an online key is also an offline key.
        """
        public = {role: [key.public for key in keyring.of(role)] for role in ROLES}
        ceremony = self.prepare(Change(keys=public, renew=("root",)), now)
        holders = (*self.keyring.of("root"), *(key for role in ROLES for key in keyring.of(role)))
        ceremony.sign_all(holders)
        before = self.keyring
        self.keyring = keyring
        try:
            self.adopt(ceremony, now)
        except BaseException:
            self.keyring = before
            raise

    def prepare(self, change: Change, now: datetime) -> Ceremony:
        """Prepare a change of the offline roles for those who hold their keys."""
        offline = {role: self._metadata[role] for role in OFFLINE_ROLES}
        known = None if change.publishers is None else self.artifact(PUBLISHERS_NAME)
        before = {} if known is None else {PUBLISHERS_NAME: known.read_bytes()}
        return Ceremony.prepare(offline, change, now, self._life, before)

    def adopt(self, ceremony: Ceremony, now: datetime) -> None:
        """Take over what the holders of the offline keys signed, and sign the online roles.

        Raises RepositoryError if it is for another repository or not for what is here now, if
        signatures are missing, or an online key is not in the keyring; then nothing changed.
        """
        self._check_fits(ceremony)
        before = deepcopy(self._metadata)
        try:
            catalog = self._catalog_keys()
            self._metadata |= {role: deepcopy(value) for role, value in ceremony.metadata.items()}
            online = ["catalog"] if self._catalog_keys() != catalog else []
            for role in (*online, "snapshot", "timestamp"):
                self._signers(role)
            if online and (path := self.artifact(LOG_NAME)) is not None:
                signed = resign(path.read_bytes(), self.identity, self._signers("catalog")[0])
                targets = self._metadata["catalog"].signed.targets
                targets[LOG_NAME] = self._tree.store_artifact(LOG_NAME, signed)
            for name, content in ceremony.artifacts.items():
                target = self._metadata[name.partition("/")[0]].signed.targets[name]
                if self._tree.store_artifact(name, content) != target:
                    raise RepositoryError(f"{name}: is another file than was signed")
            self._write(online, now, signed=tuple(ceremony.metadata))
        except BaseException:
            self._metadata = before
            raise

    # -- inside

    def _check_fits(self, ceremony: Ceremony) -> None:
        mine = self._metadata["root"].signed
        identity = mine.unrecognized_fields.get(REPOSITORY_FIELD)
        if identity is not None and identity != ceremony.identity:
            raise RepositoryError(
                f"the ceremony is for the repository {ceremony.identity[:12]}, this is"
                f" {identity[:12]}",
                hint="Name the ceremony that was prepared here.",
            )
        for role, value in ceremony.metadata.items():
            expected = self.version(role) + 1
            if value.signed.version != expected:
                raise RepositoryError(
                    f"{role}: the ceremony makes version {value.signed.version}, expected"
                    f" {expected}: something else was signed since it was prepared",
                    hint="Prepare the change again.",
                )
        base = {role: self._metadata[role] for role in OFFLINE_ROLES}
        for wanting in Ceremony(base, ceremony.metadata, {}).wanting():
            raise RepositoryError(
                f"{wanting.role}: {_count(wanting.needed)} must sign, {wanting.have} did",
                hint="Have another holder sign: "
                + ", ".join(key[:12] for key in wanting.keys)
                + ".",
            )

    def _catalog_keys(self) -> tuple[str, ...]:
        root, targets = self._metadata["root"].signed, self._metadata["targets"].signed
        return tuple(sorted(key.key_id for key in keys_of(root, targets).get("catalog", ())))

    def _signers(self, role: str) -> list[PrivateKey]:
        allowed = role_of(role, self._metadata)
        held = [key for key in self.keyring.of(role) if key.public.key_id in allowed.keyids]
        if len(held) < allowed.threshold:
            raise RepositoryError(
                f"{role}: {_count(int(allowed.threshold))} must sign, {len(held)} of them"
                " are in this keyring",
                hint=f"Sign on the machine that holds the {role} keys.",
            )
        return held

    def _write(self, changed: Sequence[str], now: datetime, *, signed: Sequence[str] = ()) -> None:
        """Sign what changed and write it, after what others `signed`, and before the rest."""
        snapshot: Snapshot = self._metadata["snapshot"].signed
        for role in (*signed, *changed):
            data = self._keep(role) if role in signed else self._sign(role, now)
            if role != "root":
                version = self._metadata[role].signed.version
                snapshot.meta[f"{role}.json"] = MetaFile.from_data(version, data, ["sha256"])
        data = self._sign("snapshot", now)
        timestamp: Timestamp = self._metadata["timestamp"].signed
        timestamp.snapshot_meta = MetaFile.from_data(snapshot.version, data, ["sha256"])
        timestamp.unrecognized_fields[ROOT_VERSION_FIELD] = self.version("root")
        self._tree.write_hint({
            "format": 1,
            "kind": "full",
            "repository": self.identity,
            "development": self.keyring.development,
            "written": format_time(now),
            "root": self.version("root"),
            "timestamp": self.version("timestamp") + 1,
        })  # fmt: skip
        self._sign("timestamp", now)

    def _sign(self, role: str, now: datetime) -> bytes:
        metadata = self._metadata[role]
        issue(metadata, now, self._life[role])
        payload = metadata.signed_bytes
        for key in self._signers(role):
            key_id = key.public.key_id
            metadata.signatures[key_id] = Signature(key_id, key.sign(payload).hex())
        return self._keep(role)

    def _keep(self, role: str) -> bytes:
        data: bytes = self._metadata[role].to_bytes()
        self._tree.write_metadata(role, self.version(role), data)
        return data


def _count(keys: int) -> str:
    return "1 key" if keys == 1 else f"{keys} keys"
