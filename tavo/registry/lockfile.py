"""tavo.lock: exactly which plugins a team uses, as a text file that is kept with the project.

Rules this module keeps:
- the same plugins give the same text: sorted, one form, no times, nothing of this machine; a change
  of one plugin changes its lines and the checksum;
- what is read is what tavo wrote, byte for byte, or it is refused: an edit, a merge or a cut is
  noticed before anything is installed;
- it names digests and proves nothing: each is compared with the signed catalog.

The format is TOML: `lock` (the version of the format), `repository`, `checksum` (SHA-256 of all
that follows it), and for each plugin `id`, `version`, `package` (SHA-256), `wanted` (the range that
was asked for; missing where others need it) and `wheels` (SHA-256 by name, for every system).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace_db.catalog import ReleaseRow
from signing.digests import Digest
from signing.files import write_atomically
from tavo.errors import InputError, RefusedError

__all__ = ["LOCK_FILE", "LockFile", "LockedPlugin", "read_lock", "write_lock_file"]

LOCK_FILE = "tavo.lock"
_FORMAT = 1
_LARGEST = 8 << 20
_HEAD = (
    "# Written by tavo. `tavo registry install -r tavo.lock` installs exactly this; to change it,\n"
    "# use `tavo registry lock`.\n"
)
_ID = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9-]{1,63}")
_AGAIN = "Write it again with `tavo registry lock`, or take it from your version control."


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPlugin:
    """One plugin of a lock file; `wanted` is None where it is only needed by others."""

    full_id: str
    version: str
    package: Digest
    wanted: str | None
    wheels: Mapping[str, Digest]

    @classmethod
    def of(cls, release: ReleaseRow, wanted: str | None) -> LockedPlugin:
        """Return a release of the catalog as it stands in a lock file."""
        return cls(
            full_id=release.full_id,
            version=release.version,
            package=release.package,
            wanted=wanted,
            wheels={wheel.filename: wheel.digest for wheel in release.wheels},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """What a lock file says; `name` is how messages call it."""

    name: str
    repository: str
    plugins: tuple[LockedPlugin, ...]


def write_lock_file(path: Path, repository: str, plugins: Iterable[LockedPlugin]) -> None:
    """Write a lock file, all of it or nothing. Raises InputError."""
    try:
        write_atomically(path, _text(repository, plugins).encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_lock(path: Path) -> LockFile:
    """Read a lock file.

    Raises InputError for what cannot be read or is of a newer tavo, RefusedError for what is not
    as tavo wrote it.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="Write it with `tavo registry lock`.",
        ) from error
    if len(data) > _LARGEST:
        raise InputError(f"{path}: is larger than {_LARGEST} bytes, so it is no lock file")
    try:
        text = data.decode().replace("\r\n", "\n")  # a checkout on Windows
        told = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RefusedError(f"{path}: is not a lock file of tavo: {error}", hint=_AGAIN) from error
    version = told.get("lock")
    if isinstance(version, int) and version > _FORMAT:
        raise InputError(
            f"{path}: is a lock file of a newer tavo (format {version}, this one reads {_FORMAT})",
            hint="Update tavo.",
        )
    try:
        if version != _FORMAT:
            raise ValueError(f"it names the format {version!r}")
        repository = str(told["repository"])
        plugins = tuple(_plugin(entry) for entry in told.get("plugin", ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RefusedError(f"{path}: is not a lock file of tavo: {error}", hint=_AGAIN) from error
    if _text(repository, plugins) != text:
        raise RefusedError(
            f"{path}: is not as tavo wrote it: it was edited, merged or cut", hint=_AGAIN
        )
    return LockFile(name=path.name, repository=repository, plugins=plugins)


def _plugin(entry: Any) -> LockedPlugin:
    full_id, wanted = entry["id"], entry.get("wanted")
    if not _ID.fullmatch(full_id) or not isinstance(entry["version"], str):
        raise ValueError(f"{full_id!r} is no plugin")
    return LockedPlugin(
        full_id=full_id,
        version=entry["version"],
        package=_digest(entry["package"]),
        wanted=None if wanted is None else str(wanted),
        wheels={str(name): _digest(value) for name, value in entry.get("wheels", {}).items()},
    )


def _digest(text: str) -> Digest:
    kind, _, value = text.partition(":")
    if kind != "sha256":
        raise ValueError(f"{text!r} is no digest like sha256:…")
    return Digest(value)


def _text(repository: str, plugins: Iterable[LockedPlugin]) -> str:
    body = ""
    for one in sorted(plugins, key=lambda one: (one.full_id, one.version)):
        body += f"\n[[plugin]]\nid = {_quoted(one.full_id)}\nversion = {_quoted(one.version)}\n"
        body += f'package = "sha256:{one.package.hex}"\n'
        if one.wanted is not None:
            body += f"wanted = {_quoted(one.wanted)}\n"
        if one.wheels:
            body += "[plugin.wheels]\n"
        for name, digest in sorted(one.wheels.items()):
            body += f'{_quoted(name)} = "sha256:{digest.hex}"\n'
    checksum = Digest.of(body.encode()).hex
    return (
        f"{_HEAD}lock = {_FORMAT}\nrepository = {_quoted(repository)}\n"
        f'checksum = "sha256:{checksum}"\n{body}'
    )


def _quoted(text: str) -> str:
    """Return a TOML basic string; what is quoted here are ids, versions, ranges and names."""
    if not text.isprintable() or not text.isascii():
        raise ValueError(f"{text!r} cannot stand in a lock file")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
