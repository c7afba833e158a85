"""The canonical zip of one release: build it, inspect it, unpack it.

Rules this module keeps:
- what is inspected is in canonical form or refused; nothing is repaired;
- the bytes that were hashed are the bytes that are judged and unpacked: each step reads the file
  once, whole, and checks its digest again;
- a package holds what its manifest promises: the entry point's module, a lock for dependencies,
  README and LICENSE, and no compiled Python that a reviewer could not read;
- unpacking writes new files into a folder of its own, never through a link, never over a file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from marketplace_db.archive import Archive, ArchiveLimits, read_archive, write_canonical
from marketplace_db.errors import PackageError
from marketplace_db.lock import LOCK_NAME, LockedWheel, parse_lock
from marketplace_db.manifest import MANIFEST_NAME, Manifest, parse_manifest
from marketplace_db.sources import plugin_files
from signing.digests import Digest
from signing.files import write_atomically

__all__ = [
    "PACKAGE_LIMITS",
    "REQUIRED_FILES",
    "InspectedPackage",
    "PackagedFile",
    "build_package",
    "holds_compiled_code",
    "inspect_package",
    "is_binary",
    "read_bounded",
    "unpack_package",
    "write_new_file",
]

PACKAGE_LIMITS = ArchiveLimits(archive_bytes=32 << 20, entries=2000, total_bytes=64 << 20)

REQUIRED_FILES = {
    MANIFEST_NAME: "`tavo plugin init NAME` writes a complete plugin.",
    "README.md": "Say what the plugin finds and what it needs; the catalog shows it.",
    "LICENSE": "Add the text of the licence that plugin.yaml names.",
}
_COMPILED = (".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib")
# the first bytes of what a loader of Linux or macOS takes, whatever the file is called
_BINARIES = (
    b"\x7fELF",
    *(bytes.fromhex(m) for m in ("feedface", "feedfacf", "cefaedfe", "cffaedfe")),
)


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file of a package: its path inside, its length in bytes, its digest."""

    path: PurePosixPath
    length: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedPackage:
    """A package file that is in canonical form and keeps its manifest's promises.

    It says nothing about who made it: only `marketplace_db.acceptance` does.
    """

    path: Path
    digest: Digest
    length: int
    manifest: Manifest
    manifest_digest: Digest
    lock_digest: Digest | None
    files: tuple[PackagedFile, ...]
    locked: tuple[LockedWheel, ...]


def build_package(folder: Path, out: Path) -> Digest:
    """Pack a plugin's folder into a canonical zip at `out`, atomically; return its digest.

    What stays out says `marketplace_db.sources`. The same files give the same bytes. Raises
    ManifestError and PackageError, also for everything that an inspection would refuse.
    """
    data = write_canonical(plugin_files(folder, most_bytes=PACKAGE_LIMITS.total_bytes))
    _inspect(data, out)
    write_atomically(out, data)
    return Digest.of(data)


def inspect_package(path: Path) -> InspectedPackage:
    """Open a package and check everything about it that needs no keys and no catalog.

    Raises PackageError and ManifestError for what is refused, OSError for what cannot be read.
    """
    return _inspect(read_bounded(path, PACKAGE_LIMITS.archive_bytes), path)


def unpack_package(inspected: InspectedPackage, destination: Path) -> None:
    """Write the package's files below `destination`, an empty or missing folder.

    Raises PackageError when the file is no longer the one that was inspected, OSError.
    """
    data = read_bounded(inspected.path, PACKAGE_LIMITS.archive_bytes)
    if Digest.of(data) != inspected.digest:
        raise PackageError(
            f"{inspected.path.name}: is no longer the file that was inspected"
            f" (expected {inspected.digest.short}…)"
        )
    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        raise PackageError(f"{destination}: is not empty; a package is unpacked into a new folder")
    archive = _open(data, inspected.path.name)
    for entry in archive.entries:
        write_new_file(destination, PurePosixPath(entry.name), archive.read(entry))


def holds_compiled_code(name: str, content: bytes) -> bool:
    """Tell whether a file is code that nobody can read: by its name, or by what loaders look at.

    Python runs a file in `__pycache__` instead of the source beside it, and can be told in that
    file never to compare the two.
    """
    lower = name.lower()
    _, versioned, version = lower.rpartition(".so.")
    return (
        "__pycache__" in lower.split("/")
        or lower.endswith(_COMPILED)
        or (bool(versioned) and version.replace(".", "").isdigit())
        or is_binary(content)
    )


def is_binary(content: bytes) -> bool:
    """Tell whether this is the beginning of a library or a program of Linux or macOS."""
    return content.startswith(_BINARIES)


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a whole file of at most `limit` bytes. Raises PackageError, OSError."""
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise PackageError(f"{path.name}: is larger than {limit} bytes")
    return data


def write_new_file(root: Path, path: PurePosixPath, content: bytes) -> None:
    """Create a file below `root` with its folders; refuse links on the way and existing files.

    Raises PackageError.
    """
    folder = root
    for part in path.parts[:-1]:
        folder = folder / part
        try:
            folder.mkdir()
        except FileExistsError:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise PackageError(f"{folder}: is in the way of a folder") from None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(folder / path.name, flags | getattr(os, "O_BINARY", 0), 0o644)
    except FileExistsError:
        raise PackageError(f"{root / path}: is there already") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)


def _open(data: bytes, label: str) -> Archive:
    return read_archive(data, label=label, limits=PACKAGE_LIMITS, canonical=True)


def _inspect(data: bytes, path: Path) -> InspectedPackage:
    archive = _open(data, path.name)
    contents: dict[str, bytes] = {}
    files = []
    compiled: list[str] = []
    for entry in archive.entries:
        content = archive.read(entry)
        files.append(PackagedFile(PurePosixPath(entry.name), entry.size, Digest.of(content)))
        if holds_compiled_code(entry.name, content) or entry.name.lower().endswith(".pth"):
            compiled.append(entry.name)
        if entry.name in {MANIFEST_NAME, LOCK_NAME, "requirements.txt"}:
            contents[entry.name] = content
    names = {str(file.path) for file in files}
    for required, hint in REQUIRED_FILES.items():
        if required not in names:
            raise PackageError(f"{path.name}: holds no {required}", hint=hint)
    manifest = parse_manifest(contents[MANIFEST_NAME])
    module = manifest.entry_module.replace(".", "/")
    if not names & {f"{module}.py", f"{module}/__init__.py"}:
        raise PackageError(
            f"{path.name}: the entry point {manifest.entry_point!r} needs {module}.py,"
            " which is not in the package",
            hint="Name the module and class that exist, such as main:MyPlugin.",
        )
    for name in sorted(compiled):
        raise PackageError(f"{path.name}: {name!r} is compiled or start-up code; pack sources")
    locked = parse_lock(contents.get(LOCK_NAME, b""))
    _check_dependencies(manifest, locked, contents.get("requirements.txt"), path.name)
    return InspectedPackage(
        path=path,
        digest=Digest.of(data),
        length=len(data),
        manifest=manifest,
        manifest_digest=Digest.of(contents[MANIFEST_NAME]),
        lock_digest=Digest.of(contents[LOCK_NAME]) if LOCK_NAME in contents else None,
        files=tuple(files),
        locked=locked,
    )


def _check_dependencies(
    manifest: Manifest, locked: tuple[LockedWheel, ...], listed: bytes | None, label: str
) -> None:
    """Check that manifest, requirements.txt and lock tell the same story."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    versions = {wheel.name: wheel.version for wheel in locked}
    if locked and not manifest.dependencies:
        raise PackageError(f"{label}: {LOCK_NAME} locks wheels, but plugin.yaml needs none")
    for entry in manifest.dependencies:
        requirement = Requirement(entry)
        version = versions.get(canonicalize_name(requirement.name))
        if version is None:
            raise PackageError(
                f"{label}: the dependency {entry!r} is not in {LOCK_NAME}",
                hint="Lock every dependency with its hash.",
            )
        if not requirement.specifier.contains(version, prereleases=True):
            raise PackageError(f"{label}: {LOCK_NAME} has {version}, but {entry!r} is needed")
    if listed is not None:
        lines = {
            line.partition("#")[0].strip() for line in listed.decode("utf-8", "replace").split("\n")
        }
        if {line for line in lines if line} != set(manifest.dependencies):
            raise PackageError(
                f"{label}: requirements.txt and the dependencies in plugin.yaml differ"
            )
    if not manifest.permissions.native_code:
        for wheel in locked:
            if not wheel.is_pure:
                raise PackageError(
                    f"{label}: {wheel.filename} holds compiled code, but plugin.yaml does not ask"
                    " for the permission native_code"
                )
