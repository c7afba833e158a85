"""Reading source distributions from strangers: bytes in, names and contents out, nothing on disk.

Rules this module keeps:
- the whole archive is judged before anything of it is used, with bounds on everything;
- only regular files below the one folder `NAME-VERSION/` are taken: devices, absolute names and
  names that some system would write elsewhere are refused, never repaired; a link to a file of the
  same archive is taken as a copy of it, and any other link is refused;
- nothing in it is run here; `tavo.kit.build` does that, in the sandbox.

Sources: the source distribution format and the `pyproject.toml` specification of the Python
packaging specifications. Sizes in bytes.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from marketplace_db.archive import ArchiveLimits, read_archive
from marketplace_db.errors import PackageError
from marketplace_db.package import read_bounded
from marketplace_db.paths import NameConflictError, PathSet, name_problem
from signing.digests import Digest

__all__ = ["SDIST_LIMITS", "BuildSystem", "Sdist", "read_sdist"]

SDIST_LIMITS = ArchiveLimits(
    archive_bytes=32 << 20, entries=5_000, total_bytes=128 << 20, ratio=1000
)

_LARGEST_TOML = 1 << 20
_BACKEND = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?")
_HINT = "Use another release of it, or ask its authors for a wheel."


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSystem:
    """The `build-system` table: what is needed, the backend's name, and folders of its own."""

    requires: tuple[str, ...]
    backend: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdist:
    """A source distribution that was read whole. `files` are without the folder on top."""

    filename: str
    name: str
    version: str
    digest: Digest
    files: tuple[tuple[str, bytes], ...]
    build_system: BuildSystem


def read_sdist(path: Path) -> Sdist:
    """Read and judge a `.tar.gz` or `.zip` of sources. Raises PackageError, OSError."""
    label = path.name
    name, version = _name_and_version(label)
    data = read_bounded(path, SDIST_LIMITS.archive_bytes)
    members = _zip_files(data, label) if label.endswith(".zip") else _tar_files(data, label)
    top = {member.partition("/")[0] for member in members}
    if len(top) != 1 or any("/" not in member for member in members):
        raise _refusal(label, "does not hold exactly one folder, which is called as it is")
    (folder,) = top
    if not _same(folder, name, version):
        raise _refusal(label, f"holds the folder {folder!r}, that of another distribution")
    files = {member.partition("/")[2]: content for member, content in members.items()}
    if "PKG-INFO" not in files:
        raise _refusal(label, "holds no PKG-INFO, so it is not a source distribution")
    return Sdist(
        filename=label,
        name=name,
        version=version,
        digest=Digest.of(data),
        files=tuple(sorted(files.items())),
        build_system=_build_system(files, label),
    )


def _name_and_version(label: str) -> tuple[str, str]:
    from packaging.utils import InvalidSdistFilename, parse_sdist_filename

    try:
        name, version = parse_sdist_filename(label)
    except InvalidSdistFilename:
        raise PackageError(
            f"{label}: is not the name of a source distribution",
            hint="It is called NAME-VERSION.tar.gz, as on its index.",
        ) from None
    return str(name), str(version)


def _same(folder: str, name: str, version: str) -> bool:
    from packaging.utils import canonicalize_name, canonicalize_version

    found, _, said = folder.rpartition("-")
    return canonicalize_name(found) == name and canonicalize_version(said) == (
        canonicalize_version(version)
    )


def _zip_files(data: bytes, label: str) -> dict[str, bytes]:
    archive = read_archive(data, label=label, limits=SDIST_LIMITS)
    return {entry.name: archive.read(entry) for entry in archive.entries}


def _tar_files(data: bytes, label: str) -> dict[str, bytes]:
    known = PathSet()
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflate(data, label)), mode="r:") as archive:
            for count, member in enumerate(archive, start=1):
                if count > SDIST_LIMITS.entries:
                    raise _refusal(label, f"holds more than {SDIST_LIMITS.entries} entries")
                name = member.name.rstrip("/") if member.isdir() else member.name
                _check_member(member, name, label)
                known.add(name, folder=member.isdir())
                if member.isdir():
                    continue
                if member.issym() or member.islnk():
                    place = posixpath.dirname(name) if member.issym() else ""
                    links[name] = posixpath.normpath(posixpath.join(place, member.linkname))
                    continue
                stream = archive.extractfile(member)
                content = b"" if stream is None else stream.read()
                if len(content) != member.size:
                    raise _refusal(label, f"{name!r} is cut off")
                files[name] = content
    except NameConflictError as error:
        raise _refusal(label, str(error)) from None
    except (tarfile.TarError, ValueError, RecursionError, OverflowError) as error:
        raise _refusal(label, f"is not a tar file, or is damaged: {error}") from error
    for name, target in links.items():
        if target not in files or target in links:
            raise _refusal(label, f"{name!r} is a link to {target!r}, which is no file in it")
        files[name] = files[target]
    if sum(map(len, files.values())) > SDIST_LIMITS.total_bytes:
        raise _refusal(label, f"unpacks to more than {SDIST_LIMITS.total_bytes} bytes")
    return files


def _check_member(member: tarfile.TarInfo, name: str, label: str) -> None:
    is_link = member.issym() or member.islnk()
    if member.sparse is not None or not (member.isdir() or member.isreg() or is_link):
        raise _refusal(label, f"{name!r} is not a regular file")
    if problem := name_problem(name):
        raise _refusal(label, f"the name {name!r} {problem}")


def _inflate(data: bytes, label: str) -> bytes:
    """Unpack one gzip stream that fills the file. Raises PackageError."""
    limit = SDIST_LIMITS.total_bytes
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise _refusal(label, f"is not a gzip file, or is damaged: {error}") from error
    if len(content) > limit:
        raise _refusal(label, f"unpacks to more than {limit} bytes")
    if not inflater.eof:
        raise _refusal(label, "is cut off")
    if inflater.unused_data:
        raise _refusal(label, "has data behind its end")
    return content


def _build_system(files: dict[str, bytes], label: str) -> BuildSystem:
    """Return what `pyproject.toml` asks for, or what a project without that table means."""
    legacy = BuildSystem(requires=("setuptools",), backend="setuptools.build_meta:__legacy__")
    data = files.get("pyproject.toml")
    if data is None:
        return legacy
    try:
        if len(data) > _LARGEST_TOML:
            raise ValueError(f"it is larger than {_LARGEST_TOML} bytes")
        document: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refusal(label, f"pyproject.toml cannot be read: {error}") from error
    table = document.get("build-system")
    if table is None:
        return legacy
    requires = _texts(table, "requires", label)
    path = _texts(table, "backend-path", label)
    for entry in path:
        if problem := None if entry == "." else name_problem(entry):
            raise _refusal(label, f"pyproject.toml: backend-path {entry!r} {problem}")
    backend = table.get("build-backend", legacy.backend)
    if not isinstance(backend, str) or not _BACKEND.fullmatch(backend):
        raise _refusal(label, f"pyproject.toml: build-backend {backend!r:.80} is no module")
    return BuildSystem(
        requires=requires, backend=backend, path=tuple(str(PurePosixPath(one)) for one in path)
    )


def _texts(table: Any, key: str, label: str) -> tuple[str, ...]:
    values = table.get(key, []) if isinstance(table, dict) else None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _refusal(label, f"pyproject.toml: build-system.{key} is not a list of texts")
    return tuple(values)


def _refusal(label: str, problem: str) -> PackageError:
    return PackageError(f"{label}: {problem}", hint=_HINT)
