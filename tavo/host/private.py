"""Folders that only this user may write to: what decides about running code lies in one.

Rules this module keeps:
- a folder that is made here is the owner's alone, with every folder above it that is missing,
  whatever the umask says;
- a folder that is there is used only if nobody else could have put something into it, or could put
  another one in its place: `tavo.onefile.cache.is_ours` decides, as for our own unpacked files.
"""

from __future__ import annotations

from pathlib import Path

from tavo.errors import RefusedError
from tavo.onefile.cache import is_ours

__all__ = ["check_private", "make_private"]


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, then check it.

    Raises RefusedError, OSError.
    """
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Raise RefusedError unless only this user, or root, may write to a folder or exchange it.

    It may be a link, if nobody else could have made that.
    """
    if not all(is_ours(str(place)) for place in _places(folder.absolute())):
        raise RefusedError(
            f"{folder}: it, or a folder above it, belongs to somebody else, or others may write"
            " there, so they could decide which plugins run",
            hint=f"Make it yours alone, `chown -R $(id -u) {folder}; chmod -R go-w {folder}`, and"
            " the folders above likewise; or name a folder of your own: HOME, or XDG_STATE_HOME and"
            " XDG_DATA_HOME, as with sudo or in a container.",
        )


def _places(folder: Path) -> list[Path]:
    if folder.is_symlink():
        return [folder.resolve(), folder.parent.resolve()]
    return [folder]
