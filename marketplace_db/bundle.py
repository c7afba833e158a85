"""A bundle: one file, or numbered parts, that carries a repository across an air gap.

A bundle is a stream, cut into parts wherever the size of a part says. Each part is

    8192 bytes  the label: the line `TAVO-BUNDLE 1`, a JSON object, and spaces up to a last newline
    then        `length` bytes of the stream, beginning with its byte `start`

and the stream is the list, one line a file, then the files themselves in the list's order:

    <sha256> <length> <path in the repository, or "blob" for blobs/sha256/...>

The label's JSON object has the number of the part, of how many, `start` and `length`, the lengths
of the `stream` and of the `list`, a `summary` for people, and the bundle's id: the SHA-256 of the
summary (JSON, sorted keys, no spaces), a line feed and the list. `head` on any part shows what is
inside and on what base.

Rules this module keeps:
- parts are known by their labels, so their names, their order and their folders do not matter;
- everything is bounded before it is read, and a part is as long as its label says, not longer;
- nothing here is trusted: a bundle's files are read as a `Source`, and verified like any other;
- a bundle is only ever read.

Units: bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from marketplace_db.errors import MirrorError
from marketplace_db.selection import Selection
from signing.digests import Digest
from signing.errors import MissingError, VerificationError, printable
from signing.roles import ARTIFACT_NAME, LIST_VERSION, blob_path, parse_time
from signing.sources import Deadline, DirectorySource

__all__ = [
    "LABEL", "MOST_PARTS", "Bundle", "BundleSource", "Entry", "Label", "Summary", "bundle_id",
    "find_parts", "read_label",
]  # fmt: skip

LABEL = 8192
MOST_PARTS = 9999
_MAGIC = b"TAVO-BUNDLE 1\n"
_SUFFIX = re.compile(r"\.tavob(\.[0-9]{3,4})?\Z", re.IGNORECASE)
_LINE = re.compile(rb"([0-9a-f]{64}) (0|[1-9][0-9]{0,13}) ([!-~]{1,300})")
_PATH = re.compile(
    rf"metadata/(?:timestamp|{LIST_VERSION}\.[a-z]+)\.json"
    rf"|targets/(?:[a-z]+/){{1,4}}{ARTIFACT_NAME}"
)
_LONGEST_LIST = 256 << 20
_LONGEST_STREAM = 1 << 46
_MOST_FILES = 2_000_000
_CHUNK = 1 << 18
_PARTS_WANTED = "Name the parts of a bundle, or the folder that holds them."
_DAMAGED = "Copy this part again, or ask for another copy of the bundle."


class Summary(NamedTuple):
    """What a bundle says of itself, for people and for the order of imports; times as in metadata.

    `timestamp` and `catalog` are versions in it; `base` is the timestamp that an incremental one
    builds on, None for a full one, and `base_catalog` the SHA-256 of its catalog.
    """

    repository: str
    development: bool
    written: str
    issued: str
    expires: str
    root: int
    timestamp: int
    catalog: int
    releases: int
    files: int
    base: int | None = None
    base_catalog: str | None = None
    filters: Selection = Selection()

    @property
    def kind(self) -> str:
        """Return `full` or `incremental`."""
        return "full" if self.base is None else "incremental"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {"kind": self.kind, **self._asdict(), "filters": self.filters.to_dict()}

    @classmethod
    def from_dict(cls, value: object) -> Summary:
        """Read `to_dict`'s form. Raises VerificationError for any other."""
        try:
            if not isinstance(value, dict) or value.keys() != {"kind", *cls._fields}:
                raise ValueError("other fields than expected")
            numbers = ("root", "timestamp", "catalog", "releases", "files")
            if any(type(value[name]) is not int or value[name] < 0 for name in numbers):
                raise ValueError("a number is not one")
            if not re.fullmatch(r"[0-9a-z]{32}", value["repository"]):
                raise ValueError("no repository id")
            for name in ("written", "issued", "expires"):
                parse_time(value[name])
            if (base := value["base"]) is not None:
                Digest(value["base_catalog"])
                if type(base) is not int or base < 1:
                    raise ValueError("its base is no version")
            if not isinstance(value["development"], bool):
                raise ValueError("development is not true or false")
            filters = Selection.from_dict(value["filters"])
            summary = cls(**{name: value[name] for name in cls._fields} | {"filters": filters})
            if value["kind"] != summary.kind:
                raise ValueError("its kind does not fit its base")
        except (ValueError, TypeError, MirrorError) as error:
            raise VerificationError(f"the summary of a bundle: {printable(error)}") from None
        return summary


class Label(NamedTuple):
    """What a part says of itself, and where it lies."""

    path: Path
    bundle: str
    part: int
    parts: int
    start: int
    length: int
    stream: int
    listing: int
    summary: Summary

    @property
    def name(self) -> str:
        """Return what to call the part in messages."""
        return f"part {self.part} of {self.parts} ({self.path})"

    def to_bytes(self) -> bytes:
        """Return the label as it stands before the part's bytes. Raises MirrorError."""
        value = {
            "bundle": self.bundle, "part": self.part, "parts": self.parts, "start": self.start,
            "length": self.length, "stream": self.stream, "list": self.listing,
            "summary": self.summary.to_dict(),
        }  # fmt: skip
        text = _MAGIC + json.dumps(value, indent=1).encode()
        if len(text) >= LABEL:
            raise MirrorError("the filters are too long for a bundle", hint="Use fewer filters.")
        return text.ljust(LABEL - 1) + b"\n"


class Entry(NamedTuple):
    """A file in a bundle: what the list says of it, and where in the stream it begins."""

    digest: Digest
    length: int
    start: int


def bundle_id(summary: Summary, listing: bytes) -> str:
    """Return the id of the bundle with this summary and list."""
    form = json.dumps(summary.to_dict(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(form.encode() + b"\n" + listing).hexdigest()


def read_label(path: Path) -> Label:
    """Read a part's label, and compare the part's length with it.

    Raises MirrorError if it cannot be read or is no part, VerificationError if it is a bad one.
    """
    try:
        with _open(path) as stream:
            data = stream.read(LABEL)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise MirrorError(
            f"{path}: cannot be read: {error.strerror or error}", hint=_PARTS_WANTED
        ) from error
    if not data.startswith(_MAGIC):
        newer = data.startswith(b"TAVO-BUNDLE ")
        raise MirrorError(
            f"{path}: " + ("a bundle of a newer format" if newer else "is no part of a bundle"),
            hint="Use a newer tavo." if newer else _not_a_part(path),
        )
    try:
        value = json.loads(data[len(_MAGIC) :])
        numbers = [value[name] for name in ("part", "parts", "start", "length", "stream", "list")]
        if any(type(number) is not int or not 0 <= number <= _LONGEST_STREAM for number in numbers):
            raise ValueError("a number is not one")
        part, parts, start, length, whole, listing = numbers
        label = Label(path, Digest(value["bundle"]).hex, part, parts, start, length, whole, listing,
                      Summary.from_dict(value["summary"]))  # fmt: skip
        if len(data) != LABEL or not 1 <= label.part <= label.parts <= MOST_PARTS:
            raise ValueError("it is cut off, or its number is none")
        if label.start + label.length > label.stream or label.listing > _LONGEST_LIST:
            raise ValueError("its lengths do not fit")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise VerificationError(
            f"{path}: the label of this part is damaged: {printable(error)}", hint=_DAMAGED
        ) from None
    if size != LABEL + label.length:
        raise VerificationError(
            f"{label.name} has {size} bytes, its label says {LABEL + label.length}", hint=_DAMAGED
        )
    return label


def _not_a_part(path: Path) -> str:
    if path.suffix == ".have":
        return "It is for the next export, as --since; name the parts, or the folder they are in."
    return "Name files that `tavo mirror export` wrote."


def find_parts(places: Sequence[Path]) -> list[Label]:
    """Read the labels of the files named, and of all `.tavob` files in the folders named.

    In folders, names that begin with a dot are passed over.

    Raises as `read_label`, and MirrorError if there is none.
    """
    labels: list[Label] = []
    try:
        for place in places:
            if place.is_dir():
                names = sorted(
                    path
                    for path in place.iterdir()
                    if _SUFFIX.search(path.name) and not path.name.startswith(".")
                )  # what a killed export left, and what macOS puts beside files
                labels += map(read_label, names)
            else:
                labels.append(read_label(place))
    except OSError as error:
        raise MirrorError(
            f"{error.filename}: cannot be read: {error.strerror}", hint=_PARTS_WANTED
        ) from error
    if not labels:
        raise MirrorError(
            f"{', '.join(map(str, places))}: no bundle here",
            hint="Name the files that `tavo mirror export` wrote, or their folder.",
        )
    return labels


class Bundle:
    """All parts of one bundle, with its list read and checked."""

    def __init__(self, labels: Sequence[Label]) -> None:
        """Raise MirrorError for parts that are missing, VerificationError for what does not fit."""
        self.parts = _fit(labels)
        first = self.parts[0]
        self.id, self.summary, self.length = first.bundle, first.summary, first.stream
        self.listing = b"".join(self.read(0, first.listing))
        if bundle_id(self.summary, self.listing) != self.id:
            raise VerificationError(
                f"bundle {self.id:.12}: its list or its summary is not the one it was made with",
                hint=_DAMAGED,
            )
        self.entries = self._entries()

    @classmethod
    def open(cls, places: Sequence[Path]) -> Bundle:
        """Find the parts in files and folders, in any order, and open the bundle."""
        return cls(find_parts(places))

    @property
    def name(self) -> str:
        """Return what to call it in messages."""
        return f"bundle {self.id:.12}"

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Yield bytes of the stream, whichever parts they lie in. Raises MirrorError."""
        end = start + length
        for part in self.parts:
            at, stop = max(start, part.start), min(end, part.start + part.length)
            if at >= stop:
                continue
            try:
                with _open(part.path) as stream:
                    stream.seek(LABEL + at - part.start)
                    while at < stop and (chunk := stream.read(min(_CHUNK, stop - at))):
                        at += len(chunk)
                        yield chunk
            except OSError as error:
                raise MirrorError(
                    f"{part.name} cannot be read: {error.strerror or error}",
                    hint="Is the disk still there? Run the same command again.",
                ) from error
            if at < stop:
                raise VerificationError(f"{part.name} has become shorter", hint=_DAMAGED)

    def part_at(self, start: int) -> Label:
        """Return the part in which a byte of the stream lies."""
        return next(part for part in reversed(self.parts) if part.start <= start)

    def _entries(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        start = len(self.listing)
        lines = self.listing.split(b"\n")
        if lines.pop():
            raise VerificationError(f"{self.name}: its list is cut off", hint=_DAMAGED)
        for line in lines:
            found = _LINE.fullmatch(line)
            if found is None or len(entries) >= _MOST_FILES:
                raise VerificationError(f"{self.name}: its list has a line {line[:100]!r}")
            digest, length = Digest(found[1].decode()), int(found[2])
            path = found[3].decode()
            path = blob_path(digest) if path == "blob" else path
            if not path.startswith("blobs/") and not _PATH.fullmatch(path):
                raise VerificationError(
                    f"{self.name}: {path!r:.120} is no path inside a repository",
                    hint="This bundle is hostile: do not use it.",
                )
            if path in entries or (path.startswith("blobs/") and path != blob_path(digest)):
                raise VerificationError(f"{self.name}: lists {path:.120} twice, or wrongly")
            entries[path] = Entry(digest, length, start)
            start += length
        if start != self.length or len(entries) != self.summary.files:
            raise VerificationError(
                f"{self.name}: has {self.length} bytes and {self.summary.files} files, its list"
                f" names {start} and {len(entries)}",
                hint=_DAMAGED,
            )
        return entries


class BundleSource:
    """A bundle as a source, over the mirror that it is imported into: what it leaves out is there.

    Metadata comes from the bundle alone.
    """

    def __init__(self, bundle: Bundle, below: Path | None = None) -> None:
        self._bundle = bundle
        self._below = None if below is None else DirectorySource(below)

    @property
    def name(self) -> str:
        """Return the bundle's name."""
        return self._bundle.name

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes; see `signing.sources.Source`."""
        return self.read_from(path, 0, deadline)

    def read_from(self, path: str, start: int, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes from `start` on; see `signing.sources.Resumable`."""
        entry = self._bundle.entries.get(path)
        if entry is None:
            if self._below is None or path.startswith("metadata/"):
                raise MissingError(
                    f"{path} from {self.name}: not there", hint="Export a full bundle."
                )
            yield from self._below.read_from(path, start, deadline)
            return
        hasher = hashlib.sha256()
        for chunk in self._bundle.read(entry.start + start, max(0, entry.length - start)):
            deadline.check(f"{path} from {self.name}")
            hasher.update(chunk)
            yield chunk
        if not start and hasher.hexdigest() != entry.digest.hex:
            raise VerificationError(
                f"{path} from {self.name} is not the file that was packed;"
                f" it begins in {self._bundle.part_at(entry.start).name}",
                hint=_DAMAGED,
            )

    def root_versions(self) -> frozenset[int] | None:
        """Return which versions of the root it holds."""
        names = (path.removeprefix("metadata/") for path in self._bundle.entries)
        return frozenset(
            int(name.partition(".")[0]) for name in names if name.endswith(".root.json")
        )


def _open(path: Path) -> Any:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    stream = os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(None, "not a regular file", str(path))
    return stream


def _fit(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Return the parts in order, if they are all there and belong together."""
    first = labels[0]
    by_number: dict[int, Label] = {}
    for label in labels:
        if label.bundle != first.bundle:
            raise VerificationError(
                f"{label.path} belongs to bundle {label.bundle:.12}, {first.path} to"
                f" {first.bundle:.12}",
                hint="Name the parts of one bundle.",
            )
        same = label._replace(path=first.path, part=1, start=0, length=0)
        if same != first._replace(part=1, start=0, length=0):
            raise VerificationError(
                f"{label.path} and {first.path} are parts of one bundle, cut in two ways",
                hint="Name the parts of one cut.",
            )
        if (known := by_number.get(label.part)) and known[2:] != label[2:]:
            raise VerificationError(f"{label.path} and {known.path} both are part {label.part}")
        by_number[label.part] = label
    if missing := [n for n in range(1, first.parts + 1) if n not in by_number]:
        shown = ", ".join(map(str, missing[:20])) + (", …" if len(missing) > 20 else "")
        raise MirrorError(
            f"bundle {first.bundle:.12} has {first.parts} parts; missing: part"
            f"{'s' * (len(missing) > 1)} {shown}",
            hint="Copy all parts to one folder, or name all folders they are in.",
        )
    parts = tuple(by_number[n] for n in range(1, first.parts + 1))
    at = 0
    for part in parts:
        if part.start != at:
            raise VerificationError(f"{part.name} begins at {part.start}, expected {at}")
        at += part.length
    if at != first.stream:
        raise VerificationError(f"bundle {first.bundle:.12}: its parts are {at} bytes, not"
                                f" {first.stream}")  # fmt: skip
    return parts
