"""requirements.lock: the wheels that a plugin needs, each by file name and SHA-256.

The format is a subset of pip's requirements file, so that pip can read it too. One line for each
distribution: a pinned version, the hash of each of its wheels, and behind `#` the file names of
the wheels in the same order:

    picklescan==1.0.5 --hash=sha256:2abb…d2fd  # picklescan-1.0.5-py3-none-any.whl

A line with one hash and no file name means the universal wheel, named as in this example. Lines
that are empty or start with `#` are skipped. Everything else (markers, ranges, addresses, options,
continued lines, source distributions) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from marketplace_db.errors import PackageError
from signing.digests import Digest

__all__ = ["LOCK_NAME", "LockedWheel", "parse_lock", "write_lock"]

LOCK_NAME = "requirements.lock"

_LARGEST = 256 * 1024
_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)==(?P<version>[0-9A-Za-z.!]{1,60})"
    r"(?P<hashes>(?: --hash=sha256:[0-9a-f]{64}){1,200})(?: {1,8}# (?P<files>\S+(?: \S+)*))?"
)
# a name of a file and of nothing else: it is joined to folders
_FILENAME = re.compile(r"[A-Za-z0-9_.!+-]{1,200}\.whl")


@dataclass(frozen=True, slots=True, order=True)
class LockedWheel:
    """One wheel of the lock. `name` is the distribution's name in normal form."""

    name: str
    version: str
    filename: str
    digest: Digest

    @property
    def is_pure(self) -> bool:
        """Tell whether the wheel's name promises that it holds no compiled code."""
        return self.filename.endswith("-none-any.whl")


def parse_lock(data: bytes) -> tuple[LockedWheel, ...]:
    """Read a lock. Raises PackageError with the line; the result is in the lock's order."""
    if len(data) > _LARGEST:
        raise PackageError(f"{LOCK_NAME}: is larger than {_LARGEST} bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise PackageError(f"{LOCK_NAME}: is not ASCII") from None
    wheels: list[LockedWheel] = []
    seen: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = list(_parse_line(line, number))
        if found[0].name in seen:
            raise PackageError(f"{LOCK_NAME}:{number}: {found[0].name} is locked twice")
        seen.add(found[0].name)
        wheels += found
    return tuple(wheels)


def write_lock(wheels: Iterable[LockedWheel]) -> bytes:
    """Write a lock in normal form: sorted, one line for each distribution."""
    lines: dict[tuple[str, str], list[LockedWheel]] = {}
    for wheel in sorted(wheels):
        lines.setdefault((wheel.name, wheel.version), []).append(wheel)
    text = ""
    for (name, version), group in lines.items():
        hashes = " ".join(f"--hash=sha256:{wheel.digest.hex}" for wheel in group)
        text += f"{name}=={version} {hashes}  # {' '.join(wheel.filename for wheel in group)}\n"
    return text.encode("ascii")


def _parse_line(line: str, number: int) -> Iterable[LockedWheel]:
    from packaging.utils import (
        InvalidWheelFilename,
        canonicalize_name,
        canonicalize_version,
        parse_wheel_filename,
    )

    where = f"{LOCK_NAME}:{number}"
    match = _LINE.fullmatch(line)
    if match is None:
        raise PackageError(
            f"{where}: expected 'name==version --hash=sha256:…  # name-version-….whl',"
            f" found {line[:120]!r}"
        )
    name, version = canonicalize_name(match["name"]), match["version"]
    hashes = match["hashes"].replace("--hash=sha256:", "").split()
    files = (match["files"] or "").split()
    if not files and len(hashes) == 1:
        files = [f"{name.replace('-', '_')}-{version}-py3-none-any.whl"]
    if len(files) != len(hashes):
        raise PackageError(
            f"{where}: {len(hashes)} hashes but {len(files)} file names; they must match in order"
        )
    if len(set(files)) != len(files) or len(set(hashes)) != len(hashes):
        raise PackageError(f"{where}: a file name or a hash is there twice")
    for filename, digest in zip(files, hashes, strict=True):
        try:
            if not _FILENAME.fullmatch(filename):
                raise InvalidWheelFilename(filename)
            wheel_name, wheel_version, _, _ = parse_wheel_filename(filename)
        except InvalidWheelFilename:
            raise PackageError(
                f"{where}: {filename!r} is not the name of a wheel",
                hint="Only wheels may be locked; build one where a project has only sources.",
            ) from None
        same_version = canonicalize_version(str(wheel_version)) == canonicalize_version(version)
        if wheel_name != name or not same_version:
            raise PackageError(f"{where}: {filename!r} is not a wheel of {name} {version}")
        yield LockedWheel(name, version, filename, Digest(digest))
