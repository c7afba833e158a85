"""Which files a scan looks at, and what their bytes mean.

Rules this module keeps:
- a file that is left out is left out by a named rule; one that cannot be read is a problem;
- symbolic links to folders are not followed, links to files only inside the scanned tree;
- a file that the user names is always looked at, whatever the ignore files say.

Units: sizes in bytes.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from tavo.errors import InputError, UsageError
from tavo.printable import printable
from tavo.scan.path_patterns import PathPatterns

__all__ = [
    "IGNORE_FILES",
    "Content",
    "SourceFile",
    "UnreadableError",
    "decode",
    "is_binary",
    "read",
    "scan_root",
    "walk",
]

IGNORE_FILES = (".gitignore", ".semgrepignore", ".tavoignore")
_NEVER = frozenset({"node_modules", ".venv", "venv", ".tox", ".nox", ".eggs", "site-packages"})
_SILENT = frozenset({
    ".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache",
})  # fmt: skip
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_FIRST_LINES = re.compile(rb"\r\n?|\n")
_LONE_RETURN = re.compile(rb"\r(?!\n)")
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKS = tuple(mark for mark, _ in _ENCODINGS)
_DEEPEST = 200
_FIRST = 8192
_MOST_UNUSABLE = 20
_LONGEST_SHOWN = 60
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class UnreadableError(Exception):
    """A file's bytes cannot be had or are not text; the message is the reason."""


class SourceFile(msgspec.Struct, frozen=True):
    """A file of the scan: where it is, and its path relative to the scan's root.

    `problem` says why it cannot be looked at, empty where it can. `content` is what an editor has
    changed and not saved, instead of what is on the disk.
    """

    path: Path
    relative: PurePosixPath
    problem: str = ""
    content: bytes | None = None


class Content(msgspec.Struct, frozen=True):
    """What a file holds: its bytes, or for text the same as UTF-8 without a byte order mark."""

    data: bytes
    is_text: bool


def scan_root(targets: Sequence[Path]) -> Path:
    """Return the folder that paths are relative to: the current one if it holds all targets.

    Raises InputError for a target that does not exist.
    """
    resolved = []
    for target in targets:
        if not target.exists():
            raise InputError(
                f"{target}: no such file or folder",
                hint="Check the path; `tavo scan .` scans the current folder.",
            )
        resolved.append(target.resolve())
    here = Path.cwd().resolve()
    if all(path.is_relative_to(here) for path in resolved):
        return here
    folders = [path if path.is_dir() else path.parent for path in resolved]
    return Path(os.path.commonpath(folders))


def walk(
    targets: Sequence[Path],
    root: Path,
    *,
    exclude: Sequence[str] = (),
    left_out: list[Path] | None = None,
) -> Iterator[SourceFile]:
    """Yield the files below the targets, each once, in the order of their names.

    `exclude` are patterns as in .gitignore, relative to the root. Named targets that are files
    are yielded whatever is excluded. Folders that cannot be read are yielded with their problem.
    `left_out` collects the files and folders that are left out: by ignore files, by `exclude`, by
    their name such as `.venv`, or because they are pipes, devices, links to folders, or links that
    lead out of the root.
    """
    seen: set[Path] = set()
    own = PathPatterns(exclude) if exclude else None
    if own is not None and own.unusable:
        pattern, reason = own.unusable[0]
        raise UsageError(f"--exclude {printable(pattern[:60])}: {reason}")
    for target in targets:
        path = target.resolve()
        if not path.is_dir():
            if path not in seen:
                seen.add(path)
                yield SourceFile(path, _relative(path, root))
            continue
        chain = _outer_specs(path)
        if any(_ignored(folder, chain, folder=True) for folder in _up_to_top(path, chain)):
            chain = []  # the user names a folder that Git ignores: it is meant to be looked at
        if own is not None:
            chain.append((root, own))
        for file in _walk(path, root, chain, [] if left_out is None else left_out):
            if file.path not in seen:
                seen.add(file.path)
                yield file


def read(file: SourceFile, *, largest: int) -> bytes:
    """Return a regular file's bytes. Raises UnreadableError with the reason."""
    if file.content is not None:
        if len(file.content) > largest:
            raise UnreadableError(f"too large: {len(file.content)} bytes, at most {largest}")
        return file.content
    try:
        descriptor = os.open(file.path, _READING)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError("not a regular file")
            if status.st_size > largest:
                raise UnreadableError(f"too large: {status.st_size} bytes, at most {largest}")
            data = os.read(descriptor, status.st_size + 1)
            if len(data) == status.st_size:
                return data
            return data + _rest(descriptor, largest - len(data))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error


def _rest(descriptor: int, room: int) -> bytes:
    """Return what is left of a file that is not as long as it was said to be."""
    pieces: list[bytes] = []
    while piece := os.read(descriptor, min(max(room, 0) + 1, 1 << 20)):
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            raise UnreadableError("too large: it is growing while it is read")
    return b"".join(pieces)


def is_binary(file: SourceFile) -> bool:
    """Tell from the first bytes of a file that it is no text, however large it is.

    A file that cannot be read is none: reading it will say why.
    """
    if file.content is not None:
        return False
    try:
        descriptor = os.open(file.path, _READING)
        try:
            status = os.fstat(descriptor)
            start = os.read(descriptor, _FIRST) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return b"\0" in start and not start.startswith(_MARKS)


def decode(data: bytes, *, lossy: bool = False) -> Content:
    """Tell text from binary; text comes back as UTF-8. Raises UnreadableError for neither.

    Byte order marks and Python's encoding declaration (PEP 263) are understood. `lossy`: bytes
    that are no UTF-8 become U+FFFD, and no declaration counts.
    """
    if data.startswith(_MARKS):
        for mark, encoding in _ENCODINGS:
            if data.startswith(mark):
                return Content(_lines(_recode(data[len(mark) :], encoding)), is_text=True)
    if data.find(b"\0", 0, _FIRST) >= 0:
        return Content(data, is_text=False)
    if lossy:
        return Content(_lines(data.decode("utf-8", "replace").encode()), is_text=True)
    # Also where all bytes are ASCII: in UTF-7 a comment can hold a line break and code.
    declared = _declared(data)
    if declared and _normal(declared) != "utf-8":
        return Content(_lines(_recode(data, declared)), is_text=True)
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableError(f"not UTF-8 at byte {error.start}") from None
    return Content(_lines(data), is_text=True)


def _recode(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode("utf-8")
    except (LookupError, UnicodeError, TypeError, AttributeError):
        raise UnreadableError(f"not text in {encoding[:40]}") from None


def _lines(data: bytes) -> bytes:
    """Make a lone carriage return a line end, as Python reads it: it could hide code."""
    return _LONE_RETURN.sub(b"\n", data) if b"\r" in data else data


def _declared(data: bytes) -> str:
    if data.find(b"coding", 0, 4096) < 0:
        return ""
    for line in _FIRST_LINES.split(data[:4096], 2)[:2]:
        found = _COOKIE.match(line)
        if found:
            return _without_line_ends(found.group(1).decode("ascii"))
        if line.strip() and not line.lstrip().startswith(b"#"):
            return ""
    return ""


def _without_line_ends(encoding: str) -> str:
    """Return the encoding that Python takes for one with a suffix, as Emacs writes `utf-8-unix`."""
    start = encoding[:12].lower().replace("_", "-")
    for known in ("utf-8", "latin-1", "iso-8859-1", "iso-latin-1"):
        if start.startswith(f"{known}-"):
            return known
    return encoding


def _normal(encoding: str) -> str:
    try:
        info = codecs.lookup(encoding)
    except LookupError:
        return encoding
    return info.name if info._is_text_encoding else "no text"


_Chain = list[tuple[Path, PathPatterns]]


def _walk(
    folder: Path, root: Path, chain: _Chain, left_out: list[Path], depth: int = 0
) -> Iterator[SourceFile]:
    relative = _relative(folder, root)
    if depth > _DEEPEST:
        yield SourceFile(folder, relative, f"folders nested deeper than {_DEEPEST}")
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield SourceFile(folder, relative, f"cannot be read: {error.strerror}")
        return
    own, problems = _specs_of(folder)
    for path, reason in problems:
        yield SourceFile(path, _relative(path, root), reason)
    specs = [*chain, *own]
    for entry in entries:
        path = Path(entry.path)
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            is_link = entry.is_symlink()
            is_file = entry.is_file()
        except OSError as error:
            yield SourceFile(path, _relative(path, root), f"cannot be read: {error.strerror}")
            continue
        if entry.name in _SILENT:
            continue
        if is_folder:
            if entry.name in _NEVER or _ignored(path, specs, folder=True):
                left_out.append(path)
            else:
                yield from _walk(path, root, specs, left_out, depth + 1)
        elif is_file:
            if _ignored(path, specs, folder=False) or (
                is_link and not _resolves_inside(path, root)
            ):
                left_out.append(path)
            else:
                yield SourceFile(path, _relative(path, root))
        else:
            left_out.append(path)  # a pipe, a device, or a link to a folder


def _resolves_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _specs_of(folder: Path) -> tuple[_Chain, list[tuple[Path, str]]]:
    chain: _Chain = []
    problems: list[tuple[Path, str]] = []
    for name in IGNORE_FILES:
        path = folder / name
        try:
            if path.is_symlink() or not path.is_file():
                continue
            lines = _ignore_lines(path)
            if name == ".semgrepignore":
                lines, wrong = _with_includes(folder, lines)
                problems += [(path, reason) for reason in wrong[:_MOST_UNUSABLE]]
            found = PathPatterns(lines)
            chain.append((folder, found))
            for pattern, reason in found.unusable[:_MOST_UNUSABLE]:
                shown = pattern[:_LONGEST_SHOWN]
                problems.append((path, f"the pattern {shown!r} is not valid: {reason}"))
        except OSError as error:
            problems.append((path, f"cannot be read: {error.strerror}"))
    return chain, problems


def _ignore_lines(path: Path) -> list[str]:
    with path.open("rb") as stream:
        return stream.read(1 << 20).decode("utf-8", "replace").splitlines()


def _with_includes(folder: Path, lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Put the lines of other files in the place of `:include FILE`, as Semgrep does.

    Such a file lies in the same folder or below, and is no link. Returns what is wrong as well.
    """
    out: list[str] = []
    wrong: list[str] = []
    for line in lines:
        if not line.startswith(":"):
            out.append(line)
            continue
        word, _, name = line[1:].strip().partition(" ")
        name = name.strip()
        shown = printable(line.strip()[:_LONGEST_SHOWN])
        parts = PurePosixPath(name).parts
        place = folder.joinpath(*parts)
        if word != "include" or not name:
            wrong.append(f"the line {shown!r} is not known; `:include FILE` is")
        elif ".." in parts or PurePosixPath(name).is_absolute() or not _is_plain(folder, parts):
            wrong.append(f"{shown!r} names no file of this folder")
        else:
            found = _ignore_lines(place)
            out += [one for one in found if not one.startswith(":")]
    return out, wrong


def _is_plain(folder: Path, parts: Sequence[str]) -> bool:
    """Tell whether a path leads to a regular file through no link."""
    for part in parts:
        folder = folder / part
        if folder.is_symlink():
            return False
    return folder.is_file()


def _outer_specs(folder: Path) -> _Chain:
    """Return the ignore files above a folder, up to the top of its Git checkout."""
    above: list[Path] = []
    current = folder
    while not (current / ".git").exists():
        if current.parent == current:
            return []
        current = current.parent
        above.append(current)
    return [spec for path in reversed(above) for spec in _specs_of(path)[0]]


def _up_to_top(folder: Path, chain: _Chain) -> Iterator[Path]:
    """Yield a folder and those above it, up to below the first that has ignore files."""
    while chain and folder != chain[0][0] and folder.parent != folder:
        yield folder
        folder = folder.parent


def _ignored(path: Path, chain: _Chain, *, folder: bool) -> bool:
    for base, spec in reversed(chain):
        if not path.is_relative_to(base):
            continue
        name = path.relative_to(base).as_posix() + ("/" if folder else "")
        verdict = spec.verdict(name)
        if verdict is not None:
            return verdict
    return False


def _relative(path: Path, root: Path) -> PurePosixPath:
    if path == root:
        return PurePosixPath(".")
    return PurePosixPath(path.relative_to(root).as_posix())
