"""Unpacking a dependency's wheel: no installer, no scripts, every file against RECORD.

Rules this module keeps:
- the file's digest is checked before a byte of it is interpreted;
- RECORD and the archive name exactly the same files, each with a strong hash that holds;
- a wheel that wants more than files beside each other is refused: scripts, which start Python, and
  `.pth` files at its top, which would run code when Python starts (those in folders inside are read
  by nobody: `site` looks at the folder itself);
- of a `.data` folder, `purelib` and `platlib` go where an installer puts them, beside everything
  else; compiled programs stay where they are in the wheel, and nobody may execute them but the
  host of a plugin that names them: decision 81;
- a wheel whose name promises that it fits every system holds sources, and no compiled code;
- headers and data are checked like everything and left out: decision 70.

Source: the binary distribution format of the Python packaging specifications.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from pathlib import Path, PurePosixPath

from marketplace_db.archive import Archive, ArchiveLimits, Entry, read_archive
from marketplace_db.errors import PackageError
from marketplace_db.package import (
    PackagedFile,
    holds_compiled_code,
    is_binary,
    read_bounded,
    write_new_file,
)
from signing.digests import Digest

__all__ = ["WHEEL_LIMITS", "check_wheel", "check_wheel_bytes", "place", "unpack_wheel"]

WHEEL_LIMITS = ArchiveLimits(
    archive_bytes=256 << 20, entries=20_000, total_bytes=1 << 30, ratio=1000
)

_STRONG = ("sha256", "sha384", "sha512")
_LEFT_OUT = ("data", "headers")
_BESIDE = ("purelib", "platlib")
_PROGRAMS = "scripts"
_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")


def unpack_wheel(
    path: Path, digest: Digest, destination: Path, *, filename: str | None = None
) -> tuple[PackagedFile, ...]:
    """Check a wheel and write its files below `destination`; return what was written.

    `filename` is the wheel's name in the lock, where `path` is called otherwise (a blob). Several
    wheels may share one destination as long as no file is written twice. Everything is checked
    before the first file is written. Raises PackageError, OSError.
    """
    archive = check_wheel(path, digest, filename=filename)
    destination.mkdir(parents=True, exist_ok=True)
    written = []
    for entry in sorted(archive.entries, key=lambda item: item.name):
        where = place(entry.name)
        if where is None:
            continue
        content = archive.read(entry)
        write_new_file(destination, where, content)
        written.append(PackagedFile(where, len(content), Digest.of(content)))
    return tuple(written)


def check_wheel(path: Path, digest: Digest, *, filename: str | None = None) -> Archive:
    """Check a wheel as `unpack_wheel` does and write nothing. Raises PackageError, OSError."""
    label = filename or path.name
    data = read_bounded(path, WHEEL_LIMITS.archive_bytes)
    if (found := Digest.of(data)) != digest:
        raise PackageError(f"{label}: expected {digest}, found {found}")
    return check_wheel_bytes(data, label)


def check_wheel_bytes(data: bytes, label: str, *, is_tool: bool = False) -> Archive:
    """Check a wheel called `label`, whose digest is the caller's matter. Raises PackageError.

    A tool is for building other wheels: it may bring `.pth` files, which its user leaves out.
    """
    archive = read_archive(data, label=label, limits=WHEEL_LIMITS)
    entries = {entry.name: entry for entry in archive.entries}
    info = _info_folder(archive, entries, label, is_tool=is_tool)
    record = _read_record(archive, entries[f"{info}/RECORD"])
    listed = {name for name in entries if name not in {f"{info}/{n}" for n in _UNLISTED}}
    if missing := sorted(listed - record.keys()):
        raise PackageError(f"{label}: {missing[0]!r} is not in RECORD")
    if extra := sorted(record.keys() - entries.keys()):
        raise PackageError(f"{label}: RECORD names {extra[0]!r}, which is not in the wheel")
    pure = label.endswith("-none-any.whl")
    for name in sorted(listed):
        content = _check_file(archive, entries[name], record[name])
        if _part_of_data(name) == _PROGRAMS and not is_binary(content):
            raise PackageError(
                f"{label}: {name!r} is a script, which would be installed outside of its folder",
                hint="Wheels with scripts cannot be dependencies; with compiled programs they can.",
            )
        if pure and holds_compiled_code(name, content):
            raise PackageError(
                f"{label}: {name!r} is compiled code, but the wheel's name promises there is none",
                hint="Its maker names it for the systems that it fits; a plugin that uses it asks"
                " for the permission native_code.",
            )
    return archive


def _info_folder(archive: Archive, entries: dict[str, Entry], label: str, *, is_tool: bool) -> str:
    """Return the name of the .dist-info folder, after the checks that need only names."""
    from packaging.utils import (
        InvalidWheelFilename,
        canonicalize_name,
        canonicalize_version,
        parse_wheel_filename,
    )

    places: dict[PurePosixPath, str] = {}
    for name in entries:
        if _part_of_data(name) not in {"", _PROGRAMS, *_LEFT_OUT, *_BESIDE}:
            raise PackageError(
                f"{label}: {name!r} would be installed outside of its folder",
                hint="Wheels that want more than libraries and programs cannot be dependencies.",
            )
        path = place(name)
        if path is None:
            continue
        if places.setdefault(path, name) != name:
            raise PackageError(f"{label}: {places[path]!r} and {name!r} are the same file")
        if path.suffix.lower() == ".pth" and len(path.parts) == 1 and not is_tool:
            raise PackageError(f"{label}: {name!r} would run code when Python starts")
    folders = {name.partition("/")[0] for name in entries if ".dist-info/" in name}
    folders = {name for name in folders if name.endswith(".dist-info")}
    if len(folders) != 1:
        raise PackageError(f"{label}: expected one .dist-info folder, found {len(folders)}")
    info = folders.pop()
    for needed in ("RECORD", "WHEEL", "METADATA"):
        if f"{info}/{needed}" not in entries:
            raise PackageError(f"{label}: holds no {info}/{needed}")
    try:
        name, version, _, _ = parse_wheel_filename(label)
    except InvalidWheelFilename as error:
        raise PackageError(f"{label}: is not the name of a wheel: {error}") from None
    found_name, _, found_version = info.removesuffix(".dist-info").rpartition("-")
    same_version = canonicalize_version(found_version) == canonicalize_version(str(version))
    if canonicalize_name(found_name) != name or not same_version:
        raise PackageError(f"{label}: holds {info}, the folder of another distribution")
    header = archive.read(entries[f"{info}/WHEEL"]).decode("utf-8", "replace")
    if "Wheel-Version: 1." not in header:
        raise PackageError(f"{label}: is not of wheel version 1")
    return info


def _part_of_data(name: str) -> str:
    """Return the part of the `.data` folder that a file lies in; `.` for none of its parts."""
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return ""
    part, inside, _ = rest.partition("/")
    return part if inside else "."


def place(name: str) -> PurePosixPath | None:
    """Return where a file of a wheel goes; None for places that a dependency does not have."""
    part = _part_of_data(name)
    if part in _LEFT_OUT:
        return None
    return PurePosixPath(name.split("/", 2)[2] if part in _BESIDE else name)


def _read_record(archive: Archive, entry: Entry) -> dict[str, tuple[str, str]]:
    label = archive.label
    try:
        rows = list(csv.reader(io.StringIO(archive.read(entry).decode("utf-8")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PackageError(f"{label}: RECORD cannot be read: {error}") from None
    record: dict[str, tuple[str, str]] = {}
    for row in rows:
        if not row:
            continue
        if len(row) != 3:
            raise PackageError(f"{label}: RECORD has a row with {len(row)} columns, expected 3")
        if row[0] in record:
            raise PackageError(f"{label}: RECORD names {row[0]!r} twice")
        record[row[0]] = (row[1], row[2])
    return record


def _check_file(archive: Archive, entry: Entry, told: tuple[str, str]) -> bytes:
    """Compare a file with its row of RECORD; return what it holds."""
    algorithm, _, expected = told[0].partition("=")
    if algorithm not in _STRONG:
        raise PackageError(f"{archive.label}: RECORD has no strong hash for {entry.name!r}")
    content = archive.read(entry)
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest())
    if digest.rstrip(b"=").decode() != expected:
        raise PackageError(f"{archive.label}: {entry.name!r} does not match its hash in RECORD")
    if told[1] and told[1] != str(len(content)):
        raise PackageError(f"{archive.label}: {entry.name!r} does not have its length in RECORD")
    return content
