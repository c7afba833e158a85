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
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from tavo.onefile.cache import VARIABLE, home_name, is_ours

if TYPE_CHECKING:
    from tavo.onefile.finder import Finder

__all__ = ["UnpackError", "cannot_load", "unpack", "unpack_again", "unpack_somewhere"]

_KEPT = 4
_REMAINS = ".new-"
_LOCK = ".lock"
_LOCK_S = 120.0
_PATIENCE_S = 1.0
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST)
_FAILED_EXIT = 3
_Wanted = dict[str, tuple[str, int, str]]
"""Name in the archive -> path, length and sha256 of the file to write."""


class UnpackError(SystemExit):
    """The file cannot be unpacked. Raised while importing, so that no handler swallows it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(_FAILED_EXIT)
        sys.stderr.write(f"tavo: {message}\n  {hint}\n")


def unpack_somewhere(finder: Finder, places: Sequence[str]) -> str:
    """Unpack into the first place that takes it; return the folder."""
    for place in places:
        try:
            return unpack(finder, place)
        except OSError as error:
            if error.errno not in _NO_PLACE:
                raise _failed(place, error) from error
    try:
        own = tempfile.mkdtemp(prefix="tavo-")
        import atexit

        atexit.register(shutil.rmtree, own, ignore_errors=True)
        sys.stderr.write(
            f"tavo: no folder keeps the unpacked files, so they are unpacked for this run only."
            f" Set {VARIABLE} to a folder of your own.\n"
        )
        return unpack(finder, own)
    except OSError as error:
        raise _failed(tempfile.gettempdir(), error) from error


def unpack_again(finder: Finder, path: str) -> None:
    """Replace a folder from which `path` is missing."""
    home = finder.home
    place = os.path.dirname(home)
    try:
        with _lock(place):
            if os.path.exists(path):
                return  # another process was faster
            aside = tempfile.mkdtemp(prefix=_REMAINS, dir=place)
            os.rename(home, os.path.join(aside, "old"))
            _fill(finder, place, home)
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise _failed(place, error) from error


def unpack(finder: Finder, place: str, *, for_all: bool = False) -> str:
    """Unpack the build into `place`, a folder that is made if need be; return its folder there.

    `for_all` lets every user read it, for the image of a machine. Raises OSError if the place
    cannot be used.
    """
    home = os.path.join(place, home_name(finder))
    os.makedirs(place, mode=0o755 if for_all else 0o700, exist_ok=True)
    if not is_ours(place):
        raise PermissionError(errno.EACCES, "others may write to this folder", place)
    with _lock(place):
        if not is_ours(home):
            _clear(place, home)
            _fill(finder, place, home)
        if for_all:
            _open_to_all(place, home)
    return home


def _fill(finder: Finder, place: str, home: str) -> None:
    staged = tempfile.mkdtemp(prefix=_REMAINS, dir=place)
    try:
        progress = _Progress(place)
        for member, wanted in _archives(finder):
            _extract(finder, member, wanted, staged, progress)
        progress.end()
        try:
            os.rename(staged, home)
        except OSError:
            if not is_ours(home):
                raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _archives(finder: Finder) -> Iterator[tuple[str, _Wanted]]:
    """Yield the archives that this machine needs, with what to take from each."""
    from tavo.onefile.finder import platform

    here = platform()
    if here not in finder.index["natives"]:
        _refuse_platform(finder, here)
    data = {
        path: (size, digest)
        for files in finder.index["data"].values()
        for path, size, digest in files
    }
    for member, paths in finder.index["archives"].items():
        yield member, {path: (path, *data[path]) for path in paths}
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
                    raise _damaged(finder, info.name)
                _write(source, os.path.join(folder, *path.split("/")), digest, finder, progress)
                if not missing:
                    break
    except (tarfile.TarError, EOFError, ImportError) as error:
        if isinstance(error, ImportError) or "lzma" in str(error):
            raise UnpackError(
                f"{sys.executable} was built without the module lzma, which unpacking needs",
                "Use another Python, or build this one with liblzma (Debian: liblzma-dev).",
            ) from error
        raise _damaged(finder, member) from error
    if missing:
        raise _damaged(finder, next(iter(missing)))


def _write(source: IO[bytes], path: str, digest: str, finder: Finder, progress: _Progress) -> None:
    from hashlib import sha256

    hasher = sha256()
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with open(handle, "wb") as stream:
        while piece := source.read(1 << 18):
            hasher.update(piece)
            stream.write(piece)
            progress.add(len(piece))
    if hasher.hexdigest() != digest:
        raise _damaged(finder, path)


def _open_to_all(place: str, home: str) -> None:
    os.chmod(place, 0o755)  # noqa: S103  (that is what was asked for)
    for folder, _, names in os.walk(home):
        os.chmod(folder, 0o755)  # noqa: S103
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)


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


def _clear(place: str, home: str) -> None:
    """Delete remains of killed runs, what blocks our place, and all but the newest builds."""
    old = []
    for entry in os.scandir(place):
        if entry.path == home or entry.name.startswith(_REMAINS):
            shutil.rmtree(entry.path, ignore_errors=True)
            if os.path.lexists(entry.path):
                os.unlink(entry.path)
        elif entry.is_dir(follow_symlinks=False) and "-cp" in entry.name:
            old.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
    for _, path in sorted(old, reverse=True)[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _lock(place: str) -> Iterator[None]:
    """Hold the place for this process; the system releases it if the process dies."""
    handle = os.open(os.path.join(place, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = time.monotonic() + _LOCK_S
        while not _try_lock(handle) and time.monotonic() < end:
            time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    """Take the lock; False while another process has it. True where locks do not work at all."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _refuse_platform(finder: Finder, here: str) -> None:
    known = ", ".join(sorted(finder.index["natives"]))
    raise UnpackError(
        f"this file holds no native modules for {here}; it has {known}",
        "Get the file for your system, or `pip install` tavo from its sources.",
    )


def cannot_load(path: str, error: ImportError) -> UnpackError:
    """Return what to say when the system does not load a native module that is as it should be."""
    return UnpackError(
        f"{path}: the system does not load it: {error}",
        f"If its folder is mounted noexec, set {VARIABLE} to one that is not; Linux needs glibc"
        " 2.28 or newer.",
    )


def _damaged(finder: Finder, name: str) -> UnpackError:
    return UnpackError(
        f"{finder.archive}: damaged at {name}", "Download the file again and compare its sha256."
    )


def _failed(place: str, error: OSError) -> UnpackError:
    return UnpackError(
        f"{error.filename or place}: cannot unpack here: {error.strerror or error}",
        f"Free some space (about 40 MB), or set {VARIABLE} to another folder of your own.",
    )
