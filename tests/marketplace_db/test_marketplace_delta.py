"""Page deltas between catalogs: byte-exact, small, and hostile ones refused."""

from __future__ import annotations

import random
import sqlite3
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace_db import delta as module
from marketplace_db.delta import PAGE, apply, delta_name, make, read_header
from signing.digests import Digest
from signing.errors import VerificationError
from tests.fakes.operator_market import Marketplace

DIGESTS = 8 + 64


def page(seed: int) -> bytes:
    return random.Random(seed).randbytes(PAGE)


def file(path: Path, *pages: bytes) -> Path:
    path.write_bytes(b"".join(pages))
    return path


class Pair:
    """Two catalogs and the delta between them."""

    def __init__(self, folder: Path, old: list[bytes], new: list[bytes]) -> None:
        self.folder = folder
        self.old = file(folder / "old.db", *old)
        self.new = file(folder / "new.db", *new)
        made = make(self.old, self.new)
        assert made is not None
        self.delta = made

    def apply(self, *deltas: bytes, base: Path | None = None) -> bytes:
        base = base or self.old
        out = self.folder / "out.db"
        apply(base, Digest.of(base.read_bytes()), deltas or (self.delta,), out)
        return out.read_bytes()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    old = [page(n) for n in range(12)]
    new = [*old, page(3)[:2000] + page(99)[:2096]]
    new[4] = new[4][:100] + b"changed" + new[4][107:]
    return Pair(tmp_path, old, new)


def test_a_delta_gives_the_very_bytes_and_is_small(pair: Pair) -> None:
    assert pair.apply() == pair.new.read_bytes()
    header = read_header(pair.delta)
    assert (header.pages, header.changed) == (13, 2)
    assert len(pair.delta) < 2400  # the new half of a page cannot be compressed
    assert delta_name(header.base, header.result).endswith(".tvd")


def test_the_next_catalog_of_a_market_is_made_from_the_last_one(tmp_path: Path) -> None:
    market = Marketplace(tmp_path)
    for number in range(12):
        market.approve(market.package(id=f"plugin-{number}"))
    market.release()
    old = tmp_path / "old.db"
    old.write_bytes(market.catalog.read_bytes())
    market.approve(market.package(id="plugin-3", version="1.1.0"))
    market.release()
    made = make(old, market.catalog)
    assert made is not None
    apply(old, Digest.of(old.read_bytes()), [made], tmp_path / "out.db")
    assert (tmp_path / "out.db").read_bytes() == market.catalog.read_bytes()
    assert len(made) < market.catalog.stat().st_size / 20


def test_a_chain_is_applied_in_order(pair: Pair, tmp_path: Path) -> None:
    third = file(tmp_path / "third.db", page(77), *[page(n) for n in range(1, 6)])  # it shrinks
    second = make(pair.new, third)
    assert second is not None
    assert pair.apply(pair.delta, second) == third.read_bytes()
    with pytest.raises(VerificationError, match="is for catalog"):
        pair.apply(second, pair.delta)


@settings(max_examples=60, deadline=None)
@given(
    old=st.lists(st.integers(0, 6), max_size=9),
    new=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), min_size=1, max_size=9),
)
def test_whatever_changed_the_bytes_are_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    old: list[int],
    new: list[tuple[int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("delta")
    pages = [bytes([cut]) * cut + page(number)[cut:] for number, cut in new]
    pair = Pair(folder, [page(number) for number in old], pages)
    assert pair.apply() == pair.new.read_bytes()


def test_a_wrong_base_is_refused(pair: Pair, tmp_path: Path) -> None:
    other = file(tmp_path / "other.db", *[page(n) for n in range(12, 24)])
    with pytest.raises(VerificationError, match=r"the delta is for catalog \w+…?, not for"):
        pair.apply(base=other)
    lied = pair.delta[:8] + bytes.fromhex(Digest.of(other.read_bytes()).hex) + pair.delta[40:]
    try:  # control: a lie about the base makes other bytes, which the signed digest stops
        assert pair.apply(lied, base=other) != pair.new.read_bytes()
    except VerificationError:
        pass


def header(pages: int = 1, changed: int = 1, size: int = PAGE) -> Callable[[Pair], bytes]:
    def make_it(pair: Pair) -> bytes:
        return pair.delta[:DIGESTS] + struct.pack(">III", size, pages, changed)

    return make_it


def with_page(body: bytes, pages: int = 1) -> Callable[[Pair], bytes]:
    return lambda pair: header(pages=pages)(pair) + body


def packed(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(content) + packer.flush()
    assert len(data) < 1 << 14
    return bytes([len(data) & 127 | 128, len(data) >> 7]) + data


BOMB = packed(bytes(8_000_000))
HOSTILE: dict[str, tuple[Callable[[Pair], bytes], str]] = {
    "bomb": (
        lambda pair: header()(pair) + b"\0\0" + packed(bytes(4_000_000)),
        "page 0 is not one page of|or gives it",
    ),
    "bomb of pages": (header(pages=1 << 19, changed=1 << 16), "changes 65536 of 524288 pages"),
    "bomb of length": (header(pages=1 << 31), "changes 1 of 2147483648 pages"),
    "holes": (lambda pair: header(pages=1 << 19, changed=0)(pair), "lacks the new page 12"),
    "short page": (with_page(b"\0\0" + packed(bytes(PAGE - 1))), "is not one page"),
    "long page": (with_page(b"\0\0" + packed(bytes(PAGE + 1))), "is not one page"),
    "no page": (with_page(b"\0\0\0"), "is not one page"),
    "more after a page": (
        with_page(b"\0\0" + bytes([7]) + b"\x03\0\0\0\0\0\0"), "is not one page"
    ),
    "garbage": (with_page(b"\0\0\x03\xff\xff\xff"), "cannot be inflated"),
    "page outside": (with_page(b"\x05\0" + packed(bytes(PAGE))), "changes page 5"),
    "dictionary outside": (with_page(b"\0\1\x7f" + packed(bytes(PAGE))), "points at page 127"),
    "huge dictionary": (with_page(b"\0\x7f" + b"\0" * 127), "127 pages in a dictionary"),
    "number without end": (with_page(b"\xff" * 40), "number that is too large"),
    "length beyond the end": (with_page(b"\0\0\xff\x1f"), "ends in page 0, or gives it 4095"),
    "bytes too many": (lambda pair: pair.delta + b"x", "1 bytes too many"),
    "truncated": (lambda pair: pair.delta[:-1], "ends in page 12"),
    "truncated head": (lambda pair: pair.delta[:40], "is none, or of a newer format"),
    "empty": (lambda pair: b"", "is none, or of a newer format"),
    "newer format": (lambda pair: b"TAVODLT2" + pair.delta[8:], "of a newer format"),
    "other page size": (header(size=512), "has pages of 512 bytes, expected 4096"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_delta_is_refused(pair: Pair, name: str) -> None:
    change, sentence = HOSTILE[name]
    with pytest.raises(VerificationError, match=sentence):
        pair.apply(change(pair))


def test_control_without_its_bound_a_bomb_unpacks() -> None:
    size = (BOMB[0] & 127) | BOMB[1] << 7
    assert len(zlib.decompress(BOMB[2 : 2 + size], -15)) == 8_000_000


@pytest.mark.parametrize("at", range(0, 2400, 59))
def test_a_flipped_bit_never_gives_the_signed_bytes_or_a_defect(pair: Pair, at: int) -> None:
    damaged = bytearray(pair.delta)
    damaged[at % len(damaged)] ^= 4
    try:
        made = pair.apply(bytes(damaged))
    except VerificationError:
        return
    # What is left is a header that names another result: the bytes decide, not the name.
    assert made != pair.new.read_bytes() or 40 <= at % len(damaged) < 72


def test_a_change_of_everything_gets_no_delta(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PAGES", 3)
    old = file(tmp_path / "a", *[page(n) for n in range(5)])
    new = file(tmp_path / "b", *[page(n) for n in range(5, 10)])
    assert make(old, new) is None
    assert make(old, file(tmp_path / "c", b"no whole page")) is None


def test_the_made_file_is_a_database(pair: Pair, tmp_path: Path) -> None:
    old, new = tmp_path / "one.db", tmp_path / "two.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(f"row {n}",) for n in range(5000)])
        connection.commit()
    new.write_bytes(old.read_bytes())
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("UPDATE t SET x = 'other' WHERE rowid = 2500")
        connection.execute("DELETE FROM t WHERE rowid > 4000")
        connection.commit()
        connection.execute("VACUUM")
    made = make(old, new)
    assert made is not None
    apply(old, Digest.of(old.read_bytes()), [made], tmp_path / "out.db")
    assert (tmp_path / "out.db").read_bytes() == new.read_bytes()
