"""Writing bundles: out of a verified mirror, or out of a bundle with parts of another size.

Rules this module keeps:
- what is packed was verified before, and is hashed once more while it is written;
- parts get their names when all of them are written, and parts of an earlier cut go then;
- what the other side has is known from the file `.have` that lies beside each bundle, from a full
  bundle, or from a mirror: a wrong one costs an import that names what is missing, and no more.

Units: bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from marketplace_db.bundle import (
    LABEL,
    MOST_PARTS,
    Bundle,
    Label,
    Summary,
    bundle_id,
    find_parts,
)
from marketplace_db.errors import MirrorError
from marketplace_db.mirror import read_hint
from marketplace_db.mirror_copy import Observer, reports_of
from marketplace_db.selection import Contents, Selection
from marketplace_db.site import Site
from signing.chain import DELTAS, Step, chain_to
from signing.client import DirectorySource, Refreshed, TrustState
from signing.digests import Digest, hash_file
from signing.errors import VerificationError
from signing.files import flush_folders, write_atomically
from signing.roles import CATALOG_NAME, blob_path, format_time

__all__ = ["Exported", "Have", "export", "part_size", "read_have", "recut"]

_CHUNK = 1 << 20
_SMALLEST_PART = 16 << 10
_LARGEST_PART = 1 << 46
_NAMED_SIZES = {"cd": 650 << 20, "dvd": 4_700_000_000 // 2048 * 2048, "4G": (4 << 30) - 1}
_HAVE_MAGIC = "TAVO-HAVE 1"
_HAVE_LINE = re.compile(r"[0-9a-f]{64}")
_LONGEST_HAVE = 256 << 20


class Have(NamedTuple):
    """What the other side has: the version and catalog of its mirror, and its files' digests."""

    repository: str
    timestamp: int
    catalog: str
    digests: frozenset[str]


class Exported(NamedTuple):
    """What was written. `refreshed` is None for a bundle that was cut again."""

    parts: tuple[Path, ...]
    bytes: int
    bundle: str
    summary: Summary
    have: Path | None
    missing_reports: int
    refreshed: Refreshed | None


class _Item(NamedTuple):
    """A file of the bundle. `data` is None for what lies in the mirror: there may be many."""

    path: str
    digest: Digest
    length: int
    data: bytes | None


def part_size(text: str) -> int:
    """Read a size such as `4G`, `dvd`, `cd`, `700M` or `1000000`. Raises MirrorError.

    K, M and G count in 1024; `4G` is the largest file that FAT32 holds, one byte less than 4 GiB.
    """
    if text in _NAMED_SIZES:
        return _NAMED_SIZES[text]
    found = re.fullmatch(r"([1-9][0-9]{0,14})([KMG]?)", text)
    size = int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]] if found else 0
    if not _SMALLEST_PART <= size <= _LARGEST_PART:
        raise MirrorError(
            f"{text!r:.40}: not a size of parts",
            hint="Give cd, dvd, 4G, or a number of bytes from 16K on, such as 700M or 2G.",
        )
    return size


def read_have(place: Path) -> Have:
    """Read what the other side has: a `.have` file, a full bundle, or a mirror's folder.

    Raises MirrorError, VerificationError.
    """
    if (hint := read_hint(place)) is not None:
        names = (
            path.name for folder in ("blobs", "targets") for path in (place / folder).rglob("*")
        )
        if not _HAVE_LINE.fullmatch(str(hint.get("catalog_sha256"))):
            raise MirrorError(
                f"{place}: its mirror.json does not name its catalog",
                hint="Run `tavo mirror sync` or `tavo mirror import` into it once.",
            )
        return Have(
            str(hint.get("repository")), _version(hint.get("timestamp")),
            str(hint.get("catalog_sha256")),
            frozenset(name[:64] for name in names if _HAVE_LINE.match(name)),
        )  # fmt: skip
    try:
        if place.is_file() and place.stat().st_size <= _LONGEST_HAVE:
            with place.open("rb") as stream:
                begins = stream.read(len(_HAVE_MAGIC)) == _HAVE_MAGIC.encode()
            if begins:
                return _parse_have(place)
    except OSError as error:
        raise MirrorError(f"{place}: cannot be read: {error.strerror}") from error
    bundle = Bundle.open([place])
    if bundle.summary.base is not None:
        raise MirrorError(
            f"{place}: is incremental, and does not tell all that the other side has",
            hint="Name the .have file that lies beside it, or the last full bundle.",
        )
    catalog = next((e.digest.hex for path, e in bundle.entries.items()
                    if path.endswith(".catalog.db")), "")  # fmt: skip
    digests = frozenset(entry.digest.hex for entry in bundle.entries.values())
    return Have(bundle.summary.repository, bundle.summary.timestamp, catalog, digests)


def _parse_have(place: Path) -> Have:
    try:
        lines = place.read_text(encoding="ascii").split("\n")
        repository, timestamp, catalog = lines[1].split(" ")
        if any(not _HAVE_LINE.fullmatch(line) for line in lines[2:-1]) or lines[-1]:
            raise ValueError
        return Have(repository, int(timestamp), Digest(catalog).hex, frozenset(lines[2:-1]))
    except (ValueError, IndexError, UnicodeDecodeError):
        raise MirrorError(
            f"{place}: is damaged", hint="Name another copy of it, or the last full bundle."
        ) from None


def _version(value: object) -> int:
    return value if type(value) is int else 0


def export(
    mirror: Path,
    out: Path,
    *,
    size: int,
    since: Have | None,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
    reporter: Observer | None = None,
) -> Exported:
    """Write a bundle of a mirror into the folder `out`, in parts of at most `size` bytes.

    With `since` it holds only what the other side lacks. Raises the errors of
    `signing.client.refresh`, MirrorError, and VerificationError for a file that is not the signed
    one.
    """
    refreshed = Site(root, cache, state, now, build_time).read(DirectorySource(mirror))
    record = refreshed.record
    hint = read_hint(mirror) or {}
    if since is not None and since.repository != record.repository:
        raise MirrorError(
            f"--since is of another repository ({since.repository:.12})", hint="Name another."
        )
    selection = Selection.from_dict(hint.get("filters", {}))
    contents = Contents(refreshed.catalog, selection)
    reports = dict.fromkeys(reports_of(mirror, contents.statements()))
    held = [digest for digest in reports if (mirror / blob_path(digest)).is_file()]
    files = [
        _Item(f"metadata/{name}", Digest.of(data), len(data), data)
        for name, data in sorted(refreshed.metadata.items())
    ]
    places = {one.path: one.digest for one in refreshed.artifacts}
    places |= {blob_path(digest): digest for digest, _ in contents.blobs()}
    places |= {blob_path(digest): digest for digest in held}
    known = since.digests | _by_deltas(refreshed, since) if since else frozenset[str]()
    for path, digest in places.items():
        if digest.hex not in known:
            files.append(_Item(path, digest, _length(mirror / path), None))
    summary = Summary(
        repository=record.repository,
        development=record.development,
        written=format_time(now),
        issued=format_time(record.issued),
        expires=format_time(record.expires),
        root=record.root_version,
        timestamp=record.floors["timestamp"].version,
        catalog=refreshed.catalog.version,
        releases=contents.releases,
        files=len(files),
        base=since.timestamp if since else None,
        base_catalog=since.catalog if since else None,
        filters=selection,
    )
    listing = b"".join(
        b"%s %d %s\n"
        % (
            one.digest.hex.encode(),
            one.length,
            b"blob" if one.path.startswith("blobs/") else one.path.encode(),
        )
        for one in files
    )
    lengths = len(listing) + sum(one.length for one in files)
    parts = _write(
        out, size, summary, listing, lengths, lambda: _chunks(mirror, files, listing), reporter
    )  # fmt: skip
    have = out / f"{_stem(summary)}.have"
    digests = sorted({digest.hex for digest in places.values()})
    head = (
        f"{_HAVE_MAGIC}\n{record.repository} {summary.timestamp} {refreshed.catalog.digest.hex}\n"
    )
    with _told(out):
        write_atomically(have, (head + "".join(f"{one}\n" for one in digests)).encode())
    return Exported(
        parts, lengths + LABEL * len(parts), bundle_id(summary, listing), summary, have,
        len(reports) - len(held), refreshed,
    )  # fmt: skip


def recut(
    places: list[Path], out: Path, *, size: int, reporter: Observer | None = None
) -> Exported:
    """Write a bundle again with parts of another size, checking every file in it by its digest.

    Nothing is verified against signatures here: the import does that. Errors as `Bundle.open`.
    """
    bundle = Bundle.open(places)
    here = {part.path.resolve() for part in bundle.parts}
    if any(out.resolve() == path.parent for path in here):
        raise MirrorError(
            f"{out}: holds the bundle that is read", hint="Choose another folder for the new parts."
        )

    def chunks() -> Iterator[bytes]:
        yield bundle.listing
        for path, entry in bundle.entries.items():
            hasher = hashlib.sha256()
            for chunk in bundle.read(entry.start, entry.length):
                hasher.update(chunk)
                yield chunk
            if hasher.hexdigest() != entry.digest.hex:
                raise VerificationError(
                    f"{path} in {bundle.name} is not the file that was packed; it begins in"
                    f" {bundle.part_at(entry.start).name}",
                    hint="Copy this part again.",
                )

    parts = _write(
        out, size, bundle.summary, bundle.listing, bundle.length, chunks, reporter
    )  # fmt: skip
    total = bundle.length + LABEL * len(parts)
    return Exported(parts, total, bundle.id, bundle.summary, None, 0, None)


def _by_deltas(refreshed: Refreshed, since: Have) -> frozenset[str]:
    """Return the digest of the catalog if deltas lead to it from the one the other side has."""
    catalog = next(one for one in refreshed.artifacts if one.name == CATALOG_NAME)
    steps = [
        Step(one.name, one.path, one.digest, one.length)
        for one in refreshed.artifacts
        if one.role == "catalog" and one.name.startswith(DELTAS)
    ]
    try:
        base = Digest(since.catalog)
    except ValueError:
        return frozenset()
    chain = chain_to(catalog.digest, catalog.length, steps, [(base, Path())])
    return frozenset([catalog.digest.hex]) if chain else frozenset()


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise MirrorError(
            f"{path}: cannot be read: {error.strerror}",
            hint="Run `tavo mirror sync` into this folder again.",
        ) from error


def _chunks(mirror: Path, files: list[_Item], listing: bytes) -> Iterator[bytes]:
    yield listing
    for one in files:
        if one.data is not None:
            yield one.data
            continue
        place = mirror / one.path
        try:
            if hash_file(place) != (one.digest, one.length):
                raise VerificationError(
                    f"{place}: is not the file that was signed",
                    hint="Run `tavo mirror sync` into this folder again: it repairs the file.",
                )
            with place.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise MirrorError(f"{place}: cannot be read: {error.strerror}") from error


def _stem(summary: Summary) -> str:
    base = "" if summary.base is None else f"-since-{summary.base}"
    return f"tavo-{summary.repository[:8]}-{summary.timestamp}{base}"


@contextlib.contextmanager
def _told(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MirrorError(
            f"{error.filename or out}: cannot be written: {error.strerror or error}",
            hint="Free some space or choose another folder, then run the same command again.",
        ) from error


def _write(
    out: Path,
    size: int,
    summary: Summary,
    listing: bytes,
    length: int,
    chunks: Callable[[], Iterator[bytes]],
    reporter: Observer | None,
) -> tuple[Path, ...]:
    """Write the stream as parts; return their paths."""
    room = size - LABEL
    count = max(1, -(-length // room))
    if count > MOST_PARTS:
        raise MirrorError(
            f"{length} bytes make {count} parts of this size, at most {MOST_PARTS} are possible",
            hint="Choose larger parts.",
        )
    stem = f"{_stem(summary)}.tavob"
    names = [out / (stem if count == 1 else f"{stem}.{n:03}") for n in range(1, count + 1)]
    fresh = [path.with_name(f".new-{path.name}") for path in names]
    identity = bundle_id(summary, listing)
    if reporter:
        reporter.begin("writing the bundle", count)
    try:
        with _told(out):
            out.mkdir(parents=True, exist_ok=True)
            for killed in out.glob(f".new-{stem}*"):
                killed.unlink()
            pending, left = chunks(), b""
            for number, path in enumerate(fresh):
                start = number * room
                label = Label(path, identity, number + 1, count, start, min(room, length - start),
                              length, len(listing), summary)  # fmt: skip
                with path.open("wb") as stream:
                    stream.write(label.to_bytes())
                    left = _fill(stream, label.length, pending, left)
                    stream.flush()
                    os.fsync(stream.fileno())
                if reporter:
                    reporter.advance()
            if left or next(pending, b""):
                raise MirrorError("a file grew while it was packed", hint="Run it again.")
            old = [label.path for label in _there(out, stem) if label.path not in names]
            for path, name in zip(fresh, names, strict=True):
                path.replace(name)
            flush_folders([out, out.parent])  # the new parts are there before the old ones go
            for path in old:
                path.unlink()
            flush_folders([out])
    finally:
        for path in fresh:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        if reporter:
            reporter.end()
    return tuple(names)


def _there(out: Path, stem: str) -> list[Label]:
    """Return the parts of an earlier cut of this bundle."""
    paths = [
        path
        for path in out.iterdir()
        if path.name == stem or re.fullmatch(re.escape(stem) + r"\.[0-9]{3,4}", path.name)
    ]
    try:
        return find_parts(paths) if paths else []
    except (MirrorError, VerificationError):
        raise MirrorError(
            f"{out}: holds files named {stem} that are no parts of a bundle",
            hint="Choose another folder, or move them away.",
        ) from None


def _fill(stream: IO[bytes], length: int, pending: Iterator[bytes], left: bytes) -> bytes:
    """Write `length` bytes; return what is left of the last chunk."""
    while length:
        chunk = left or next(pending, b"")
        if not chunk:
            raise MirrorError("a file shrank while it was packed", hint="Run it again.")
        stream.write(chunk[:length])
        left, length = chunk[length:], max(0, length - len(chunk))
    return left
