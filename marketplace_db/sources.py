"""The files of an author's folder: which of them are the plugin, and which are never packed.

Rules this module keeps:
- hidden files, Python's caches, and what was built from the folder (packages of a plugin beside
  plugin.yaml, statements about them) are no part of it: building a package in its own folder
  leaves its digest as it was;
- a private key is refused by its content, whatever its name: who gets the package could sign with
  it;
- links and devices are refused; nothing is followed.

Units: sizes in bytes.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from marketplace_db.errors import PackageError
from marketplace_db.manifest import MANIFEST_NAME

__all__ = ["key_problem", "listed", "plugin_files"]

_STATEMENT = ".dsse.json"
_KEY_LABELS = (
    *(f"{kind}PRIVATE KEY" for kind in ("", "ENCRYPTED ", "RSA ", "EC ", "DSA ", "OPENSSH ")),
    "PGP PRIVATE KEY BLOCK",
)
_SHORTEST_KEY = 40
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")


def plugin_files(folder: Path, *, most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file of the plugin, at most `most_bytes` together.

    Raises PackageError for what cannot be in a package, OSError.
    """
    if not (folder / MANIFEST_NAME).is_file():
        raise PackageError(f"{folder}: holds no {MANIFEST_NAME}", hint="Name a plugin's folder.")
    total = 0
    for path in listed(folder):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise PackageError(f"{path}: is a link or a device; a package holds only files")
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1 - total)
        total += len(content)
        if total > most_bytes:
            raise PackageError(f"{folder}: holds more than {most_bytes} bytes")
        if problem := key_problem(content):
            raise PackageError(
                f"{path}: {problem}",
                hint="Move it out of the plugin's folder. A sample of a key is made by the test"
                " that needs it.",
            )
        yield path.relative_to(folder).as_posix(), content


def listed(folder: Path) -> Iterator[Path]:
    """Yield what belongs to the plugin in a folder, links and devices too, in no special order."""
    pending = [folder]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path.name.startswith(".") or path.name == "__pycache__" or path.suffix == ".pyc":
                continue
            if stat.S_ISDIR(path.lstat().st_mode):
                pending.append(path)
            elif path.parent != folder or not _is_built(path):
                yield path


def key_problem(content: bytes) -> str:
    """Say that a file holds a private key in PEM or OpenSSH form; empty if it does not."""
    for label in _KEY_LABELS:
        begin, end = f"-----BEGIN {label}-----\n".encode(), f"-----END {label}-----".encode()
        text = content if b"\r" not in content else content.replace(b"\r\n", b"\n")
        at = text.find(begin)
        while at >= 0:
            body, found, _ = text[at + len(begin) :].partition(end)
            if found and len(_NOT_BASE64.sub(b"", body)) >= _SHORTEST_KEY:
                return "holds a private key, and whoever gets the package could use it"
            at = text.find(begin, at + len(begin) + len(body)) if found else -1
    return ""


def _is_built(path: Path) -> bool:
    """Tell whether a file beside plugin.yaml is a package of a plugin, or a statement about one."""
    if path.name.endswith(f".zip{_STATEMENT}"):
        return True
    if path.suffix.lower() != ".zip" or not path.is_file() or path.is_symlink():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST_NAME in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
