"""What the server and its two processes say to each other.

Rules this module keeps:
- both sides are ours and of one version, so a message is MessagePack with its length in front; the
  child has parsed hostile files, so what it says is bounded and checked all the same.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from tavo.kept import path_of_text, text_of_path
from tavo.plugins import Rule
from tavo.scan.results import FileResult

__all__ = [
    "Begin", "Done", "Found", "Insertion", "Look", "Looked", "Order", "Place", "Placed",
    "Progress", "Reply", "Stop", "Survey", "read_order", "read_reply", "send",
]  # fmt: skip

_LARGEST_ORDER = 1 << 30
_LARGEST_REPLY = 256 << 20


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Said first: with what to look, how large a file may be, and where results are kept."""

    rules: tuple[Path, ...]
    largest: int
    results: Path | None = None


class Look(msgspec.Struct, frozen=True, tag=True):
    """Look at one text."""

    number: int
    path: PurePosixPath
    content: bytes


class Place(msgspec.Struct, frozen=True, tag=True):
    """Say where a comment can stand that ignores a rule at a line, from 1."""

    number: int
    path: PurePosixPath
    content: bytes
    rule: str
    line: int


class Survey(msgspec.Struct, frozen=True, tag=True):
    """Look at all files of a folder; `open` are those that an editor has changed."""

    number: int
    root: Path
    exclude: tuple[str, ...]
    largest: int
    most: int
    open: dict[PurePosixPath, bytes]


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Stop looking at a folder, with what is known by now."""


Order = Begin | Look | Place | Survey | Stop


class Looked(msgspec.Struct, frozen=True, tag=True):
    """What came of a text, and what its rules say about themselves."""

    number: int
    result: FileResult
    rules: tuple[Rule, ...]
    cpu_s: float


class Insertion(msgspec.Struct, frozen=True):
    """A text, and the line, from 1, at whose beginning or end it has to be put."""

    line: int
    at_end: bool
    text: str


class Placed(msgspec.Struct, frozen=True, tag=True):
    """Where the comment can stand, None for nowhere."""

    number: int
    insertion: Insertion | None


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How many files of a folder have been looked at."""

    number: int
    done: int
    of: int


class Found(msgspec.Struct, frozen=True, tag=True):
    """What was found in a folder: results of files, or of several together."""

    number: int
    results: tuple[FileResult, ...]
    rules: tuple[Rule, ...]
    together: bool


class Done(msgspec.Struct, frozen=True, tag=True):
    """A folder has been looked at, or not: `problem` says why, empty where it was."""

    number: int
    files: int
    problem: str
    problems_of_rules: tuple[str, ...] = ()


Reply = Looked | Placed | Progress | Found | Done

_ENCODER = msgspec.msgpack.Encoder(enc_hook=text_of_path)
_ORDERS = msgspec.msgpack.Decoder(Order, dec_hook=path_of_text)
_REPLIES = msgspec.msgpack.Decoder(Reply, dec_hook=path_of_text)


def send(stream: IO[bytes], message: Order | Reply) -> None:
    """Write a message. Raises OSError when nobody reads any more."""
    body = _ENCODER.encode(message)
    stream.write(len(body).to_bytes(4) + body)
    stream.flush()


def read_order(stream: IO[bytes]) -> Order | None:
    """Return the next order, None at the end."""
    body = _read(stream, _LARGEST_ORDER)
    return None if body is None else _ORDERS.decode(body)


def read_reply(stream: IO[bytes]) -> Reply | None:
    """Return the next reply, None at the end or after one that is none."""
    body = _read(stream, _LARGEST_REPLY)
    try:
        return None if body is None else _REPLIES.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return None


def _read(stream: IO[bytes], largest: int) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    length = int.from_bytes(head)
    if length > largest:
        return None
    body = stream.read(length)
    return body if len(body) == length else None
