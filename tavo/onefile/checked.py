"""The unpacked files that are used: each is hashed first, and what lies beside it is looked at.

Rules this module keeps:
- a native module, and the data files of a package, are hashed before their first use in this
  process; a wrong one, and one that is there besides, ends the process with code 5;
- a refusal that somebody swallowed is raised again by the next use of any file;
- what is missing is unpacked again, once, and then hashed like all else.

It is imported when the first such file is needed. Units: lengths in bytes.
"""

from __future__ import annotations

import os
import stat

from tavo.onefile.cache import repair
from tavo.onefile.finder import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tavo.onefile.finder import Finder

__all__ = ["CheckedFiles", "TamperedError", "hash_of"]

_REFUSED_EXIT = 5
_PIECE = 1 << 18
_PLAIN_FILE = os.O_RDONLY
for _flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"):
    _PLAIN_FILE |= getattr(os, _flag, 0)


class TamperedError(SystemExit):
    """A file of the cache is not what this tavo put there. No handler of errors may swallow it."""

    def __init__(self, path: str, home: str, found: str) -> None:
        super().__init__(_REFUSED_EXIT)
        say(
            f"tavo: refused: {path}: {found}",
            "  Somebody or something changed the unpacked files, or put them there first. Find out"
            f" who, then delete {home} and run the command again.",
        )


class CheckedFiles:
    """The unpacked files of one file of tavo, by what they are needed for.

    What is returned may be used; what may not raises TamperedError.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._data: dict[str, tuple[tuple[str, int, str], ...]] = finder.index["data"]
        self._libraries = finder.libraries
        groups = (*self._data.values(), *self._libraries.values(), finder.natives.values())
        self._paths = frozenset(file[0] for files in groups for file in files)
        self._good: set[str] = set()
        self._refused: TamperedError | None = None

    def native(self, name: str) -> str:
        """Return the path of a native module, whose libraries were checked, too."""
        files = (*self._libraries.get(name, ()), self._finder.natives[name])
        for file in files:
            path = self.checked(*file)
        for file in files:
            self._check_beside(file[0])
        return path

    def named(self, relative: str) -> str:
        """Return the path of a data file or a library, empty if there is none of this name."""
        libraries = self._libraries.values()
        for files in (*self._data.values(), *libraries):
            for file in files:
                if file[0] == relative:
                    if files in libraries:
                        self._check_beside(relative)
                    return self.checked(*file)
        return ""

    def check_package(self, package: str) -> None:
        """Check the files of a package, and what lies beside them, once."""
        if package in self._good:
            return
        for file in (*self._data.get(package, ()), *self._libraries.get(package, ())):
            self.checked(*file)
        self._check_folder_of(package)
        self._good.add(package)

    def checked(self, relative: str, length: int, digest: str) -> str:
        """Return the path of a file of the cache that was just hashed, or has been before."""
        path = os.path.join(self._home, *relative.split("/"))
        if self._refused is not None:
            raise self._refused  # whatever swallowed it the first time
        if path in self._good:
            return path
        found = hash_of(path, length)
        if found is None:
            repair(self._finder, path)
            found = hash_of(path, length)
        if found != digest:
            self._refuse(path, f"sha256 is {found}, this file of tavo has {digest}")
        self._check_way_to(os.path.dirname(path))
        self._good.add(path)
        return path

    @property
    def _home(self) -> str:
        return self._finder.home

    def _refuse(self, path: str, found: str) -> None:
        self._refused = TamperedError(path, self._home, found)
        raise self._refused

    def _check_way_to(self, folder: str) -> None:
        """Refuse folders between the home and a file that others may change, and links."""
        while folder != self._home and folder not in self._good:
            status = os.lstat(folder)
            if not stat.S_ISDIR(status.st_mode) or not _only_ours(status):
                self._refuse(folder, "is a link, or others may change it")
            self._good.add(folder)
            folder = os.path.dirname(folder)

    def _check_folder_of(self, package: str) -> None:
        """Refuse what lies beside the files of a package: a template is code, a library is loaded.

        What is missing of the files that are checked by others, such as the signatures of the
        embedded repository, is put back.
        """
        prefix = package.replace(".", "/") + "/"
        expected = {path for path in self._paths if path.startswith(prefix)}
        for inside, folders, names in os.walk(os.path.join(self._home, *package.split("."))):
            links = [name for name in folders if os.path.islink(os.path.join(inside, name))]
            for name in (*names, *links):
                path = os.path.join(inside, name)
                relative = os.path.relpath(path, self._home).replace(os.sep, "/")
                if relative not in expected:
                    self._refuse(path, "was not put there by this file of tavo")
                expected.remove(relative)
        if expected:
            repair(self._finder, os.path.join(self._home, *min(expected).split("/")))
        for path, _, _ in self._libraries.get(package, ()):
            self._check_beside(path)

    def _check_beside(self, relative: str) -> None:
        """Refuse what lies in the folder of a native file: the system looks there for libraries."""
        folder = os.path.dirname(os.path.join(self._home, *relative.split("/")))
        if f"{folder}/*" in self._good:
            return
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            known = os.path.relpath(path, self._home).replace(os.sep, "/")
            if known not in self._paths and not os.path.isdir(path):
                self._refuse(path, "was not put there by this file of tavo")
        self._good.add(f"{folder}/*")


def hash_of(path: str, length: int) -> str | None:
    """Return the sha256 of a file of ours, None if it is not there, or what is wrong."""
    from hashlib import sha256

    try:
        handle = os.open(path, _PLAIN_FILE)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size != length:
                return f"not looked at (no plain file of {length} bytes)"
            if not _only_ours(status):
                return "not looked at (others may change it)"
            hasher = sha256()
            while piece := os.read(handle, _PIECE):
                hasher.update(piece)
        finally:
            os.close(handle)
    except FileNotFoundError:
        return None
    except OSError as error:  # a link, a folder, a pipe, or not readable
        return f"not to be had ({error.strerror})"
    return hasher.hexdigest()


def _only_ours(status: os.stat_result) -> bool:
    """Tell whether only this user, or root, may change what has this status."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid in {os.geteuid(), 0} and not status.st_mode & 0o022
