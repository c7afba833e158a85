"""Unpacking a dependency's wheel: no installer, no scripts, every file against RECORD.

Rules this module keeps:
- the file's digest is checked before a byte of it is interpreted;
- RECORD and the archive name exactly the same files, each with a strong hash that holds;
- a wheel that wants more than files beside each other is refused: `.data` folders (scripts,
  headers, data) and `.pth` files at its top, which would run code when Python starts (those in
  folders inside are read by nobody: `site` looks at the folder itself);
- a wheel whose name promises that it fits every system holds sources, and no compiled code;
- of a `.data` folder, headers and data are checked like everything and left out: decision 70.

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
    read_bounded,
    write_new_file,
)
from signing.digests import Digest

__all__ = ["WHEEL_LIMITS", "check_wheel", "check_wheel_bytes", "unpack_wheel"]

WHEEL_LIMITS = ArchiveLimits(
    archive_bytes=256 << 20, entries=20_000, total_bytes=1 << 30, ratio=1000
)

_STRONG = ("sha256", "sha384", "sha512")
_LEFT_OUT = ("data", "headers")
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
        if _is_left_out(entry.name):
            continue
        content = archive.read(entry)
        write_new_file(destination, PurePosixPath(entry.name), content)
        written.append(PackagedFile(PurePosixPath(entry.name), len(content), Digest.of(content)))
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

    for name in entries:
        top = name.partition("/")[0]
        if top.endswith(".data") and not _is_left_out(name):
            raise PackageError(
                f"{label}: {name!r} would be installed outside of its folder",
                hint="Wheels with scripts, or with code outside of its folder, cannot be"
                " dependencies.",
            )
        if name.lower().endswith(".pth") and "/" not in name and not is_tool:
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


def _is_left_out(name: str) -> bool:
    """Tell whether a file of a wheel is for places that a dependency does not have."""
    top, _, rest = name.partition("/")
    return top.endswith(".data") and rest.partition("/")[0] in _LEFT_OUT


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
