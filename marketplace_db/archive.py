"""Reading zip files from strangers, and writing them in one canonical form.

Rules this module keeps:
- one parser for everything that is read here, and the bytes that it judged are the bytes that it
  unpacks: Python's own zipfile repairs names, skips prefixes and trusts declared sizes;
- the local headers, the central directory and the data must tell the same story, cover the file
  without overlap or gap, and leave nothing before, between or behind;
- what is not understood is refused: encryption, zip64, several disks, unknown methods and flags;
- canonical form adds: names in the order of their UTF-8 bytes, deflate, mode 0644, the time
  1980-01-01, no folders, no extra fields.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5. Sizes in bytes.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from marketplace_db.errors import PackageError
from marketplace_db.paths import NameConflictError, PathSet, name_problem

__all__ = ["Archive", "ArchiveLimits", "Entry", "read_archive", "write_canonical"]

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LOCAL_SIGNATURE = 0x04034B50
_CENTRAL_SIGNATURE = 0x02014B50
_END_SIGNATURE = 0x06054B50
_ZIP64_LOCATOR = b"PK\x06\x07"

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR = 0x0008
_UTF8 = 0x0800
_KNOWN_FLAGS = 0x0006 | _DESCRIPTOR | _UTF8
_UNICODE_PATH = 0x7075

_MADE_BY = 3 << 8 | 20
_NEEDED = 20
_TIME, _DATE = 0, 1 << 5 | 1
_MODE = stat.S_IFREG | 0o644
_LEVEL = 9
_RATIO_FLOOR = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may hold. Ratios are unpacked to packed size, judged above 100 kB."""

    archive_bytes: int
    entries: int
    total_bytes: int
    ratio: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of an archive: its checked name, its unpacked size, where its data lies."""

    name: str
    size: int
    method: int
    crc: int
    start: int
    packed: int


@dataclass(frozen=True, slots=True)
class Archive:
    """The bytes of an archive together with its checked entries, in the archive's order."""

    label: str
    data: bytes
    entries: tuple[Entry, ...]

    def read(self, entry: Entry) -> bytes:
        """Unpack one entry. Raises PackageError when size, checksum or stream do not hold."""
        packed = self.data[entry.start : entry.start + entry.packed]
        if entry.method == _STORED:
            content = packed
        else:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                content = inflater.decompress(packed, entry.size + 1)
            except zlib.error as error:
                raise _refusal(self.label, f"{entry.name!r} is damaged: {error}") from error
            if len(content) <= entry.size and not inflater.eof:
                raise _refusal(self.label, f"{entry.name!r} is cut off")
            if inflater.unused_data or inflater.unconsumed_tail:
                raise _refusal(self.label, f"{entry.name!r} hides data behind its compressed end")
        if len(content) != entry.size:
            raise _refusal(
                self.label, f"{entry.name!r} does not unpack to the {entry.size} bytes it declares"
            )
        if zlib.crc32(content) != entry.crc:
            raise _refusal(self.label, f"{entry.name!r} does not match its checksum")
        return content


def write_canonical(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a zip file in canonical form. The order of `files` does not matter.

    Raises PackageError for a name that `read_archive` would refuse.
    """
    ordered = sorted(files, key=lambda item: item[0].encode())
    _check_names([name for name, _ in ordered], "package")
    body = bytearray()
    directory = bytearray()
    for name, content in ordered:
        deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = deflater.compress(content) + deflater.flush()
        sizes = (zlib.crc32(content), len(packed), len(content))
        directory += _canonical_central(name, *sizes, len(body))
        body += _canonical_local(name, *sizes) + packed
    count = len(ordered)
    end = _END.pack(_END_SIGNATURE, 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)


def _canonical_local(name: str, crc: int, packed: int, size: int) -> bytes:
    raw = name.encode()
    flags = 0 if name.isascii() else _UTF8
    return _LOCAL.pack(
        _LOCAL_SIGNATURE, _NEEDED, flags, _DEFLATED, _TIME, _DATE, crc, packed, size, len(raw), 0
    ) + raw  # fmt: skip


def _canonical_central(name: str, crc: int, packed: int, size: int, offset: int) -> bytes:
    raw = name.encode()
    flags = 0 if name.isascii() else _UTF8
    return _CENTRAL.pack(
        _CENTRAL_SIGNATURE, _MADE_BY, _NEEDED, flags, _DEFLATED, _TIME, _DATE, crc, packed, size,
        len(raw), 0, 0, 0, 0, _MODE << 16, offset,
    ) + raw  # fmt: skip


def read_archive(
    data: bytes, *, label: str, limits: ArchiveLimits, canonical: bool = False
) -> Archive:
    """Check the structure of a zip file and return its entries; nothing is unpacked yet.

    `label` names the archive in messages. Raises PackageError for everything the rules of this
    module refuse.
    """
    if len(data) > limits.archive_bytes:
        raise _refusal(label, f"is larger than {limits.archive_bytes} bytes")
    count, directory = _find_directory(data, label)
    if count > limits.entries:
        raise _refusal(label, f"holds {count} entries, more than {limits.entries}")
    headers = _read_directory(data, directory, count, label)
    files = [header for header in headers if not header.is_folder]
    _check_names([header.name for header in headers], label)
    _check_sizes(files, limits, label)
    ends = _check_coverage(data, headers, directory, label)
    if canonical:
        _check_canonical(data, headers, label)
    entries = tuple(
        Entry(
            name=header.name, size=header.size, method=header.method, crc=header.crc,
            start=ends[header.offset] - header.packed, packed=header.packed,
        )
        for header in files
    )  # fmt: skip
    return Archive(label, data, entries)


@dataclass(frozen=True, slots=True)
class _Header:
    """One record of the central directory."""

    raw: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def _refusal(label: str, problem: str) -> PackageError:
    return PackageError(
        f"{label}: {problem}",
        hint="Do not use this file; fetch it again or ask its publisher for a new package.",
    )


def _find_directory(data: bytes, label: str) -> tuple[int, int]:
    """Return the number of entries and the offset of the central directory."""
    end = len(data) - _END.size
    if end < 0 or data[end : end + 4] != b"PK\x05\x06":
        if b"PK\x05\x06" in data:
            raise _refusal(label, "has a comment or other data behind its end")
        raise _refusal(label, "is not a zip file, or is cut off")
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(data, end)
    if comment:
        raise _refusal(label, "has a comment or other data behind its end")
    if disk or first_disk or here != count:
        raise _refusal(label, "is one part of a zip file on several disks")
    if 0xFFFF in {count, here} or 0xFFFFFFFF in {size, offset}:
        raise _refusal(label, "uses zip64, which no package needs")
    if data[max(end - 20, 0) : end].startswith(_ZIP64_LOCATOR):
        raise _refusal(label, "uses zip64, which no package needs")
    if offset + size != end:
        if offset + size < end:
            raise _refusal(label, "has data in front of its start or behind its directory")
        raise _refusal(label, "declares a directory that reaches beyond its end")
    return count, offset


def _read_directory(data: bytes, offset: int, count: int, label: str) -> list[_Header]:
    end = len(data) - _END.size
    headers = []
    for _ in range(count):
        if offset + _CENTRAL.size > end:
            raise _refusal(label, "declares more entries than its directory holds")
        (
            signature, _made_by, _needed, flags, method, _time, _date, crc, packed, size,
            name_length, extra_length, comment_length, disk, _internal, external, local,
        ) = _CENTRAL.unpack_from(data, offset)  # fmt: skip
        if signature != _CENTRAL_SIGNATURE:
            raise _refusal(label, "has a damaged directory")
        stop = offset + _CENTRAL.size + name_length + extra_length + comment_length
        if stop > end:
            raise _refusal(label, "has a damaged directory")
        name_end = offset + _CENTRAL.size + name_length
        raw = data[offset + _CENTRAL.size : name_end]
        name = _decode(raw, flags, label)
        if comment_length:
            raise _refusal(label, f"{name!r} carries a comment")
        if disk:
            raise _refusal(label, "is one part of a zip file on several disks")
        _check_extra(data[name_end : name_end + extra_length], name, label)
        _check_kind(name, flags, method, external, label)
        if 0xFFFFFFFF in {packed, size, local}:
            raise _refusal(label, f"{name!r} uses zip64, which no package needs")
        headers.append(_Header(raw, name, flags, method, crc, packed, size, local))
        offset = stop
    if offset != end:
        raise _refusal(label, "has data in its directory that belongs to no entry")
    return headers


def _decode(raw: bytes, flags: int, label: str) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise _refusal(label, f"the name {raw!r} is neither ASCII nor marked UTF-8") from None


def _check_extra(extra: bytes, name: str, label: str) -> None:
    """Refuse extra fields that are damaged or would give the entry a second name or size."""
    while extra:
        if len(extra) < 4 or len(extra) < 4 + (length := int.from_bytes(extra[2:4], "little")):
            raise _refusal(label, f"{name!r} has a damaged extra field")
        kind = int.from_bytes(extra[:2], "little")
        if kind == _UNICODE_PATH:
            raise _refusal(label, f"{name!r} carries a second name")
        if kind == 1:
            raise _refusal(label, f"{name!r} uses zip64, which no package needs")
        extra = extra[4 + length :]


def _check_kind(name: str, flags: int, method: int, external: int, label: str) -> None:
    if flags & _ENCRYPTED:
        raise _refusal(label, f"{name!r} is encrypted")
    if flags & ~_KNOWN_FLAGS:
        raise _refusal(label, f"{name!r} uses unknown flags {flags:#06x}")
    if method not in {_STORED, _DEFLATED}:
        raise _refusal(label, f"{name!r} uses the unknown compression method {method}")
    mode = external >> 16
    kind = stat.S_IFMT(mode)
    folder = name.endswith("/")
    if kind == stat.S_IFLNK:
        raise _refusal(label, f"{name!r} is a symbolic link")
    if kind not in {0, stat.S_IFDIR if folder else stat.S_IFREG}:
        raise _refusal(label, f"{name!r} is not a regular file (mode {mode:o})")
    if mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        raise _refusal(label, f"{name!r} has the set-user, set-group or sticky bit (mode {mode:o})")
    if external & 0x10 and not folder:
        raise _refusal(label, f"{name!r} is marked as a folder but named as a file")


def _check_names(names: Iterable[str], label: str) -> None:
    known = PathSet()
    for name in names:
        folder = name.endswith("/")
        bare = name[:-1] if folder else name
        if problem := name_problem(bare):
            raise _refusal(label, f"the name {name!r} {problem}")
        try:
            known.add(bare, folder=folder)
        except NameConflictError as error:
            raise _refusal(label, str(error)) from None


def _check_sizes(files: list[_Header], limits: ArchiveLimits, label: str) -> None:
    total = sum(header.size for header in files)
    if total > limits.total_bytes:
        raise _refusal(label, f"unpacks to {total} bytes, more than {limits.total_bytes}")
    for header in files:
        if header.size > _RATIO_FLOOR and header.size > limits.ratio * header.packed:
            raise _refusal(
                label, f"{header.name!r} unpacks to more than {limits.ratio} times its size"
            )
        if header.method == _STORED and header.size != header.packed:
            raise _refusal(label, f"{header.name!r} is stored but declares two sizes")
    if total > _RATIO_FLOOR and total > limits.ratio * sum(header.packed for header in files):
        raise _refusal(label, f"unpacks to more than {limits.ratio} times its size")


def _check_coverage(
    data: bytes, headers: list[_Header], directory: int, label: str
) -> dict[int, int]:
    """Check that headers and data cover the file exactly; return the data's end per offset."""
    expected = 0
    ends: dict[int, int] = {}
    for header in sorted(headers, key=lambda item: item.offset):
        if header.offset < expected:
            raise _refusal(label, f"{header.name!r} overlaps another entry")
        if header.offset > expected:
            raise _refusal(label, f"has data in front of {header.name!r} that belongs to no entry")
        end = _check_local(data, header, directory, label)
        ends[header.offset] = end
        expected = end
        if header.flags & _DESCRIPTOR:
            expected = _skip_descriptor(data, header, end, label)
    if expected > directory:
        raise _refusal(label, "has data that overlaps its directory")
    if expected < directory:
        raise _refusal(label, "has data in front of its directory that belongs to no entry")
    return ends


def _check_local(data: bytes, header: _Header, directory: int, label: str) -> int:
    """Check one local header against its central record; return where its data ends."""
    if header.offset + _LOCAL.size > directory:
        raise _refusal(label, f"{header.name!r} points outside of the file")
    (
        signature, _needed, flags, method, _time, _date, crc, packed, size, name_length,
        extra_length,
    ) = _LOCAL.unpack_from(data, header.offset)  # fmt: skip
    if signature != _LOCAL_SIGNATURE:
        raise _refusal(label, f"{header.name!r} points to something that is not an entry")
    start = header.offset + _LOCAL.size + name_length + extra_length
    name_start = header.offset + _LOCAL.size
    if data[name_start : name_start + name_length] != header.raw:
        raise _refusal(label, f"{header.name!r} has another name in front of its data")
    told = (crc, packed, size)
    if (flags, method) != (header.flags, header.method) or (
        told != (header.crc, header.packed, header.size)
        and not (flags & _DESCRIPTOR and told == (0, 0, 0))
    ):
        raise _refusal(label, f"{header.name!r} is described in two different ways")
    _check_extra(data[name_start + name_length : start], header.name, label)
    end: int = start + header.packed
    if end > directory:
        raise _refusal(label, f"{header.name!r} reaches into the directory")
    return end


def _skip_descriptor(data: bytes, header: _Header, end: int, label: str) -> int:
    values = struct.pack("<III", header.crc, header.packed, header.size)
    for descriptor in (b"PK\x07\x08" + values, values):
        if data[end : end + len(descriptor)] == descriptor:
            return end + len(descriptor)
    raise _refusal(label, f"{header.name!r} is described in two different ways")


def _check_canonical(data: bytes, headers: list[_Header], label: str) -> None:
    """Compare every header with the one `write_canonical` would have written."""
    offset = 0
    directory = _END.unpack_from(data, len(data) - _END.size)[6]
    previous = b""
    for header in headers:
        if header.is_folder:
            raise _refusal(label, f"not in canonical form: {header.name!r} is a folder")
        if header.raw <= previous:
            raise _refusal(label, f"not in canonical form: {header.name!r} is out of order")
        previous = header.raw
        if header.method != _DEFLATED:
            raise _refusal(label, f"not in canonical form: {header.name!r} is not deflated")
        sizes = (header.crc, header.packed, header.size)
        central = _canonical_central(header.name, *sizes, offset)
        local = _canonical_local(header.name, *sizes)
        if data[directory : directory + len(central)] != central or (
            data[offset : offset + len(local)] != local
        ):
            raise _refusal(
                label,
                f"not in canonical form: {header.name!r} has another time, mode, order or extra"
                " field",
            )
        directory += len(central)
        offset += len(local) + header.packed
