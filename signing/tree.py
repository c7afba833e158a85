"""The files of a repository as its publisher keeps them: metadata by version, artifacts by digest.

Rules this module keeps:
- every file is written whole or not at all; in which order is the business of `signing.repository`;
- an artifact that is there is not written again: its name says what it holds;
- the tree is the publisher's own: what is read from it here is not verified. Foreign trees are read
  by `signing.client`.

Units: sizes in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError as TufRepositoryError
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    Snapshot,
    TargetFile,
    Timestamp,
)

from signing.ceremony import measure
from signing.digests import Digest
from signing.errors import RepositoryError
from signing.files import replace_file, write_atomically
from signing.roles import artifact_path, blob_path

__all__ = ["Tree"]

_CHUNK = 1 << 20


class Tree:
    """The files below one folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def is_there(self) -> bool:
        """Tell whether a repository is in this folder."""
        return (self._directory / "metadata").exists()

    def check_free(self) -> None:
        """Make the folder. Raises RepositoryError if a repository is in it, or it cannot be had."""
        if self.is_there():
            raise RepositoryError(
                f"{self._directory}: a repository is already here",
                hint="Open it, or choose a new folder.",
            )
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RepositoryError(f"{self._directory}: cannot write: {error.strerror}") from error

    def read(self) -> dict[str, Metadata[Any]]:
        """Return the newest metadata of all roles.

        Raises RepositoryError if a file is missing or cannot be read.
        """
        folder = self._directory / "metadata"
        try:
            timestamp = Metadata[Timestamp].from_bytes((folder / "timestamp.json").read_bytes())
            version = timestamp.signed.snapshot_meta.version
            snapshot = Metadata[Snapshot].from_bytes(
                (folder / f"{version}.snapshot.json").read_bytes()
            )
            metadata: dict[str, Metadata[Any]] = {"timestamp": timestamp, "snapshot": snapshot}
            for name, meta in snapshot.signed.meta.items():
                path = folder / f"{meta.version}.{name}"
                metadata[name.removesuffix(".json")] = Metadata.from_bytes(path.read_bytes())
            newest = max(_root_versions(folder))
            metadata["root"] = Metadata.from_bytes((folder / f"{newest}.root.json").read_bytes())
        except (OSError, TufRepositoryError, ValueError) as error:
            raise RepositoryError(
                f"{self._directory}: not a complete repository: {error}",
                hint="Check the path, or restore the folder from a backup.",
            ) from error
        return metadata

    def metadata_path(self, role: str, version: int) -> Path:
        """Return where a version of a role's metadata lies; of the timestamp there is only one."""
        name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
        return self._directory / "metadata" / name

    def artifact_path(self, name: str, digest: Digest) -> Path:
        """Return where an artifact lies."""
        return self._directory / artifact_path(name, digest)

    def write_metadata(self, role: str, version: int, data: bytes) -> None:
        """Write a version of a role's metadata. Raises RepositoryError."""
        path = self.metadata_path(role, version)
        try:
            write_atomically(path, data)
        except OSError as error:
            raise RepositoryError(f"{path}: cannot write: {error.strerror}") from error

    def write_hint(self, hint: Mapping[str, Any]) -> None:
        """Write what tells a person, and a mirror, what is in this folder. Raises OSError."""
        data = json.dumps(hint, sort_keys=True, indent=1) + "\n"
        write_atomically(self._directory / "mirror.json", data.encode())

    def add_blob(self, content: Path | bytes) -> Digest:
        """Store a file or bytes by digest, once; return the digest. Raises RepositoryError."""
        digest, _ = measure(content)
        self._store(self._directory / blob_path(digest), content)
        return digest

    def store_artifact(self, name: str, content: Path | bytes) -> TargetFile:
        """Store an artifact; return what metadata says of it. Raises RepositoryError."""
        digest, length = measure(content)
        self._store(self.artifact_path(name, digest), content)
        return TargetFile(length, {"sha256": digest.hex}, name)

    def _store(self, destination: Path, content: Path | bytes) -> None:
        try:
            if destination.exists():
                return
            if isinstance(content, bytes):
                write_atomically(destination, content)
                return
            with content.open("rb") as source, replace_file(destination) as stream:
                while chunk := source.read(_CHUNK):
                    stream.write(chunk)
        except OSError as error:
            raise RepositoryError(f"{destination}: cannot write: {error.strerror}") from error


def _root_versions(folder: Path) -> list[int]:
    names = (path.name.split(".", 1)[0] for path in folder.glob("*.root.json"))
    return [int(name) for name in names if name.isdecimal()]
