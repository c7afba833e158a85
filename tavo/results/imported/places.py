"""Where a SARIF result is: URIs -> paths below the root, regions -> lines and columns of ours.

Rules this module keeps:
- a path never leaves the root: what is elsewhere is shown below `(outside)`, and no file of the
  project is taken for it;
- a source file is only read when it is a regular file below the root, and no link leads out of it;
- columns become code points where the text of the line is known.

Units: lines and columns from 1, columns in code points, offsets in the units of SARIF.
Source: OASIS SARIF 2.1.0, sections 3.4, 3.14.14, 3.14.17, 3.28 to 3.30; RFC 3986.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tavo.plugins import Location, Region
from tavo.results.imported.values import bounded, index_in, mapping, mappings, text, whole

__all__ = ["NOWHERE", "OUTSIDE", "Places", "uri_of_folder"]

NOWHERE = PurePosixPath("(no file)")
"""The path of a result that names no file."""

OUTSIDE = "(outside)"
"""The first part of the path of a file that is not below the root."""

_MOST_LINES = 10
_LONGEST_LINE = 400
_LONGEST_PATH = 4_000
_DEEPEST_BASE = 20
_MOST_KEPT = 32
_SOURCE = frozenset({"SRCROOT", "PROJECTROOT", "REPOROOT", "ROOTPATH", "WORKSPACE", "SOURCEROOT"})
_SCHEME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

Read = Callable[[PurePosixPath], str | None]


def uri_of_folder(folder: Path) -> str:
    """Return the `file` URI of a folder, with a slash at its end."""
    return f"file://{quote(folder.absolute().as_posix(), errors='surrogateescape').rstrip('/')}/"


class Places:
    """The places of one run of a SARIF file.

    `root` is the folder that paths are relative to, as a URI; `bases` are others that mean the
    same folder, such as that of the machine on which the tool ran. `read` returns the text of a
    file below the root, or None.
    """

    def __init__(
        self, run: Mapping[str, Any], *, root: str, bases: Sequence[str], read: Read
    ) -> None:
        self._roots = [_comparable(one) for one in (root, *bases)]
        self._root = root
        self._read = read
        self._artifacts = mappings(run.get("artifacts"))
        self._named = mapping(run.get("originalUriBaseIds"))
        self._tops = self._bases_of_the_source()
        self._utf16 = run.get("columnKind") == "utf16CodeUnits"
        self._texts: dict[PurePosixPath, str | None] = {}
        self._lines: dict[PurePosixPath, list[str]] = {}

    def location(self, value: Mapping[str, Any]) -> tuple[Location, str]:
        """Return what a physical location means, and what of it could not be taken over."""
        artifact = mapping(value.get("artifactLocation"))
        path = self.path(artifact)
        region = mapping(value.get("region"))
        if not region:
            return Location(path=path), ""
        known = self._text_of(path, artifact)
        lines = self._lines[path]
        given = _lines_given(region, mapping(value.get("contextRegion")))
        try:
            found = self._region(region, known, lambda number: _line(lines, given, number))
        except ValueError as error:
            return Location(path=path), str(error)
        snippet = _snippet(found, lambda number: _line(lines, given, number))
        return Location(path=path, region=found, snippet=snippet), ""

    def path(self, artifact: Mapping[str, Any]) -> PurePosixPath:
        """Return the path that an artifactLocation means."""
        artifact = self._resolved(artifact)
        uri = text(artifact.get("uri"))[:_LONGEST_PATH]
        base = text(artifact.get("uriBaseId"))
        if not uri and not base:
            return NOWHERE
        try:
            absolute = _joined(self._base(base) if base else "", uri)
            return self._below_root(absolute) if absolute else self._relative(uri)
        except ValueError:  # such as a bracket where an address of IPv6 would stand
            return _outside(uri)

    # -- paths

    def _bases_of_the_source(self) -> list[str]:
        """Return the bases that are the folder which the tool looked at, not a library or so."""
        tops = [name for name, value in self._named.items() if not mapping(value).get("uriBaseId")]
        chosen = [name for name in tops if name.strip("%").upper() in _SOURCE] or tops
        found = [self._base(name) for name in chosen[:1] if isinstance(name, str)]
        return [_comparable(uri) for uri in found if _is_absolute(uri)]

    def _resolved(self, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
        index = index_in(artifact.get("index"), self._artifacts)
        if index is None or text(artifact.get("uri")):
            return artifact
        return mapping(self._artifacts[index].get("location"))

    def _base(self, name: str) -> str:
        """Return the absolute URI of a base, empty where the file does not say it."""
        parts: list[str] = []
        for _ in range(_DEEPEST_BASE):
            value = mapping(self._named.get(name))
            uri = text(value.get("uri"))[:_LONGEST_PATH]
            parts.append(uri if not uri or uri.endswith("/") else f"{uri}/")
            name = text(value.get("uriBaseId"))
            if not name:
                break
        absolute = ""
        for part in reversed(parts):
            absolute = _joined(absolute, part)
        return absolute

    def _relative(self, uri: str) -> PurePosixPath:
        return self._cleaned(unquote(uri.replace("\\", "/"), errors="surrogateescape"))

    def _below_root(self, uri: str) -> PurePosixPath:
        wanted = _comparable(uri)
        for base in (*self._roots, *self._tops):
            if wanted.startswith(base) and len(base) > len("file:///"):
                return self._cleaned(wanted[len(base) :])
        split = urlsplit(wanted)
        host = "" if split.scheme == "file" else split.netloc
        return _outside(f"{host}/{wanted.partition('://')[2].partition('/')[2]}")

    def _cleaned(self, path: str) -> PurePosixPath:
        normal = posixpath.normpath(path.replace("\0", "\N{REPLACEMENT CHARACTER}") or ".")
        if normal == ".":
            return NOWHERE
        if normal.split("/")[0] in ("", ".."):
            return _outside(normal)
        return PurePosixPath(normal)

    # -- regions

    def _text_of(self, path: PurePosixPath, artifact: Mapping[str, Any]) -> str | None:
        if path not in self._texts:
            index = index_in(artifact.get("index"), self._artifacts)
            held = mapping(self._artifacts[index].get("contents")) if index is not None else {}
            known = held.get("text") if isinstance(held.get("text"), str) else None
            if known is None and path.parts[0] not in (OUTSIDE, str(NOWHERE)):
                known = self._read(path)
            while len(self._texts) >= _MOST_KEPT:  # results come file by file, more or less
                oldest = next(iter(self._texts))
                del self._texts[oldest], self._lines[oldest]
            self._texts[path] = known
            self._lines[path] = [] if known is None else known.split("\n")
        return self._texts[path]

    def _region(
        self, region: Mapping[str, Any], known: str | None, line_at: Callable[[int], str | None]
    ) -> Region:
        """Return a region. Raises ValueError with what is wrong."""
        first = whole(region.get("startLine"), least=1)
        if first is None:
            return _from_offsets(region, known)
        for name in ("startLine", "startColumn", "endLine", "endColumn"):
            if name in region and whole(region[name], least=1) is None:
                raise ValueError(f"with a region whose {name} is no number from 1")
        last = whole(region.get("endLine"), least=1) or first
        first_line, last_line = line_at(first), line_at(last)
        if known is not None and first_line is None:
            raise ValueError("with a region behind the end of the file")
        start = self._column(first_line, region.get("startColumn"), 1)
        usual = start if last == first else 1
        if last_line is not None:
            usual = len(last_line) + 1
        end = self._column(last_line, region.get("endColumn"), usual)
        if (last, end) < (first, start):
            raise ValueError("with a region that ends before its start")
        return Region(start_line=first, start_column=start, end_line=last, end_column=end)

    def _column(self, line: str | None, value: Any, usual: int) -> int:
        column = whole(value, least=1)
        if column is None:
            return usual
        if line is None:
            return column
        if self._utf16 and not line.isascii():
            units = line.encode("utf-16-le", "surrogatepass")[: (column - 1) * 2]
            column = len(units.decode("utf-16-le", "ignore")) + 1
        return min(column, len(line) + 1)


def _line(source: Sequence[str], given: Mapping[int, str], number: int) -> str | None:
    if source:
        return source[number - 1].rstrip("\r") if number <= len(source) else None
    line = given.get(number)
    return None if line is None else line.rstrip("\r")


def _snippet(region: Region, line_at: Callable[[int], str | None]) -> str:
    shown: list[str] = []
    last = min(region.end_line, region.start_line + _MOST_LINES - 1)
    for number in range(region.start_line, last + 1):
        line = line_at(number)
        if line is None:
            break
        shown.append(line[:_LONGEST_LINE])
    return "\n".join(shown)


def _from_offsets(region: Mapping[str, Any], known: str | None) -> Region:
    names = ("charOffset", "charLength") if "charOffset" in region else ("byteOffset", "byteLength")
    start = whole(region.get(names[0]), least=0)
    if start is None:
        raise ValueError("with a region without a line")
    if known is None:
        raise ValueError("with a region in characters or bytes, of a file that is not here")
    end = start + (whole(region.get(names[1]), least=0) or 0)
    if names[0] == "byteOffset":
        data = known.encode("utf-8", "surrogateescape")
        if end > len(data):
            raise ValueError("with a region behind the end of the file")
        end = len(data[:end].decode("utf-8", "ignore"))
        start = len(data[:start].decode("utf-8", "ignore"))
    if end > len(known):
        raise ValueError("with a region behind the end of the file")
    before, inside = known[:start], known[:end]
    return Region(
        start_line=before.count("\n") + 1,
        start_column=start - (before.rfind("\n") + 1) + 1,
        end_line=inside.count("\n") + 1,
        end_column=end - (inside.rfind("\n") + 1) + 1,
    )


def _lines_given(region: Mapping[str, Any], context: Mapping[str, Any]) -> Mapping[int, str]:
    """Return the whole lines that the file itself quotes, by their numbers."""
    quoted = text(mapping(context.get("snippet")).get("text"))
    first = whole(context.get("startLine"), least=1)
    if quoted and first is not None and whole(context.get("startColumn", 1), least=1) == 1:
        return dict(enumerate(quoted.split("\n"), start=first))
    quoted = text(mapping(region.get("snippet")).get("text"))
    first = whole(region.get("startLine"), least=1)
    if not quoted or first is None:
        return {}
    lines = quoted.removesuffix("\n").split("\n")
    column = whole(region.get("startColumn", 1), least=1) or 1
    end = whole(region.get("endColumn"), least=1)
    if column > 1 and (
        len(lines[0]) < column or (len(lines) == 1 and end == column + len(lines[0]))
    ):
        lines[0] = " " * min(column - 1, _LONGEST_LINE) + lines[0]  # it quotes the region only
    return dict(enumerate(lines, start=first))


# -- URIs


def _joined(base: str, uri: str) -> str:
    """Return an absolute URI, empty where there is none."""
    if _is_absolute(uri):
        return uri
    if not base:
        return f"file://{uri}" if uri.startswith("/") else ""
    if uri.startswith("/"):
        scheme, _, rest = base.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}{uri}"
    return base + uri.replace("\\", "/")


def _is_absolute(uri: str) -> bool:
    scheme, colon, _ = uri.partition(":")
    return bool(colon) and len(scheme) > 1 and set(scheme) <= _SCHEME | set("0123456789+.-")


def _comparable(uri: str) -> str:
    """Return a URI decoded, with one form for local files, and no dots in its path."""
    split = urlsplit(uri.replace("\\", "/"))
    scheme = split.scheme.lower() if len(split.scheme) > 1 else "file"
    host = "" if scheme == "file" and split.netloc in ("localhost", "") else split.netloc
    path = unquote(split.path, errors="surrogateescape")
    path = posixpath.normpath(f"/{path.lstrip('/')}") + ("/" if path.endswith("/") else "")
    return f"{scheme}://{host}{'/' if path == '//' else path}"


def _outside(path: str) -> PurePosixPath:
    parts = [part for part in path.replace("\0", "\N{REPLACEMENT CHARACTER}").split("/") if part]
    kept = [part for part in parts if part not in (".", "..")]
    return PurePosixPath(OUTSIDE, *(bounded(part, 255) for part in kept))
