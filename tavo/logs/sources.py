"""Where logs come from: files, folders, globs, standard input; plain or compressed; in blocks.

Rules this module keeps:
- a block is whole lines, at most a few megabytes unless one line is longer; a line longer than the
  bound is cut there, and that is counted;
- compressed data is read as a stream, and stops at a bound of its size and ratio: a bomb costs a
  sentence, not the memory;
- a link in a folder is not followed, and neither is anything but a regular file read;
- a file whose records are not lines (`tavo.logs.folded`), or that is UTF-16, is read as if it were.

Units: sizes and offsets in bytes; in a compressed file, and in one of UTF-16, they are those of the
text in it.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import io
import lzma
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from tavo.errors import InputError
from tavo.logs.encoded import Decoded, decoded, encoding_of
from tavo.logs.folded import folding_of, unfolded
from tavo.logs.rotated import in_order, part_of
from tavo.programs import find_program

__all__ = [
    "BLOCK",
    "LONGEST_LINE",
    "Block",
    "Source",
    "SourceProblem",
    "blocks",
    "find_sources",
    "head",
    "is_log",
    "is_packed",
    "known_source",
    "written_name",
]

BLOCK = 2 << 20
LONGEST_LINE = 32 << 20
_HEAD = 256 << 10
_MOST_RATIO = 250
_RATIO_FROM = 256 << 20
_SUFFIXES = (
    ".jsonl", ".json", ".ndjson", ".log", ".txt", ".csv", ".tsv", ".har", ".out"
)  # fmt: skip
_PACKED = (".gz", ".zst", ".bz2", ".xz")


class SourceProblem(Exception):  # noqa: N818
    """A source cannot be read to its end; the message is a clause that says why."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One log. `name` is what findings call it, relative; `path` is None for standard input.

    `folding` says how records lie in it that are not lines, `encoding` which UTF-16 it is.
    """

    name: str
    path: Path | None
    size: int = 0
    folding: str = ""
    encoding: str = ""

    @property
    def straight(self) -> bool:
        """Tell whether its text lies in the file as it is, so that it can be read anywhere."""
        return self.path is not None and not (self.packed or self.folding or self.encoding)

    @property
    def packed(self) -> str:
        """Return how it is compressed, empty where it is not."""
        suffix = "" if self.path is None else self.path.suffix.lower()
        return suffix[1:] if suffix in _PACKED else ""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Whole lines of a source; `cut` lines of it were longer than the bound."""

    data: bytes
    offset: int
    cut: int = 0


def find_sources(paths: Sequence[str], root: Path) -> tuple[list[Source], list[str]]:
    """Return the logs that paths name, in order, and the files of folders that were left out.

    Parts of a log that was rotated stand in the order of time.

    Raises InputError for a path that leads to nothing.
    """
    found: dict[str, Source] = {}
    left_out: list[str] = []
    for given in paths:
        if given == "-":
            found["-"] = known_source("stdin", None)
            continue
        matches = [Path(given)]
        if not matches[0].exists():
            if not glob.has_magic(given):
                raise InputError(
                    f"{given}: no such file or folder",
                    hint="Name a log, or `-` for standard input.",
                )
            matches = [Path(one) for one in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207
            if not matches:
                raise InputError(f"{given}: no file has such a name")
        for path in matches:
            for file in _below(path, left_out):
                name = _name(file, root)
                if name not in found:
                    found[name] = known_source(name, file)
    return in_order([(one.name, one) for one in found.values()]), left_out


def known_source(name: str, path: Path | None) -> Source:
    """Return a source that knows how its records lie; one that cannot be read is said later."""
    source = Source(name=name, path=path, size=0 if path is None else path.stat().st_size)
    try:
        front = _front(source)
        if encoding := encoding_of(front):
            source = msgspec.structs.replace(source, encoding=encoding)
            front = decoded(front, encoding)
    except SourceProblem:
        return source
    return msgspec.structs.replace(source, folding=folding_of(front, source.name))


def _below(path: Path, left_out: list[str]) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise InputError(f"{path}: is neither a file nor a folder")
    for folder, below, names in os.walk(path):
        below.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_symlink() or not file.is_file():
                left_out.append(written_name(str(file)))
            elif is_log(name):
                yield file
            else:
                left_out.append(written_name(str(file)))


def is_log(name: str) -> bool:
    """Tell whether a file of a folder is a log, by its name."""
    low = name.lower()
    for suffix in _PACKED:
        low = low.removesuffix(suffix)
    log = part_of(low)[0]
    return (
        low.endswith(_SUFFIXES)
        or (log != low and (log.endswith(_SUFFIXES) or "log" in log))
        or low.endswith("log")
    )


def is_packed(name: str) -> bool:
    """Tell whether a file is compressed, by its name."""
    return name.lower().endswith(_PACKED)


def _name(file: Path, root: Path) -> str:
    try:
        name = file.resolve().relative_to(root).as_posix()
    except ValueError:
        name = file.resolve().as_posix().lstrip("/").replace(":", "")
    return written_name(name)


def written_name(name: str) -> str:
    """Return a name with its bytes that are no UTF-8 written out, as reports can hold it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def head(source: Source) -> bytes:
    """Return the first bytes of a source, as lines. Raises SourceProblem."""
    if source.folding:
        if source.path is None:
            pieces = unfolded(io.BytesIO(_front(source)).read, source.folding, _HEAD)
            return b"".join(piece for piece, _, _ in pieces)[:_HEAD]
        return next((block.data for block in blocks(source, size=_HEAD)), b"")
    return _front(source)


def _front(source: Source) -> bytes:
    """Return the first bytes of a source as they are. Raises SourceProblem."""
    if source.path is None:
        look: Any = getattr(sys.stdin.buffer, "peek", None)  # what stands in for it has none
        data = b"" if look is None else bytes(look(_HEAD)[:_HEAD])
        return decoded(data, source.encoding) if source.encoding else data
    data = b""
    with _opened(source, None) as file:
        read = _reader(file)
        while len(data) < _HEAD:
            try:
                more = read(_HEAD - len(data))
            except SourceProblem:
                if not data:
                    raise
                break  # what comes before the damage is read; that it is there is said then
            if not more:
                break
            data += more
    return data


def blocks(
    source: Source, *, start: int = 0, end: int | None = None, size: int = BLOCK
) -> Iterator[Block]:
    """Yield a source in blocks, or the lines of it that begin from `start` up to before `end`.

    Raises SourceProblem where it cannot be read to its end.
    """
    with _opened(source, end) as file:
        if source.folding:
            for data, offset, cut in unfolded(_reader(file), source.folding, size):
                yield Block(data=data, offset=offset, cut=cut)
            return
        at = start
        if start:
            file.seek(start - 1)
            skipped = _skip_line(file)
            at = start - 1 + skipped
        rest = b""
        read = _reader(file)
        while end is None or at < end:
            try:
                data = read(size)
            except SourceProblem:
                if rest:
                    yield Block(data=rest, offset=at)
                raise
            if not data:
                break
            data = rest + data
            cut = data.rfind(b"\n") + 1
            if end is not None and at + cut >= end:
                last = data.find(b"\n", max(0, end - 1 - at)) + 1
                if last:
                    yield Block(data=data[:last], offset=at)
                    return
            if not cut and len(data) < LONGEST_LINE:
                rest = data
                if len(data) > 4 * size:
                    size = min(2 * size, LONGEST_LINE)
                continue
            if not cut:
                yield Block(data=data, offset=at, cut=1)
                at += len(data) + _skip_line(file)
                rest = b""
                continue
            yield Block(data=data[:cut], offset=at)
            at += cut
            rest = data[cut:]
        if rest:
            yield Block(data=rest, offset=at)


def _reader(file: Any) -> Callable[[int], bytes]:
    """Return what reads some bytes: all that come before damage, and then SourceProblem."""
    some = file.read if isinstance(file, io.FileIO) else getattr(file, "read1", file.read)

    def read(size: int) -> bytes:
        try:
            return bytes(some(size))
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise SourceProblem(f"its compressed data is damaged: {error}") from error

    return read


def _skip_line(file: IO[bytes]) -> int:
    """Read over the rest of a line; return how many bytes it had, with its end."""
    count = 0
    while piece := file.readline(1 << 20):
        count += len(piece)
        if piece.endswith(b"\n"):
            break
    return count


def _opened(source: Source, end: int | None) -> Any:
    if source.path is None:
        whole = sys.stdin.buffer
        return _Kept(_in_utf8(whole, source.encoding) if source.encoding else whole)
    try:
        if not source.packed:
            file = source.path.open("rb", buffering=1 << 16)
            return _in_utf8(file, source.encoding) if source.encoding else file
        unpacked = io.BufferedReader(_Bounded(_unpacked(source), source.size), 1 << 20)
        return _in_utf8(unpacked, source.encoding) if source.encoding else unpacked
    except OSError as error:
        raise SourceProblem(f"it cannot be opened: {error.strerror}") from error


def _in_utf8(file: Any, encoding: str) -> Any:
    return io.BufferedReader(Decoded(file, encoding), 1 << 20)


def _unpacked(source: Source) -> IO[bytes]:
    path = source.path
    assert path is not None  # noqa: S101
    if source.packed == "gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if source.packed == "bz2":
        return bz2.open(path, "rb")
    if source.packed == "xz":
        return lzma.open(path, "rb", preset=None)
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return _by_zstd(path)
    return zstd.open(path, "rb")  # type: ignore[no-any-return,unused-ignore]


def _by_zstd(path: Path) -> IO[bytes]:
    program = find_program("zstd")
    if program is None:
        raise SourceProblem(
            "reading .zst needs CPython 3.14 or the program zstd on PATH; or unpack it first"
        )
    process = subprocess.Popen(
        [str(program), "-dcq", "--", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    return cast(IO[bytes], _Program(process))


class _Program(io.RawIOBase):
    """The output of a program that unpacks a file; one that fails is a damaged file."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        out = self._process.stdout
        assert out is not None  # noqa: S101
        data = out.read1(len(buffer))  # type: ignore[attr-defined]
        if not data and self._process.wait():
            errors = self._process.stderr.read() if self._process.stderr else b""
            raise OSError(errors.decode("utf-8", "replace").strip()[-200:] or "zstd failed")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
        super().close()


class _Bounded(io.RawIOBase):
    """Unpacked data up to a ratio that no honest log has."""

    def __init__(self, inner: IO[bytes], packed_size: int) -> None:
        self._inner = inner
        self._some: Callable[[int], bytes] = getattr(inner, "read1", inner.read)
        self._most = max(_RATIO_FROM, packed_size * _MOST_RATIO)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._some(len(buffer))
        self._read += len(data)
        if self._read > self._most:
            raise SourceProblem(
                f"it unpacks to more than {_MOST_RATIO} times its size, which no log does: the rest"
                " was not read"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()


class _Kept:
    """Standard input, which is not ours to close."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner

    def __enter__(self) -> IO[bytes]:
        return self._inner

    def __exit__(self, *_: object) -> None:
        return


def lines_of(data: bytes) -> Iterable[bytes]:
    """Return the lines of a block without their ends."""
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines
