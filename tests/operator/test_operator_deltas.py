"""Deltas from the operator's release to a user's update: used, bounded, and never needed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import signing.fetching
from marketplace_db.catalog import Catalog
from marketplace_db.delta import make
from signing import chain
from signing.chain import SHARE
from signing.client import DirectorySource
from signing.repository import Repository
from signing.roles import CATALOG_NAME
from signing.sources import Deadline
from tavo.operator import marketplace
from tests.fakes.operated import Client, Operated


class Counting(DirectorySource):
    """A source that says what was read from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.sizes: dict[str, int] = {}

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        for chunk in super().read(path, deadline):
            self.sizes[path] = self.sizes.get(path, 0) + len(chunk)
            yield chunk

    @property
    def catalogs(self) -> int:
        return len([path for path in self.sizes if path.endswith(".catalog.db")])

    @property
    def deltas(self) -> list[str]:
        return [path for path in self.sizes if path.endswith(".tvd")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Operated:
    """A market whose catalog is so large that a day's change is a small part of it."""
    operated = Operated(tmp_path_factory.mktemp("operated"))
    for number in range(30):
        operated.approve(operated.hand_in(id=f"plugin-{number}", version="1.0.0"))
    operated.release()
    return operated


@pytest.fixture
def operated(made: Operated, tmp_path: Path) -> Operated:
    """A copy of it for one test."""
    copy = object.__new__(Operated)
    copy.__dict__.update(made.__dict__)
    copy.folder = tmp_path
    copy.directory = tmp_path / "market"
    shutil.copytree(made.directory, copy.directory)
    return copy


def plugins(client: Client, source: DirectorySource) -> tuple[int, tuple[str, ...]]:
    opened = client.update(source)
    with Catalog.open(opened.file, thorough=True) as catalog:
        return len(list(catalog.releases())), opened.notes


def test_an_update_fetches_the_delta_and_not_the_catalog(operated: Operated) -> None:
    client = Client(operated)
    client.update()
    released = operated.add(id="plugin-3", version="1.1.0")
    assert 0 < released.delta < released.length * SHARE
    source = Counting(operated.tree)
    assert plugins(client, source) == (31, ())
    assert (source.catalogs, len(source.deltas)) == (0, 1)
    fresh = Counting(operated.tree)  # control: without a catalog there is nothing to start from
    assert plugins(Client(operated, "fresh"), fresh) == (31, ())
    assert (fresh.catalogs, len(fresh.deltas)) == (1, 0)


def test_who_was_away_follows_a_chain_while_it_is_worth_it(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, late = Client(operated), Client(operated, "late")
    client.update()
    late.update()
    released = [operated.add(id=f"plugin-{number}", version="1.1.0") for number in range(3)]
    total = sum(one.delta for one in released)
    source = Counting(operated.tree)
    assert plugins(client, source)[0] == 33
    assert (source.catalogs, len(source.deltas)) == (0, 3)
    assert sum(source.sizes[path] for path in source.deltas) == total
    monkeypatch.setattr(chain, "SHARE", (total - 1) / released[-1].length)
    source = Counting(operated.tree)
    plugins(late, source)
    assert (source.catalogs, len(source.deltas)) == (1, 0)


def test_the_last_deltas_are_kept(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marketplace, "_KEPT_DELTAS", 3)
    names = []
    for number in range(5):
        operated.add(id=f"plugin-{number}", version="1.1.0")
        with operated.open() as place:
            names.append(place._chain(place.repository.published("catalog/catalog.db")))
            assert set(names[-1]) == set(place.repository.names("catalog/deltas/"))
    assert [len(chain) for chain in names] == [2, 3, 3, 3, 3]
    assert names[-1][1:] == names[-2][:2]


def test_a_release_of_nothing_has_no_delta(operated: Operated) -> None:
    released = operated.release()
    assert (released.changed, released.delta) == (False, 0)


def forge(operated: Operated, content: bytes) -> None:
    """Sign other bytes as the newest delta, as a thief of the catalog's key can."""
    with operated.open() as place:
        (newest, *_) = place._chain(place.repository.published("catalog/catalog.db"))
    path = operated.folder / newest.rpartition("/")[2]
    path.write_bytes(content)
    Repository.open(operated.tree, operated.keys).publish(deltas=[path], now=operated.now)


@pytest.mark.parametrize("kind", ["another result", "garbage", "truncated", "missing", "tampered"])
def test_a_delta_that_does_not_lead_there_costs_a_fetch_and_is_told(
    operated: Operated, kind: str
) -> None:
    client = Client(operated)
    base = client.update().file.path
    operated.add(id="plugin-3", version="1.1.0")
    (delta,) = [p for p in (operated.tree / "targets/catalog/deltas").iterdir()
                if f".{base.name[:16]}-" in p.name]  # fmt: skip
    content = delta.read_bytes()
    if kind == "another result":
        other = operated.folder / "other.db"
        other.write_bytes(base.read_bytes().replace(b"Sample", b"Simple"))
        made = make(base, other)
        assert made is not None
        forge(operated, made)
    elif kind == "garbage":
        forge(operated, b"x" * 100)
    elif kind == "truncated":
        forge(operated, content[:-10])
    elif kind == "missing":
        delta.unlink()
    else:
        delta.write_bytes(content[:-1] + b"!")
    source = Counting(operated.tree)
    count, notes = plugins(client, source)
    assert (count, source.catalogs) == (31, 1)
    assert any("the whole catalog was fetched, as deltas did not lead" in note for note in notes)
    assert not list(client.cache.rglob(".new-*"))


def test_control_without_the_comparisons_another_result_would_be_taken(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(operated)
    base = client.update().file.path
    released = operated.add(id="plugin-3", version="1.1.0")
    other = operated.folder / "other.db"
    other.write_bytes(base.read_bytes().replace(b"Sample", b"Simple"))
    made = make(base, other)
    assert made is not None
    forge(operated, made)
    monkeypatch.setattr(chain, "hash_file", lambda path: (released.catalog, 0))
    real = signing.fetching.check_file
    monkeypatch.setattr(
        signing.fetching, "check_file",
        lambda file: None if file.name == CATALOG_NAME else real(file),
    )  # fmt: skip
    assert client.update().file.path.read_bytes() == other.read_bytes()


def test_a_catalog_in_the_cache_that_was_damaged_is_no_base(operated: Operated) -> None:
    client = Client(operated)
    base = client.update().file.path
    data = bytearray(base.read_bytes())
    data[-1] ^= 1
    base.write_bytes(data)
    operated.add(id="plugin-3", version="1.1.0")
    source = Counting(operated.tree)
    assert plugins(client, source)[0] == 31
    assert source.catalogs == 1


def test_a_mirror_carries_the_deltas(operated: Operated) -> None:
    from marketplace_db.mirror import sync
    from signing.client import TrustState

    client = Client(operated)
    client.update()
    operated.add(id="plugin-3", version="1.1.0")
    mirror = operated.folder / "mirror"
    sync(
        operated.tree, mirror, root=operated.root, cache=operated.folder / "mirror-cache",
        state=TrustState(), now=operated.now, build_time=operated.now,
    )  # fmt: skip
    source = Counting(mirror)
    assert plugins(client, source)[0] == 31
    assert (source.catalogs, len(source.deltas)) == (0, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("step", range(8))
def test_killed_at_any_step_the_old_catalog_works_and_the_next_update_ends_it(
    operated: Operated, step: int
) -> None:
    client = Client(operated)
    before = client.update().file.digest
    released = operated.add(id="plugin-3", version="1.1.0")
    child = os.fork()
    if not child:
        left = [step]
        for owner, name in ((Path, "replace"), (os, "fsync"), (shutil, "copyfile")):
            _die_at(owner, name, left)
        try:
            client.update()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGKILL, 0)
    assert step > 3 or status
    assert client.trust().open().file.digest == before
    assert client.update().file.digest == released.catalog


def _die_at(owner: Any, name: str, left: list[int]) -> None:
    """Let a function kill this process when it is called for the last time."""
    real = getattr(owner, name)

    def replacement(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(owner, name, replacement)
