"""Names of documents: URIs of the client, files of a workspace, and what is neither.

Rules this module keeps:
- only `file:` URIs of this machine mean files, and only below a folder of the workspace is one
  looked at that is not open;
- a name that was made to mislead means no file: other hosts, `..`, NUL, an encoded separator;
- a document is always looked at by the text that the client sends, whatever its name is; the name
  decides its language and nothing else.

Source: RFC 3986; RFC 8089 for `file:`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec

__all__ = ["Folder", "Name", "folder_of", "name_of", "path_of_uri"]

_LONGEST_URI = 8_192
_SEPARATORS = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
_DRIVE = re.compile(r"/[A-Za-z]:(?:/|\Z)")
_ENDS = {
    "python": ".py", "javascript": ".js", "javascriptreact": ".jsx", "typescript": ".ts",
    "typescriptreact": ".tsx", "json": ".json", "jsonc": ".json", "yaml": ".yaml",
    "dockercompose": ".yaml", "dockerfile": ".dockerfile", "markdown": ".md", "toml": ".toml",
    "html": ".html", "shellscript": ".sh", "ini": ".ini", "properties": ".ini", "dotenv": ".env",
}  # fmt: skip
"""Languages as editors call them, and the end of a file's name that means the same."""


class Folder(msgspec.Struct, frozen=True):
    """A folder of the workspace: its URI as the client writes it, and where that is."""

    uri: str
    path: Path

    def relative(self, path: Path) -> PurePosixPath | None:
        """Return a path below this folder as one of a scan, None for one that is not."""
        try:
            below = path.relative_to(self.path)
        except ValueError:
            return None
        return PurePosixPath(below.as_posix()) if below.parts else None

    def uri_of(self, relative: PurePosixPath) -> str:
        """Return the URI of a file below this folder, begun as the client began the folder's."""
        return f"{self.uri.rstrip('/')}/{quote(str(relative).encode('utf-8', 'surrogateescape'))}"


class Name(msgspec.Struct, frozen=True):
    """What a document is called in a scan, and the folder that it is a file of, if there is one."""

    relative: PurePosixPath
    folder: Folder | None = None


def path_of_uri(uri: str) -> Path | None:
    """Return the file that a URI means on this machine, None where it means none."""
    if len(uri) > _LONGEST_URI:
        return None
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme.lower() != "file" or parts.netloc.lower() not in ("", "localhost"):
        return None
    if parts.query or parts.fragment or _SEPARATORS.search(parts.path):
        return None
    try:
        text = unquote_to_bytes(parts.path).decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text or not text.startswith("/") or ".." in text.split("/"):
        return None
    if sys.platform == "win32":
        if not _DRIVE.match(text):
            return None
        text = text[1:]
    return Path(text)


def folder_of(uri: str) -> Folder | None:
    """Return a folder of the workspace, None for a URI that is no folder here."""
    path = path_of_uri(uri)
    if path is None:
        return None
    try:
        return Folder(uri, path) if path.is_dir() else None
    except OSError:
        return None


def name_of(uri: str, language: str, folders: list[Folder]) -> Name:
    """Return what a document is called; one that is no file gets an end by its language."""
    path = path_of_uri(uri)
    if path is not None:
        below = sorted(folders, key=lambda folder: -len(folder.path.parts))
        for folder in below:
            relative = folder.relative(path)
            if relative is not None:
                return Name(relative, folder)
    last = PurePosixPath(path.name) if path is not None else _last_of(uri)
    if not last.parts:
        last = PurePosixPath("untitled")
    end = _ENDS.get(language.lower(), "")
    if path is None and end and last.suffix.lower() != end:
        last = last.with_name(f"{last.name}{end}")
    return Name(last)


def _last_of(uri: str) -> PurePosixPath:
    """Return the last part of a URI that is no file, of harmless characters."""
    last = re.split(r"[/:\\?#]", uri[:_LONGEST_URI])[-1]
    return PurePosixPath(re.sub(r"[^\w.-]", "_", last)[:100].strip("."))
