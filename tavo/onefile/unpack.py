"""The first run: native modules and data files out of the file into a folder of this user.

Rules this module keeps:
- a folder appears under its name only when it is complete: it is filled beside its place and
  renamed, so a process killed at any moment leaves nothing that is used;
- every file is hashed while it is written, so that a damaged download says so;
- one process unpacks, others wait for it; where locks do not work, the first rename wins;
- memory stays small: the archives are read, unpacked and written in pieces;
- builds that have not been the newest for a while are deleted, as are remains of killed runs.

Units: bytes, seconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from tavo.onefile.cache import VARIABLE, home_name, is_ours
from tavo.onefile.finder import FailedError, say

if TYPE_CHECKING:
    from tavo.onefile.finder import Finder

__all__ = [
    "FailedError", "cannot_load", "damaged", "unpack", "unpack_again", "unpack_for_this_run",
    "unpack_if_possible",
]  # fmt: skip

_KEPT = 4
_REMAINS = ".tavo-new-"
_OUR_REMAINS = re.compile(r"\.tavo-new-[a-z0-9_]{8}(-old)?")
_OUR_BUILD = re.compile(r"[0-9a-f]{20}-cp3[0-9]+")
_REMAINS_S = 600.0
_RUN_S = 86400.0
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_LOCK = ".lock"
_LOCK_S = 120.0
_PATIENCE_S = 1.0
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST)
_Wanted = dict[str, tuple[str, int, str]]
"""Name in the archive -> path, length and sha256 of the file to write."""


def unpack_if_possible(finder: Finder, place: str) -> str:
    """Unpack into a place; return the folder, empty if this user cannot have one there."""
    try:
        return unpack(finder, place)
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise _failed(place, error) from error
        return ""


def unpack_for_this_run(finder: Finder) -> str:
    """Unpack into a temporary folder that goes away with this process; return the folder."""
    import atexit

    prefix = f"tavo-run-{os.getuid() if hasattr(os, 'getuid') else 0}-"
    try:
        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(prefix) and _is_old(entry.path, _RUN_S):
                shutil.rmtree(entry.path, ignore_errors=True)
        own = tempfile.mkdtemp(prefix=prefix)
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        say(
            "tavo: no folder keeps the unpacked files, so they are unpacked for this run only."
            f" Set {VARIABLE} to a folder of your own."
        )
        return unpack(finder, own)
    except OSError as error:
        raise _failed(error.filename or "the temporary folder", error) from error


def unpack_again(finder: Finder, path: str) -> None:
    """Replace a folder from which `path` is missing, and keep who may read it."""
    home = finder.home
    place = os.path.dirname(home)
    try:
        with _lock(place):
            if os.path.exists(path):
                return  # another process was faster
            for_all = bool(os.stat(home).st_mode & 0o005)
            _fill(finder, place, home, for_all=for_all, instead=True)
    except OSError as error:
        raise _failed(place, error) from error


def unpack(finder: Finder, place: str, *, for_all: bool = False) -> str:
    """Unpack the build into `place`, a folder that is made if need be; return its folder there.

    `for_all` lets every user read it, for the image of a machine. Raises OSError if the place
    cannot be used.
    """
    mode = 0o755 if for_all else 0o700
    missing: list[str] = []
    while not os.path.isdir(place if not missing else os.path.dirname(missing[-1])):
        missing.append(place if not missing else os.path.dirname(missing[-1]))
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
            os.chmod(folder, mode)
    place = os.path.realpath(place)
    home = os.path.join(place, home_name(finder))
    if not is_ours(place):
        raise PermissionError(errno.EACCES, "others may write to this folder", place)
    with _lock(place) as alone:
        if not is_ours(home):
            _clear(place, home, alone=alone)
            _fill(finder, place, home, for_all=for_all)
    return home


def _fill(
    finder: Finder, place: str, home: str, *, for_all: bool = False, instead: bool = False
) -> None:
    """Unpack beside the home and rename; `instead` of one that is there."""
    staged = tempfile.mkdtemp(prefix=_REMAINS, dir=place)
    aside = f"{staged}-old"
    try:
        progress = _Progress(place)
        for member, wanted in _archives(finder):
            _extract(finder, member, wanted, staged, progress, for_all=for_all)
        progress.end()
        if for_all:
            os.chmod(staged, 0o755)  # noqa: S103  (that is what was asked for)
        if instead:
            os.rename(home, aside)
        try:
            os.rename(staged, home)
        except OSError:
            if not is_ours(home):
                raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _archives(finder: Finder) -> Iterator[tuple[str, _Wanted]]:
    """Yield the archives that this machine needs, with what to take from each."""
    from tavo.onefile.finder import platform

    here = platform()
    if here not in finder.index["natives"]:
        raise foreign(finder)
    archives = finder.index["archives"]  # by the first folder of a path; "": all others
    data: dict[str, _Wanted] = {member: {} for member in archives.values()}
    for files in finder.index["data"].values():
        for path, size, digest in files:
            member = archives.get(path.partition("/")[0], archives[""])
            data[member][path] = (path, size, digest)
    yield from data.items()
    natives = {path: (size, digest) for path, size, digest in finder.natives.values()}
    for files in finder.libraries.values():
        natives.update({path: (size, digest) for path, size, digest in files})
    if natives:
        stored = finder.index["stored"].get(here, {})
        yield (
            f"native-{here}.tar.xz",
            {stored.get(path, path): (path, *facts) for path, facts in natives.items()},
        )


def _extract(
    finder: Finder,
    member: str,
    wanted: _Wanted,
    folder: str,
    progress: _Progress,
    *,
    for_all: bool,
) -> None:
    import tarfile

    missing = dict(wanted)
    try:
        with tarfile.open(
            fileobj=cast("BinaryIO", _Stream(finder, member)), mode="r|xz"
        ) as archive:
            for info in archive:
                if info.name not in missing:
                    continue
                path, size, digest = missing.pop(info.name)
                source = archive.extractfile(info)
                if source is None or info.size != size:
                    raise damaged(finder, info.name)
                whole = os.path.join(folder, *path.split("/"))
                _make_folders(folder, path, 0o755 if for_all else 0o700)
                _write(source, whole, digest, finder, progress)
                if for_all:
                    os.chmod(whole, 0o644)
                if not missing:
                    break
    except (tarfile.TarError, EOFError, ImportError) as error:
        if isinstance(error, ImportError) or "lzma" in str(error):
            raise FailedError(
                f"{sys.executable} was built without the module lzma, which unpacking needs",
                "Use another Python, or build this one with liblzma (Debian: liblzma-dev).",
            ) from error
        raise damaged(finder, member) from error
    if missing:
        raise damaged(finder, next(iter(missing)))


def _write(source: IO[bytes], path: str, digest: str, finder: Finder, progress: _Progress) -> None:
    from hashlib import sha256

    hasher = sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with open(handle, "wb") as stream:
        while piece := source.read(1 << 18):
            hasher.update(piece)
            stream.write(piece)
            progress.add(len(piece))
    if hasher.hexdigest() != digest:
        raise damaged(finder, path)


def _make_folders(folder: str, relative: str, mode: int) -> None:
    for name in relative.split("/")[:-1]:
        folder = os.path.join(folder, name)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
            os.chmod(folder, mode)  # whatever the umask is


class _Stream:
    """A member of the file as tarfile wants to read it: forward only."""

    def __init__(self, finder: Finder, member: str) -> None:
        self._pieces = finder.member(member)
        self._left = b""

    def read(self, size: int) -> bytes:
        while len(self._left) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._left += piece
        taken, self._left = self._left[:size], self._left[size:]
        return taken


class _Progress:
    """One line on a terminal, if it takes longer than people wait without a word."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._start = time.monotonic()
        self._size = 0
        self._shown = 0.0
        self._terminal = sys.stderr is not None and sys.stderr.isatty()

    def add(self, size: int) -> None:
        self._size += size
        now = time.monotonic()
        if self._terminal and now - self._start > _PATIENCE_S and now - self._shown > 0.1:
            self._shown = now
            sys.stderr.write(
                f"\rtavo: first run: unpacking {self._size / 1e6:.0f} MB into {self._place}"
            )
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _clear(place: str, home: str, *, alone: bool) -> None:
    """Delete remains of killed runs, what blocks our place, and all but the newest builds.

    The folder may hold other things of its owner: only names that are surely ours are touched.
    """
    old = []
    for entry in os.scandir(place):
        remains = _OUR_REMAINS.fullmatch(entry.name) and (alone or _is_old(entry.path, _REMAINS_S))
        if entry.path == home or remains:
            shutil.rmtree(entry.path, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
        elif _OUR_BUILD.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            old.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
    for _, path in sorted(old, reverse=True)[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _is_old(path: str, seconds: float) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return ours and time.time() - status.st_mtime > seconds


@contextlib.contextmanager
def _lock(place: str) -> Iterator[bool]:
    """Hold the place for this process; the system releases it if the process dies.

    Yields whether nobody else has it: False where locks do not work, or after a long wait.
    """
    handle = os.open(os.path.join(place, _LOCK), os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
    try:
        end = time.monotonic() + _LOCK_S
        while (alone := _try_lock(handle)) is None and time.monotonic() < end:
            time.sleep(0.02)
        yield bool(alone)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool | None:
    """Take the lock; None while another process has it, False where locks do not work at all."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return None
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def foreign(finder: Finder) -> FailedError:
    """Return what to say on a system whose native modules are not in the file."""
    from tavo.onefile.finder import platform

    known = ", ".join(sorted(finder.index["natives"]))
    return FailedError(
        f"this file holds no native modules for {platform()}; it has {known}",
        "Get the file for your system, or `pip install` tavo from its sources.",
    )


def cannot_load(path: str, error: ImportError) -> FailedError:
    """Return what to say when the system does not load a native module that is as it should be."""
    return FailedError(
        f"{path}: the system does not load it: {error}",
        f"If its folder is mounted noexec, set {VARIABLE} to one that is not; Linux needs glibc"
        " 2.28 or newer.",
    )


def damaged(finder: Finder, name: str) -> FailedError:
    return FailedError(
        f"{finder.archive}: damaged at {name}", "Download the file again and compare its sha256."
    )


def _failed(place: str, error: OSError) -> FailedError:
    return FailedError(
        f"{error.filename or place}: cannot unpack here: {error.strerror or error}",
        f"Free some space (about 40 MB), or set {VARIABLE} to another folder of your own.",
    )
