"""The files of installations: listed, compared, brought to the disk, deleted.

Rules this module keeps:
- a folder holds regular files with the listed digests and nothing else, or it was tampered with;
- no link is followed;
- a folder that a running scan uses is not deleted.

Units: lengths in bytes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from signing.digests import hash_file
from signing.files import flush_folders
from tavo.errors import RefusedError
from tavo.host.locks import hold, let_go

__all__ = [
    "TamperedError",
    "compare",
    "delete",
    "delete_unless_held",
    "find_programs",
    "inventory",
    "is_same",
    "make_lasting",
]

_DEPENDENCIES = "deps"


class TamperedError(RefusedError):
    """The files of an installation are not those that were installed."""


def inventory(folder: Path) -> dict[str, tuple[int, str]]:
    """Return path -> length and digest of all files; refuse everything that is not a file."""
    found: dict[str, tuple[int, str]] = {}
    for path, mode in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise TamperedError(f"{path}: is a link or a device")
        digest, length = hash_file(path)
        found[name] = (length, digest.hex)
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield every entry below a folder with its mode, without following a link."""
    pending = [folder]
    while pending:
        for entry in os.scandir(pending.pop()):
            mode = entry.stat(follow_symlinks=False).st_mode
            path = Path(entry.path)
            if stat.S_ISDIR(mode):
                pending.append(path)
            yield path, mode


def compare(folder: Path, files: Mapping[str, tuple[int, str]], *, label: str, hint: str) -> None:
    """Hash everything below a folder. Raises TamperedError for any difference from `files`."""
    seen: set[str] = set()
    folders = {parent for name in files for parent in _parents(name)}
    for path, mode in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if stat.S_ISDIR(mode):
            if name not in folders:
                raise TamperedError(f"{label}: {name} does not belong to it", hint=hint)
            continue
        expected = files.get(name)
        if expected is None:
            raise TamperedError(f"{label}: {name} does not belong to it", hint=hint)
        if not stat.S_ISREG(mode):
            raise TamperedError(f"{label}: {name} is not a regular file any more", hint=hint)
        digest, length = hash_file(path)
        if (length, digest.hex) != expected:
            raise TamperedError(f"{label}: {name} has been changed", hint=hint)
        seen.add(name)
    if missing := sorted(files.keys() - seen):
        raise TamperedError(f"{label}: {missing[0]} is missing", hint=hint)


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")
    for depth in range(1, len(parts)):
        yield "/".join(parts[:depth])


def is_same(folder: Path, files: Mapping[str, tuple[int, str]]) -> bool:
    """Tell whether a folder holds exactly these files."""
    try:
        return inventory(folder) == files
    except (OSError, TamperedError):
        return False


def make_lasting(folder: Path, programs: Collection[Path] = ()) -> None:
    """Make every file read-only and bring everything to the disk.

    `programs` are files below it that may be executed.
    """
    for path, mode in _walk(folder):
        if stat.S_ISDIR(mode):
            flush_folders([path])
            continue
        path.chmod(0o555 if path in programs else 0o444)
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    flush_folders([folder])


def find_programs(
    folder: Path, files: Iterable[str], programs: Iterable[str], *, label: str
) -> dict[str, Path]:
    """Return where each program of a plugin lies below the folder of its installation.

    `files` are the relative paths of its files. Raises RefusedError for a program that its wheels
    do not bring, or bring twice.
    """
    wanted = dict.fromkeys(programs, "")
    found: dict[str, Path] = {}
    for name in files if wanted else ():
        path = PurePosixPath(name)
        if path.parts[0] != _DEPENDENCIES or path.name not in wanted:
            continue
        if not _is_binary(folder / path):
            continue
        if path.name in found:
            raise RefusedError(
                f"{label}: its wheels bring two programs called {path.name}:"
                f" {found[path.name].relative_to(folder)} and {path}"
            )
        found[path.name] = folder / path
    if missing := sorted(wanted.keys() - found.keys()):
        raise RefusedError(
            f"{label}: plugin.yaml says that it brings the program {missing[0]}, and no wheel of"
            " its lock for this system holds a compiled file of that name",
            hint="Its author has to lock the wheel, or name the program as it is called there.",
        )
    return found


def _is_binary(path: Path) -> bool:
    from marketplace_db.package import is_binary

    with path.open("rb") as stream:
        return is_binary(stream.read(8))


def delete(folder: Path) -> None:
    """Delete a folder of ours; what resists is left for the next sweep."""

    def make_writable(_: object, path: str, __: object) -> None:
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
            Path(path).unlink()

    if folder.is_symlink() or not folder.is_dir():
        with contextlib.suppress(OSError):
            folder.unlink()
        return
    import shutil

    shutil.rmtree(folder, onerror=make_writable)


def delete_unless_held(folder: Path) -> None:
    """Delete a folder that no running scan uses."""
    try:
        handle = hold(folder, exclusive=True)
    except BlockingIOError:
        return  # a scan is running it; a later sweep finds it again
    except OSError:
        handle = -1  # not a folder of ours
    try:
        delete(folder)
    finally:
        let_go(handle)
