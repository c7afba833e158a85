"""Names of files inside archives: what may be written to a disk of any system, and what may not.

Rules this module keeps:
- a name is judged by its text alone, the same on every system, and refused, never repaired;
- a name that is fine here must be fine on Windows, macOS and exFAT too: an installation is copied
  between them, and a mirror is checked on one and used on another;
- two names that one of those systems would take for the same file are a conflict.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["NameConflictError", "PathSet", "name_problem"]

_LONGEST_NAME = 240
_LONGEST_PART = 120
_DEEPEST = 16
_FORBIDDEN = frozenset('<>:"|?*')
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [port + digit for port in ("com", "lpt") for digit in "0123456789¹²³"]
)


def name_problem(name: str) -> str | None:
    """Say why a name may not stand in an archive, or return None when it may.

    `name` uses `/` between its parts and names a file; the answer continues a sentence that starts
    with the name, such as "is absolute".
    """
    if not name:
        return "is empty"
    if "\0" in name:
        return "holds a NUL character"
    if name.startswith("/"):
        return "is absolute"
    if "\\" in name:
        return "holds a backslash"
    if _DRIVE.match(name):
        return "starts with a drive letter"
    if len(name) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} characters"
    if unicodedata.normalize("NFC", name) != name:
        return "is not in Unicode form NFC"
    for char in name:
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            return f"holds the invisible or unassigned character U+{ord(char):04X}"
        if char in _FORBIDDEN:
            return f"holds {char!r}, which Windows does not allow in names"
    parts = name.split("/")
    if len(parts) > _DEEPEST:
        return f"is more than {_DEEPEST} folders deep"
    for part in parts:
        if problem := _part_problem(part):
            return problem
    return None


def _part_problem(part: str) -> str | None:
    if not part:
        return "has an empty part"
    if part in {".", ".."}:
        return f"has the part {part!r}"
    if len(part.encode()) > _LONGEST_PART:
        return f"has a part longer than {_LONGEST_PART} bytes"
    if part[-1] in ". ":
        return "has a part that ends with a dot or a space"
    if part[0] == " ":
        return "has a part that starts with a space"
    if part.split(".")[0].rstrip().casefold() in _DEVICES:
        return f"has the part {part!r}, a device name on Windows"
    return None


class NameConflictError(ValueError):
    """Two names of one archive cannot stand side by side; the message is a whole clause."""


class PathSet:
    """The names of one archive, each checked against all before it."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def add(self, name: str, *, folder: bool = False) -> None:
        """Add a file's name (or a folder's, without its last `/`).

        Raises NameConflictError for a duplicate, for names that differ only by case, and for a
        file where another name needs a folder.
        """
        parts = name.split("/")
        for depth in range(1, len(parts) + (1 if folder else 0)):
            self._add_folder("/".join(parts[:depth]))
        if folder:
            return
        key = _fold(name)
        if (other := self._files.get(key)) is not None:
            if other == name:
                raise NameConflictError(f"holds {name!r} twice")
            raise NameConflictError(f"holds {other!r} and {name!r}, which differ only by case")
        if (other := self._folders.get(key)) is not None:
            raise NameConflictError(f"holds {name!r} as a file and {other!r} as a folder")
        self._files[key] = name

    def _add_folder(self, name: str) -> None:
        key = _fold(name)
        if (other := self._files.get(key)) is not None:
            raise NameConflictError(f"holds {other!r} as a file and {name!r} as a folder")
        other = self._folders.setdefault(key, name)
        if other != name:
            raise NameConflictError(
                f"holds the folders {other!r} and {name!r}, which differ only by case"
            )


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
