"""Where the unpacked files are, whose they are, and what is done when there are none yet.

Rules this module keeps:
- a folder is used only if it and the folder above belong to this user (or root) and nobody else
  may write there; what lies in it is still hashed before use;
- the first usable place wins: TAVO_CACHE, the user's cache folder, a folder of this user below the
  system's temporary one, and at last a folder for this process alone;
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
    """Return the folder of this build, unpacking it first where it is missing."""
    name = home_name(finder)
    for place in places(os.environ):
        home = os.path.join(place, name)
        if is_ours(home) and is_ours(place):
            return home
    from tavo.onefile.unpack import unpack_somewhere

    return unpack_somewhere(finder, list(places(os.environ)))


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

        yield os.path.join(tempfile.gettempdir(), f"tavo-{os.getuid()}")


def cache_folder(environment: Mapping[str, str]) -> str:
    """Return tavo's cache folder by the conventions of the system, empty where there is no home.

    The same as `tavo.config.user_paths().cache`, without its imports; a test compares them.
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
    """Tell whether this is a folder that only this user, or root, may write to."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "geteuid"):
        return True  # the folder's access list is the profile's own
    return status.st_uid in {os.geteuid(), 0} and not status.st_mode & 0o022


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
