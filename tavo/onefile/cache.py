"""Where the unpacked files are, whose they are, and what is done when there are none yet.

Rules this module keeps:
- a folder is used only if it and all folders above belong to this user or root and nobody else may
  write there; what lies in it is still hashed before use;
- the first place that has the build, or takes it, wins: TAVO_CACHE, the user's cache folder, a
  folder of this user below the system's temporary one, and at last one for this process alone;
- every place is keyed by the build and the interpreter, so a renamed or copied file finds it again.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tavo.onefile.finder import Finder

__all__ = ["VARIABLE", "cache_folder", "find_home", "home_name", "is_ours", "places", "repair"]

VARIABLE = "TAVO_CACHE"


def find_home(finder: Finder) -> str:
    """Return the folder of this build, unpacking it into the first usable place if need be."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen and not os.path.isabs(chosen):
        from tavo.onefile.finder import FailedError

        raise FailedError(
            f"{VARIABLE}={chosen}: is not an absolute path",
            "Name a folder from the root on.",
            code=2,
        )
    name = home_name(finder)
    for place in places(os.environ):
        home = os.path.join(os.path.realpath(place), name)
        if is_ours(home) and os.access(home, os.R_OK | os.X_OK):
            return home
        from tavo.onefile.unpack import unpack_if_possible

        if unpacked := unpack_if_possible(finder, place):
            return unpacked
        if place == chosen:
            from tavo.onefile.finder import say

            say(
                f"tavo: {VARIABLE}={chosen}: cannot be used, it and the folders above must belong"
                " to you or root and nobody else may write to them; another place is used."
            )
    from tavo.onefile.unpack import unpack_for_this_run

    return unpack_for_this_run(finder)


def home_name(finder: Finder) -> str:
    """Return the name of the folder of this build for this interpreter."""
    return f"{finder.index['build'][:20]}-cp{sys.version_info[0]}{sys.version_info[1]}"


def places(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders that may hold unpacked builds, the first choice first."""
    chosen = environment.get(VARIABLE, "")
    if os.path.isabs(chosen):
        yield chosen
    cache = cache_folder(environment)
    if cache:
        yield os.path.join(cache, "app")
    if hasattr(os, "getuid"):
        import tempfile

        try:
            yield os.path.join(tempfile.gettempdir(), f"tavo-{os.getuid()}")
        except FileNotFoundError:
            return  # no temporary folder can be written


def cache_folder(environment: Mapping[str, str]) -> str:
    """Return tavo's cache folder by the conventions of the system, empty where there is no home.

    The same as `tavo.folders.user_paths().cache`, without its imports; a test compares them.
    """
    if sys.platform == "win32":
        local = environment.get("LOCALAPPDATA") or os.path.join(
            environment.get("USERPROFILE", ""), "AppData", "Local"
        )
        return os.path.join(local, "tavo", "cache") if os.path.isabs(local) else ""
    home = environment.get("HOME", "")
    if not os.path.isabs(home):
        home = _home_of_account()
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "tavo") if home else ""
    cache = environment.get("XDG_CACHE_HOME", "")
    if os.path.isabs(cache):
        return os.path.join(cache, "tavo")
    return os.path.join(home, ".cache", "tavo") if home else ""


def is_ours(folder: str) -> bool:
    """Tell whether this is a folder that only this user, or root, may write to or exchange.

    The folder itself is no link, and all folders above belong to the same two; one that others may
    write to counts if it is sticky, as /tmp is.
    """
    if os.path.realpath(folder) != os.path.normpath(folder):
        if os.path.islink(folder):
            return False
        folder = os.path.realpath(folder)
    first = True
    while True:
        try:
            status = os.lstat(folder)
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode):
            return False
        if hasattr(os, "geteuid"):  # elsewhere the folder's access list is the profile's own
            sticky = not first and status.st_mode & stat.S_ISVTX
            if status.st_uid not in {os.geteuid(), 0} or (_is_open(status) and not sticky):
                return False
        above = os.path.dirname(folder)
        if above == folder:
            return True
        folder, first = above, False


def _is_open(status: os.stat_result) -> bool:
    """Tell whether others may write to the folder; a group of this user alone is not others."""
    if status.st_mode & 0o002:
        return True
    alone = os.getegid() == os.geteuid()  # as most systems number a user's own group
    return bool(status.st_mode & 0o020) and not (alone and status.st_gid == os.getegid())


def repair(finder: Finder, path: str) -> None:
    """Unpack again because a file is missing; cleaners of temporary files cause that."""
    from tavo.onefile.unpack import unpack_again

    unpack_again(finder, path)


def _home_of_account() -> str:
    try:
        import pwd

        home = pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return ""
    return home if os.path.isdir(home) else ""
