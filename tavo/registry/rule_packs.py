"""Packs of rules that a repository has signed: which there are, and one of them in a folder.

Rules this module keeps:
- a pack is a zip in canonical form, `releases/rules-<name>-<version>.zip`; the offline `releases`
  role signs it, as a scan that is told to find nothing is worth as much as one that lies;
- it holds data: what is in it is unpacked by its checked names, and nothing of it is run;
- a folder gets its name when all of it is there, and one that is there is never changed.

Units: bytes.
"""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

from marketplace_db.archive import ArchiveLimits, read_archive, write_canonical
from marketplace_db.package import read_bounded, write_new_file
from marketplace_db.sources import listed
from signing.client import Artifact, Source, fetch_artifact
from tavo.errors import InputError, UsageError

__all__ = ["RulePack", "build", "fetch", "file_name", "find", "known_packs"]

_NAME = re.compile(r"releases/rules-([a-z0-9]+(?:-[a-z0-9]+)*)-([0-9][^-]*)\.zip")
_PACK = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LIMITS = ArchiveLimits(archive_bytes=32 << 20, entries=20_000, total_bytes=128 << 20, ratio=200)


class RulePack(NamedTuple):
    """One version of a pack, as the `releases` role signed it."""

    name: str
    version: Version
    artifact: Artifact


def file_name(name: str, version: str) -> str:
    """Return what a pack is called in a repository. Raises UsageError."""
    try:
        normal = str(Version(version))
    except InvalidVersion:
        normal = ""
    if normal != version or "!" in version or "-" in version:
        raise UsageError(f"{version!r} is not a version in its normal form, such as 1.2.3")
    if not _PACK.fullmatch(name) or len(name) > 60:
        raise UsageError(
            f"{name!r} is no name of a pack",
            hint="Use a-z, 0-9 and single '-', such as team-rules.",
        )
    return f"rules-{name}-{version}.zip"


def build(folder: Path) -> bytes:
    """Return a folder of rules as a pack. Raises InputError, PackageError."""
    files: list[tuple[str, bytes]] = []
    left = _LIMITS.total_bytes
    try:
        for path in listed(folder):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise InputError(f"{path}: is a link or a device; a pack holds only files")
            content = read_bounded(path, left)
            left -= len(content)
            files.append((path.relative_to(folder).as_posix(), content))
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from error
    data = write_canonical(files)
    read_archive(data, label=str(folder), limits=_LIMITS, canonical=True)
    return data


def known_packs(artifacts: Iterable[Artifact]) -> tuple[RulePack, ...]:
    """Return the packs among the artifacts of the `releases` role, by name, the newest first."""
    found = []
    for artifact in artifacts:
        named = _NAME.fullmatch(artifact.name) if artifact.role == "releases" else None
        with suppress(InvalidVersion):
            if named:
                found.append(RulePack(named[1], Version(named[2]), artifact))
    found.sort(key=lambda pack: pack.version, reverse=True)
    return tuple(sorted(found, key=lambda pack: pack.name))


def find(packs: Iterable[RulePack], name: str, version: str | None, where: str) -> RulePack:
    """Return a pack, the newest one without a version. Raises InputError."""
    packs = tuple(packs)
    for pack in packs:
        if pack.name == name and version in (None, str(pack.version)):
            return pack
    known = ", ".join(f"{pack.name} {pack.version}" for pack in packs) or "none"
    raise InputError(
        f"{where} has no pack of rules {' '.join(filter(None, (name, version)))}",
        hint=f"There are: {known}.",
    )


def fetch(pack: RulePack, source: Source, into: Path) -> tuple[Path, bool]:
    """Unpack a pack into a new folder of `into`; return it, and whether it was not there before.

    Raises VerificationError, SourceError, PackageError, InputError.
    """
    place = into / f"{pack.name}-{pack.version}"
    if place.exists():
        return place, False
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=into) as made:
            file, fresh = Path(made) / "pack.zip", Path(made) / "pack"
            fetch_artifact(source, pack.artifact, file)
            archive = read_archive(
                read_bounded(file, _LIMITS.archive_bytes),
                label=pack.artifact.name, limits=_LIMITS, canonical=True,
            )  # fmt: skip
            fresh.mkdir()
            for entry in archive.entries:
                write_new_file(fresh, PurePosixPath(entry.name), archive.read(entry))
            shutil.move(fresh, place)
    except OSError as error:
        raise InputError(
            f"{error.filename or into}: cannot be written: {error.strerror or error}",
            hint="Name another folder with --to.",
        ) from error
    return place, True
