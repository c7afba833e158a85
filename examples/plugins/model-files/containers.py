"""What lies in a model file: pickles in archives, in compressed data, behind headers of arrays.

Rules this module keeps:
- what the data begins with decides, not the name: a pickle called model.onnx is a pickle;
- archives are read as loaders read them, which look at neither checksums nor flags; what cannot be
  read is noted, and so is what a loader might read and this module does not: nothing is skipped
  without a word;
- nothing is unpacked to a file; what is unpacked, and how deep, is bounded.

Units: bytes.
"""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

from picklescan.relaxed_zipfile import RelaxedZipFile

__all__ = ["Called", "Note", "Piece", "pieces"]

_LARGEST_UNPACKED = 512 << 20
_LARGEST_CONFIG = 16 << 20
_LARGEST_UNNAMED = 1 << 20
_MOST_MEMBERS = 20_000
_DEEPEST = 4
_PICKLED = {".pkl", ".pickle", ".dill", ".joblib", ".pk", ".pckl", ".sav"}
_ZIP = b"PK\x03\x04"
_NUMPY = b"\x93NUMPY"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LAMBDA = re.compile(rb'"class_name"\s*:\s*"Lambda"')
_BROKEN = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, KeyError, IndexError,
    zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, UnicodeError, SyntaxError,
    MemoryError, RecursionError,
)  # fmt: skip
_CLOSED = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4"),
    (b"ZF0x", "compressed as joblib did before 0.10"),
    (b"GGUF", "a GGUF model, whose chat template is a program in Jinja"),
)
_NAMED = {
    ".onnx": "an ONNX model, which may name files and operators of its own",
    ".pb": "a graph of TensorFlow, which may read and write files",
    ".tflite": "a model of TensorFlow Lite",
    ".mlmodel": "a Core ML model",
    ".gguf": "called a GGUF model, and is none",
    ".ggml": "a GGML model",
    ".h5": "called HDF5, and is none",
    ".hdf5": "called HDF5, and is none",
    ".safetensors": "called safetensors, and is none",
    ".keras": "called a Keras archive, and is none",
    ".7z": "called a 7z archive, and is none",
}


class Piece(NamedTuple):
    """Data that may be pickles; `where` is its place in the file; `is_named` a pickle or not."""

    where: str
    stream: IO[bytes]
    is_named: bool


class Called(NamedTuple):
    """A class or function that a configuration names, in place of a pickle."""

    where: str
    module: str
    name: str


class Note(NamedTuple):
    """What was not read: `kind` is unreadable, not-read, or lambda for code in a layer."""

    where: str
    kind: str
    text: str


def pieces(
    name: str, stream: IO[bytes], where: str = "", depth: int = 0
) -> Iterator[Piece | Called | Note]:
    """Yield what is in a file of this name, and notes on what cannot be said."""
    if depth > _DEEPEST:
        yield Note(where, "unreadable", "Archives lie too deep in each other.")
        return
    suffix = PurePosixPath(name).suffix.lower()
    start = stream.read(512)
    stream.seek(0)
    if start[257:262] == b"ustar":
        yield from _noted(where, _tar(stream, where, depth))
        return
    try:
        is_zip = zipfile.is_zipfile(stream)
    except _BROKEN:
        is_zip = False
    stream.seek(0)
    if is_zip or start.startswith(_ZIP):
        yield from _noted(where, _zip(name, stream, where, depth))
        if start.startswith(_ZIP):
            return
        stream.seek(0)  # a loader of pickles begins at the beginning
    for magic, unpack in _OPENERS:
        if start.startswith(magic):
            unpacked = _unpacked(unpack, stream)
            if unpacked is not None:
                yield from pieces(name, unpacked, where, depth + 1)
                return
            yield Note(where, "unreadable", "The compressed data cannot be unpacked.")
            stream.seek(0)
    if start.startswith(_HDF5):
        yield from _hdf5(name, stream, where)
        return
    if start.startswith(_NUMPY):
        yield from _noted(where, _numpy(stream, where))
        return
    for magic, what in _CLOSED:
        if start.startswith(magic):
            yield Note(where, "not-read", f"This is {what}; it was not looked into.")
            return
    if suffix == ".safetensors" and start[8:9] == b"{" and start[5:8] == b"\0\0\0":
        return
    if start:
        if suffix in _NAMED and not (start[0] == 0x80 and start[1:2] < b"\x06"):
            kind = "unreadable" if "is none" in _NAMED[suffix] else "not-read"
            yield Note(where, kind, f"This is {_NAMED[suffix]}; it was not looked into.")
        yield Piece(where, stream, suffix in _PICKLED)


def _noted(where: str, found: Iterator[Piece | Called | Note]) -> Iterator[Piece | Called | Note]:
    try:
        yield from found
    except _BROKEN as error:
        yield Note(where, "unreadable", f"It cannot be read to its end: {type(error).__name__}.")


def _zip(name: str, stream: IO[bytes], where: str, depth: int) -> Iterator[Piece | Called | Note]:
    suffix = PurePosixPath(name).suffix.lower()
    with RelaxedZipFile(stream) as archive:
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise ValueError("the archive has too many members")
        seen: set[str] = set()
        for member in members:
            inside = f"{where}/{member.filename}".lstrip("/")
            if member.filename in seen:
                yield Note(inside, "unreadable", "The archive has two members of this name.")
            seen.add(member.filename)
            if not member.is_dir():
                yield from _noted(inside, _member(archive, member, suffix, inside, depth))


def _member(
    archive: RelaxedZipFile, member: zipfile.ZipInfo, suffix: str, inside: str, depth: int
) -> Iterator[Piece | Called | Note]:
    name = PurePosixPath(member.filename)
    with archive.open(member) as raw:
        opened = io.BufferedReader(raw)
        start = opened.read(512)
        if suffix == ".keras" and name.name == "config.json":
            text = start + opened.read(_LARGEST_CONFIG)
            yield from _keras(json.loads(text), inside)
            return
        if suffix == ".keras" and name.name.endswith(".weights.h5"):
            return
        known = (_NUMPY, _ZIP, _HDF5, *(magic for magic, _ in (*_OPENERS, *_CLOSED)))
        if (
            name.suffix.lower() in {*_PICKLED, *_NAMED}
            or start.startswith(known)
            or start[257:262] == b"ustar"
            or (start[:1] == b"\x80" and start[1:2] < b"\x06")
            or member.file_size <= _LARGEST_UNNAMED
        ):
            opened.seek(0)
            yield from pieces(name.name, opened, inside, depth + 1)


def _tar(stream: IO[bytes], where: str, depth: int) -> Iterator[Piece | Called | Note]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for number, member in enumerate(archive):
            if number > _MOST_MEMBERS:
                raise ValueError("the archive has too many members")
            opened = archive.extractfile(member) if member.isreg() else None
            if opened is not None:
                inside = f"{where}/{member.name}".lstrip("/")
                yield from pieces(PurePosixPath(member.name).name, opened, inside, depth + 1)


def _numpy(stream: IO[bytes], where: str) -> Iterator[Piece]:
    """Yield the pickle that a NumPy file holds when its items are Python objects.

    Format: numpy.lib.format, versions 1.0 to 3.0.
    """
    start = stream.read(8)
    size = int.from_bytes(stream.read(2 if start[6] == 1 else 4), "little")
    if size > 1 << 20:
        raise ValueError("the NumPy header is longer than 1 MB")
    text = stream.read(size).decode("utf-8" if start[6] >= 3 else "latin-1")
    header = ast.literal_eval(text.strip())
    if "O" in repr(header["descr"]):
        yield Piece(where, io.BytesIO(stream.read(_LARGEST_UNPACKED)), True)


def _hdf5(name: str, stream: IO[bytes], where: str) -> Iterator[Note]:
    kept = b""
    while chunk := stream.read(1 << 20):
        if _LAMBDA.search(kept + chunk):
            yield Note(where, "lambda", "A Lambda layer of this Keras model is code in Python.")
            return
        kept = chunk[-256:]
    yield Note(where, "not-read", "This is an HDF5 file; only Lambda layers were looked for.")


def _keras(value: Any, where: str) -> Iterator[Called | Note]:
    """Yield what a Keras configuration names that is not of Keras."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        if not isinstance(one, dict):
            continue
        waiting += one.values()
        name, module = one.get("class_name"), one.get("module")
        if name in {"Lambda", "__lambda__"}:
            text = "A Lambda layer of this Keras model is code in Python."
            yield Note(where, "lambda", text)
        elif isinstance(module, str) and isinstance(name, str):
            inner = one.get("config")
            called = inner if name == "function" and isinstance(inner, str) else name
            if module.partition(".")[0] not in {"keras", "tf_keras", "tensorflow"} or (
                module.endswith(("saving", "utils", "file_utils")) and name == "function"
            ):
                yield Called(where, module, called)


def _unpacked(unpack: Callable[[bytes], Iterator[bytes]], stream: IO[bytes]) -> IO[bytes] | None:
    unpacked = io.BytesIO()
    try:
        for chunk in unpack(stream.read()):
            unpacked.write(chunk)
            if unpacked.tell() > _LARGEST_UNPACKED:
                raise ValueError(f"unpacks to more than {_LARGEST_UNPACKED >> 20} MB")
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        if not unpacked.tell():
            return None  # what is there of a broken one is read: a loader does that, too
    unpacked.seek(0)
    return unpacked


def _opened(opener: Callable[[IO[bytes]], IO[bytes]]) -> Callable[[bytes], Iterator[bytes]]:
    def chunks(data: bytes) -> Iterator[bytes]:
        with opener(io.BytesIO(data)) as stream:
            while chunk := stream.read(1 << 20):
                yield chunk

    return chunks


def _inflate(data: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    while data and not inflater.eof:
        yield inflater.decompress(data, 1 << 20)
        data = inflater.unconsumed_tail


_OPENERS: tuple[tuple[bytes, Callable[[bytes], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", _opened(gzip.open)),
    (b"BZh", _opened(bz2.open)),
    (b"\xfd7zXZ", _opened(lzma.open)),
    (b"\x5d\x00\x00", _opened(lzma.open)),
    (b"x\x01", _inflate),
    (b"x\x5e", _inflate),
    (b"x\x9c", _inflate),
    (b"x\xda", _inflate),
)
