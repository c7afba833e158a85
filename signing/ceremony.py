"""A change of the offline roles that several people sign, each on a machine of their own.

A ceremony is a folder that travels: the metadata that is to be signed with the signatures that it
has so far, the artifacts that it names, and the metadata that it starts from. One machine prepares
it without any key, each holder adds signatures, the machine with the online keys takes it over.

Rules this module keeps:
- what is signed is fixed when the ceremony is prepared, its versions and dates too: all holders
  sign the same bytes;
- what a holder is shown is read from those bytes, never from a description beside them;
- a new root is signed by enough old root keys and by enough new ones (TUF, section 6.1);
- a ceremony counts only on top of the repository, and the versions, that it was prepared for;
- a folder from elsewhere is hostile: its files are bounded, its form is checked, nothing in it
  chooses a path.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signature  # type: ignore[attr-defined]
from tuf.api.exceptions import RepositoryError as TufRepositoryError
from tuf.api.metadata import Metadata, TargetFile  # type: ignore[attr-defined]

from signing.digests import Digest, hash_file
from signing.errors import RepositoryError, printable
from signing.files import write_atomically
from signing.keys import PrivateKey, PublicKey
from signing.layout import PublicKeys, apply_keys, check_keys, keys_of, role_of
from signing.publishers import Publishers
from signing.roles import (
    DEFAULT_LIFE,
    DELEGATED_PATHS,
    ISSUED_FIELD,
    OFFLINE_ROLES,
    PUBLISHERS_NAME,
    REPOSITORY_FIELD,
    format_time,
)

__all__ = ["Ceremony", "Change", "Wanting", "issue", "measure"]

FORMAT = 1
_NAME = "ceremony.json"
_LARGEST_METADATA = 5_000_000
_MOST_ARTIFACTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to become different.

    `publishers` is the new document, `releases` are files to release, `keys` the new keys of the
    roles that get others, `renew` names offline roles that are signed again as they are.
    """

    publishers: Publishers | None = None
    releases: Sequence[Path] = ()
    keys: PublicKeys = field(default_factory=dict)
    renew: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanting:
    """Signatures that are not there yet: `needed` of the `keys` must sign, `have` did."""

    role: str
    needed: int
    have: int
    keys: tuple[str, ...]


class Ceremony:
    """A prepared change. `metadata` are the roles that holders sign, by name."""

    def __init__(
        self,
        base: Mapping[str, Metadata[Any]],
        metadata: Mapping[str, Metadata[Any]],
        artifacts: Mapping[str, Path | bytes],
        before: Mapping[str, bytes] | None = None,
    ) -> None:
        """Use `prepare` or `read`; `artifacts` are by name: `publishers/publishers.json`.

        `before` are those that they replace, which holders compare them with.
        """
        self.before = dict(before or {})
        self.base = dict(base)
        self.metadata = dict(metadata)
        self.artifacts = dict(artifacts)

    @classmethod
    def prepare(
        cls,
        base: Mapping[str, Metadata[Any]],
        change: Change,
        now: datetime,
        life: Mapping[str, timedelta] = DEFAULT_LIFE,
        before: Mapping[str, bytes] | None = None,
    ) -> Ceremony:
        """Prepare a change of metadata, by role, that is left as it is.

        Raises RepositoryError for a change of nothing, for keys that no repository may have, and
        for files that cannot be read.
        """
        after = {role: deepcopy(value) for role, value in base.items()}
        changed = set(change.renew)
        if unknown := sorted(changed - set(OFFLINE_ROLES)):
            raise RepositoryError(f"{unknown[0]}: is not an offline role")
        if change.keys:
            root, targets = after["root"].signed, after["targets"].signed
            keys: PublicKeys = {**keys_of(root, targets), **change.keys}
            check_keys(keys)
            others = apply_keys(root, targets, keys)
            changed |= others & set(OFFLINE_ROLES)
            if others - set(DELEGATED_PATHS):
                changed.add("root")
            if others & set(DELEGATED_PATHS):
                changed.add("targets")
        artifacts: dict[str, Path | bytes] = {}
        if change.publishers is not None:
            artifacts[PUBLISHERS_NAME] = change.publishers.to_bytes()
        artifacts |= {f"releases/{path.name}": path for path in change.releases}
        for name, content in artifacts.items():
            role = name.partition("/")[0]
            digest, length = measure(content)
            after[role].signed.targets[name] = TargetFile(length, {"sha256": digest.hex}, name)
            changed.add(role)
        if not changed:
            raise RepositoryError("nothing is to be changed", hint="Name what is to be signed.")
        for role in changed:
            issue(after[role], now, life[role])
        signed: dict[str, Metadata[Any]] = {}
        signed |= {role: after[role] for role in OFFLINE_ROLES if role in changed}
        return cls(base, signed, artifacts, before)

    # -- the folder

    def write(self, directory: Path) -> None:
        """Write the folder, or bring it up to date with further signatures."""
        try:
            for name, content in self.artifacts.items():
                path = directory / "artifacts" / Path(name).name
                if not path.exists():
                    write_atomically(path, content if isinstance(content, bytes) else
                                     content.read_bytes())  # fmt: skip
            for name, data in self.before.items():
                write_atomically(directory / "before" / Path(name).name, data)
            for folder, group in (("base", self.base), ("sign", self.metadata)):
                for role, value in group.items():
                    if value.signed.version > 0:  # a first ceremony starts from nothing
                        write_atomically(directory / folder / f"{role}.json", value.to_bytes())
            head = {"format": FORMAT, "artifacts": sorted(self.artifacts)}
            write_atomically(directory / _NAME, (json.dumps(head, indent=1) + "\n").encode())
        except OSError as error:
            raise RepositoryError(f"{directory}: cannot write: {error.strerror}") from error

    @classmethod
    def read(cls, directory: Path) -> Ceremony:
        """Read a folder. Raises RepositoryError if it is not a ceremony of this format."""
        try:
            head = json.loads(_bounded(directory / _NAME))
            if head["format"] != FORMAT:
                raise ValueError(f"format {head['format']!r:.20}, expected {FORMAT}")
            base = _metadata_in(directory / "base")
            metadata = _metadata_in(directory / "sign")
            artifacts = _artifacts_of(directory / "artifacts", head["artifacts"], metadata)
            known = directory / "before" / Path(PUBLISHERS_NAME).name
            before = {PUBLISHERS_NAME: _bounded(known)} if known.exists() else {}
        except (OSError, TufRepositoryError, ValueError, TypeError, KeyError,
                AttributeError, RecursionError) as error:  # fmt: skip
            raise RepositoryError(
                f"{directory}: is not a complete ceremony: {printable(error)}",
                hint="Copy the whole folder again from where it was prepared.",
            ) from error
        if not metadata or not {"root", "targets"} <= set(base or metadata):
            raise RepositoryError(f"{directory}: is not a complete ceremony: metadata is missing")
        if odd := sorted(set(metadata) - set(OFFLINE_ROLES)):
            raise RepositoryError(f"{directory}: {odd[0]} is not an offline role")
        return cls(base, metadata, artifacts, before)

    # -- signing

    def signable(self, key: PublicKey) -> tuple[str, ...]:
        """Return the roles that this key may sign here."""
        return tuple(
            role
            for role in self.metadata
            if any(key.key_id in keys for _, keys in self._groups(role))
        )

    def sign(self, key: PrivateKey) -> tuple[str, ...]:
        """Add the key's signature wherever it is asked for; return the roles.

        Raises RepositoryError if the key is none of those that may sign.
        """
        roles = self.signable(key.public)
        if not roles:
            names = ", ".join(self.metadata)
            raise RepositoryError(
                f"key {key.public.key_id[:12]} is none of those that sign {names} here",
                hint="Take the key of the role: `tavo key show` prints a key's id.",
            )
        for role in roles:
            value = self.metadata[role]
            signature = key.sign(value.signed_bytes).hex()
            value.signatures[key.public.key_id] = Signature(key.public.key_id, signature)
        return roles

    def sign_all(self, keys: Iterable[PrivateKey]) -> None:
        """Add the signatures of those of the keys that may sign here."""
        for key in keys:
            if self.signable(key.public):
                self.sign(key)

    def wanting(self) -> tuple[Wanting, ...]:
        """Return what is still to be signed; forged and foreign signatures do not count."""
        missing = []
        for role, value in self.metadata.items():
            payload = value.signed_bytes
            for needed, keys in self._groups(role):
                signed = {
                    key_id
                    for key_id, key in keys.items()
                    if key_id in value.signatures
                    and key.verify(_raw(value.signatures[key_id]), payload)
                }
                if len(signed) < needed:
                    missing.append(
                        Wanting(role=role, needed=needed, have=len(signed), keys=tuple(keys))
                    )
        return tuple(missing)

    def _groups(self, role: str) -> list[tuple[int, dict[str, PublicKey]]]:
        """Return the sets of keys that must sign a role, each with how many of them."""
        after = {**self.base, **self.metadata}
        asked = [(after, role)]
        if role == "root" and "root" in self.base and self.base["root"].signed.version > 0:
            asked.append((self.base, role))
        groups: list[tuple[int, dict[str, PublicKey]]] = []
        for metadata, name in asked:
            keys = keys_of(metadata["root"].signed, metadata["targets"].signed)[name]
            group = (role_of(name, metadata).threshold, {key.key_id: key for key in keys})
            if group not in groups:
                groups.append(group)
        return groups

    # -- what it says

    @property
    def identity(self) -> str:
        """Return the id of the repository that it is for."""
        root = {**self.metadata, **self.base}["root"].signed
        return str(root.unrecognized_fields.get(REPOSITORY_FIELD, ""))

    def publishers(self) -> Publishers | None:
        """Return the publishers' document that is to be released, if there is one.

        Raises RepositoryError if it is not the one that is signed, VerificationError.
        """
        content = self.artifacts.get(PUBLISHERS_NAME)
        if content is None:
            return None
        data = content if isinstance(content, bytes) else content.read_bytes()
        target = self.metadata["publishers"].signed.targets[PUBLISHERS_NAME]
        if Digest.of(data).hex != target.hashes.get("sha256"):
            raise RepositoryError(f"{PUBLISHERS_NAME}: is another file than is signed")
        return Publishers.parse(data)

    def publishers_before(self) -> Publishers | None:
        """Return the document that is in force where this was prepared, if it came along."""
        content = self.before.get(PUBLISHERS_NAME)
        if content is None or "publishers" not in self.base:
            return None
        target = self.base["publishers"].signed.targets.get(PUBLISHERS_NAME)
        if target is None or Digest.of(content).hex != target.hashes.get("sha256"):
            raise RepositoryError(f"{PUBLISHERS_NAME}: is not the one that is in force")
        return Publishers.parse(content)

    def base_root(self) -> str:
        """Return the SHA-256 of the root that this starts from, empty for a first ceremony."""
        root = self.base.get("root")
        if root is None or root.signed.version < 1:
            return ""
        return Digest.of(root.to_bytes()).hex

    def new_keys(self) -> dict[str, tuple[tuple[PublicKey, ...], tuple[PublicKey, ...]]]:
        """Return the roles whose keys change, each with its keys before and after."""
        after = {**self.base, **self.metadata}
        now = keys_of(after["root"].signed, after["targets"].signed)
        before = keys_of(self.base["root"].signed, self.base["targets"].signed) if self.base else {}
        return {
            role: (before.get(role, ()), keys)
            for role, keys in now.items()
            if set(before.get(role, ())) != set(keys)
        }


def issue(metadata: Metadata[Any], now: datetime, life: timedelta) -> None:
    """Give metadata the next version, its time of issue and its end; no signature is left."""
    signed = metadata.signed
    issued = now.replace(microsecond=0)
    signed.version += 1
    signed.expires = issued + life
    signed.unrecognized_fields[ISSUED_FIELD] = format_time(issued)
    metadata.signatures.clear()


def _raw(signature: Signature) -> bytes:
    try:
        return bytes.fromhex(signature.signature)
    except ValueError:
        return b""


def measure(content: Path | bytes) -> tuple[Digest, int]:
    """Return digest and length of an artifact. Raises RepositoryError if it cannot be read."""
    if isinstance(content, bytes):
        return Digest.of(content), len(content)
    try:
        return hash_file(content)
    except OSError as error:
        raise RepositoryError(f"{content}: cannot read: {error.strerror}") from error


def _bounded(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(_LARGEST_METADATA + 1)
    if len(data) > _LARGEST_METADATA:
        raise ValueError(f"{path.name} is larger than {_LARGEST_METADATA} bytes")
    return data


def _metadata_in(folder: Path) -> dict[str, Metadata[Any]]:
    roles = ("root", "targets", *DELEGATED_PATHS)
    found: dict[str, Metadata[Any]] = {}
    for role in roles:
        if (folder / f"{role}.json").exists():
            value = Metadata.from_bytes(_bounded(folder / f"{role}.json"))
            if value.signed.type != ("root" if role == "root" else "targets"):
                raise ValueError(f"{role}.json holds {value.signed.type} metadata")
            found[role] = value
    return found


def _artifacts_of(
    folder: Path, names: object, metadata: Mapping[str, Metadata[Any]]
) -> dict[str, Path | bytes]:
    """Return the artifacts of a folder, which must be those that the metadata names."""
    if not isinstance(names, list) or len(names) > _MOST_ARTIFACTS:
        raise ValueError("the list of artifacts is not a list")
    found: dict[str, Path | bytes] = {}
    for name in names:
        role, _, file = str(name).partition("/")
        if role not in DELEGATED_PATHS or not file or Path(file).name != file:
            raise ValueError(f"{name!r} is not the name of an artifact")
        target = metadata[role].signed.targets[name]
        digest, length = hash_file(folder / file)
        if digest.hex != target.hashes.get("sha256") or length != target.length:
            raise ValueError(f"{file} is another file than the metadata names")
        found[name] = folder / file
    return found
