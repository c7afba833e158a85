"""The page delta between two catalogs: what changed in a file, page by page, byte-exact.

    8 bytes   b"TAVODLT1"
    32        SHA-256 of the file that it starts from
    32        SHA-256 of the file that it makes
    4 + 4 + 4 page size, pages of the made file, pages that follow (big-endian)
    then for each page, in rising order:
      varint  its number, less the number of the page before it and one
      varint  how many old pages are its dictionary, at most 7; then their numbers, one varint each
      varint  length of the bytes that follow: the page, raw deflate (RFC 1951) with that dictionary

Numbers count from 0; a varint has seven bits a byte, the lowest first, and the high bit on all but
the last. The dictionary is the old pages, one after the other, as they were before this delta.

Rules this module keeps:
- a delta is a signed artifact, and hostile all the same: each page inflates to its size and no
  further, counts and lengths are checked before anything is made, and nothing is executed;
- it is made for one file and says which; whether the made file is the signed one is decided by its
  SHA-256 alone, by the caller, after the last delta of a chain;
- the standard library is all it needs.

Units: sizes in bytes, pages of `PAGE`.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from marketplace_db.schema import CATALOG_PAGE_SIZE
from signing.digests import Digest, hash_file
from signing.errors import VerificationError

__all__ = ["MOST_PAGES", "Header", "apply", "delta_name", "make", "read_header"]

PAGE = CATALOG_PAGE_SIZE
MOST_PAGES = 1 << 15  # that one delta changes: 128 MB
_MAGIC = b"TAVODLT1"
_HEADER = struct.Struct(">8s32s32sIII")
_MOST_RESULT = (2 << 30) // PAGE
_MOST_DICTIONARY = 7
_LONGEST_PAGE = PAGE + 1024  # deflate makes what it cannot compress a little longer
_SHINGLE = 12
_MANY = 4000  # pages: from here on only the old page itself is the dictionary
_DAMAGED = "The mirror is damaged or hostile: use another one."


class Header(NamedTuple):
    """What a delta says of itself: from which file to which, and its size in pages."""

    base: Digest
    result: Digest
    pages: int
    changed: int


def delta_name(base: Digest, result: Digest) -> str:
    """Return the file name of a delta, as `0123456789abcdef-0123456789abcdef.tvd`."""
    return f"{base.hex[:16]}-{result.hex[:16]}.tvd"


# -- making


def make(old: Path, new: Path, digests: tuple[Digest, Digest] | None = None) -> bytes | None:
    """Return the delta from one catalog to another; None if too much changed for one.

    `digests` are those of the two files, where they are known. Raises OSError.
    """
    if digests is None:
        before, after = hash_file(old), hash_file(new)
    else:
        before = digests[0], old.stat().st_size
        after = digests[1], new.stat().st_size
    if after[1] % PAGE or before[1] % PAGE or after[1] > _MOST_RESULT * PAGE:
        return None
    with old.open("rb") as first, new.open("rb") as second:
        changed = _changed(first, second)
        if len(changed) > MOST_PAGES:
            return None
        choose = _Chooser(first, before[1] // PAGE, list(changed))
        out = bytearray(
            _HEADER.pack(
                _MAGIC, bytes.fromhex(before[0].hex), bytes.fromhex(after[0].hex), PAGE,
                after[1] // PAGE, len(changed),
            )
        )  # fmt: skip
        last = -1
        for number, content in changed.items():
            pages = choose.dictionary(number, content)
            packer = zlib.compressobj(
                9, zlib.DEFLATED, -15, 9, zdict=b"".join(choose.page(page) for page in pages)
            )
            packed = packer.compress(content) + packer.flush()
            for value in (number - last - 1, len(pages), *pages, len(packed)):
                out += _varint(value)
            out += packed
            last = number
    return bytes(out)


def _changed(old: IO[bytes], new: IO[bytes]) -> dict[int, bytes]:
    """Return the pages of `new` that differ, by number; at most one more than a delta may have."""
    found: dict[int, bytes] = {}
    number, block = 0, 256 * PAGE
    while True:
        one, two = old.read(block), new.read(block)
        if not two:
            return found
        if one != two:
            for start in range(0, len(two), PAGE):
                page = two[start : start + PAGE]
                if page != one[start : start + PAGE]:
                    found[number + start // PAGE] = page
                    if len(found) > MOST_PAGES:
                        return found
        number += block // PAGE


class _Chooser:
    """Finds the old pages that a new page resembles most."""

    def __init__(self, old: IO[bytes], pages: int, changed: Sequence[int]) -> None:
        self._old = old
        self._pages = pages
        self._index: dict[bytes, list[int]] = {}
        if len(changed) > _MANY:
            return
        near = {n + d for n in changed for d in (-1, 0, 1)} | set(range(pages - 7, pages))
        for number in sorted(near):
            if 0 <= number < pages:
                for shingle in _shingles(self.page(number)):
                    self._index.setdefault(shingle, []).append(number)

    def page(self, number: int) -> bytes:
        self._old.seek(number * PAGE)
        return self._old.read(PAGE)

    def dictionary(self, number: int, content: bytes) -> list[int]:
        """Return old pages, the best last: what lies near the end costs least to point at."""
        score: Counter[int] = Counter()
        for shingle in _shingles(content) if self._index else ():
            score.update(self._index.get(shingle, ()))
        own = [number] if number < self._pages else []
        alike = [page for page, _ in score.most_common(_MOST_DICTIONARY) if page not in own]
        return [*reversed(alike[: _MOST_DICTIONARY - len(own)]), *own]


def _shingles(page: bytes) -> set[bytes]:
    """Return a sample of the page's short strings that does not depend on where they stand."""
    return {
        page[at : at + _SHINGLE]
        for at in range(len(page) - _SHINGLE)
        if page[at] & 7 == 5 and page[at + 1] != page[at]
    }


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


# -- applying


def apply(base: Path, digest: Digest, deltas: Sequence[bytes], out: Path) -> None:
    """Apply a chain of deltas to a copy of `base`, whose SHA-256 is `digest`, at `out`.

    The caller compares the SHA-256 of `out` with the signed one. Raises VerificationError for a
    delta that is damaged, made for another file, or larger than a catalog may be; OSError.
    """
    for delta in deltas:
        header = read_header(delta)
        if header.base != digest:
            raise VerificationError(
                f"the delta is for catalog {header.base.short}, not for {digest.short}",
                hint=_DAMAGED,
            )
        digest = header.result
    shutil.copyfile(base, out)
    with out.open("rb+") as stream:
        for delta in deltas:
            length = stream.seek(0, 2)
            header = read_header(delta)
            pages = dict(_pages(delta, header, stream, length // PAGE))
            if missing := next(
                (n for n in range(length // PAGE, header.pages) if n not in pages), None
            ):
                raise _bad(f"lacks the new page {missing}")
            for number, content in pages.items():
                stream.seek(number * PAGE)
                stream.write(content)
            stream.truncate(header.pages * PAGE)


def read_header(delta: bytes) -> Header:
    """Read what a delta says of itself. Raises VerificationError."""
    if len(delta) < _HEADER.size or not delta.startswith(_MAGIC):
        raise _bad("is none, or of a newer format")
    _, base, result, size, pages, changed = _HEADER.unpack_from(delta)
    if size != PAGE:
        raise _bad(f"has pages of {size} bytes, expected {PAGE}")
    if not 0 < pages <= _MOST_RESULT or changed > min(pages, MOST_PAGES):
        raise _bad(f"changes {changed} of {pages} pages; at most {MOST_PAGES} and {_MOST_RESULT}")
    return Header(base=Digest(base.hex()), result=Digest(result.hex()), pages=pages,
                  changed=changed)  # fmt: skip


def _pages(delta: bytes, header: Header, old: IO[bytes], count: int) -> Iterator[tuple[int, bytes]]:
    at, number = _HEADER.size, -1
    for _ in range(header.changed):
        step, at = _number(delta, at)
        number += step + 1
        if number >= header.pages:
            raise _bad(f"changes page {number}, and the catalog has {header.pages}")
        known, at = _number(delta, at)
        if known > _MOST_DICTIONARY:
            raise _bad(f"has {known} pages in a dictionary, at most {_MOST_DICTIONARY}")
        dictionary = b""
        for _ in range(known):
            page, at = _number(delta, at)
            if page >= count:
                raise _bad(f"points at page {page} of an old catalog that has {count}")
            old.seek(page * PAGE)
            dictionary += old.read(PAGE)
        length, at = _number(delta, at)
        if length > _LONGEST_PAGE or at + length > len(delta):
            raise _bad(f"ends in page {number}, or gives it {length} bytes")
        yield number, _inflate(delta[at : at + length], dictionary, number)
        at += length
    if at != len(delta):
        raise _bad(f"has {len(delta) - at} bytes too many")


def _inflate(packed: bytes, dictionary: bytes, number: int) -> bytes:
    unpacker = zlib.decompressobj(-15, zdict=dictionary)
    try:
        content = unpacker.decompress(packed, PAGE + 1)
    except zlib.error as error:
        raise _bad(f"page {number} cannot be inflated: {error}") from None
    if len(content) != PAGE or not unpacker.eof or unpacker.unused_data:
        raise _bad(f"page {number} is not one page of {PAGE} bytes")
    return content


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in (0, 7, 14, 21, 28):
        if at >= len(data):
            raise _bad("ends in the middle")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise _bad("holds a number that is too large")


def _bad(problem: str) -> VerificationError:
    return VerificationError(f"the delta {problem}", hint=_DAMAGED)
