"""Which catalog a machine works with, over time and across sources."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from signing.client import DirectorySource
from signing.errors import ExpiredError, RollbackError, VerificationError
from tavo.errors import ConfigError
from tavo.registry.sources import source_of
from tests.fakes.marketplace import BUILT, Marketplace, MemoryStore


@pytest.fixture
def market(tmp_path: Path) -> Marketplace:
    return Marketplace(tmp_path)


def plugins(file) -> list[str]:
    with Catalog.open(file) as catalog:
        return [row.full_id for row in catalog.search()]


def test_the_embedded_catalog_opens_without_anything_else(market: Marketplace) -> None:
    opened = market.machine(MemoryStore()).open()
    assert plugins(opened.file) == ["tavo/small"]
    assert any("DEVELOPMENT ROOT" in note for note in opened.notes)


@pytest.mark.parametrize("days", [60, 400])
def test_it_still_opens_long_after_the_build_and_says_its_age(
    market: Marketplace, days: int
) -> None:
    opened = market.machine(MemoryStore(), BUILT + timedelta(days=days)).open()
    assert any(f"{days} days old" in note for note in opened.notes)


def test_it_opens_when_the_clock_is_before_the_build(market: Marketplace) -> None:
    assert market.machine(MemoryStore(), BUILT - timedelta(days=1000)).open().file.version


@pytest.mark.parametrize("days", [60, 400])
def test_the_same_metadata_as_a_mirror_is_refused_as_expired(
    market: Marketplace, days: int
) -> None:
    machine = market.machine(MemoryStore(), BUILT + timedelta(days=days))
    with pytest.raises(ExpiredError, match="expired"):
        machine.open(DirectorySource(market.copy("mirror")))


def test_the_same_mirror_is_accepted_while_it_is_fresh(market: Marketplace) -> None:
    machine = market.machine(MemoryStore(), BUILT + timedelta(days=1))
    assert machine.open(DirectorySource(market.copy("mirror"))).record.embedded is False


def test_a_newer_catalog_replaces_the_embedded_one_for_good(market: Marketplace) -> None:
    store = MemoryStore()
    old = market.machine(store)
    market.write_plugin("second", "1.0.0")
    later = BUILT + timedelta(days=1)
    embedded = old._embedded
    market.release(later)
    from tavo.registry.trust import Trust

    machine = Trust(store, market.folder / "cache", embedded=embedded, now=later)
    machine.open(DirectorySource(market.repository))
    again = Trust(store, market.folder / "cache", embedded=embedded, now=later)
    assert plugins(again.open().file) == ["tavo/second", "tavo/small"]


def test_an_older_mirror_than_seen_is_a_rollback(market: Marketplace) -> None:
    store = MemoryStore()
    old_mirror = market.copy("old")
    market.write_plugin("second", "1.0.0")
    market.release(BUILT + timedelta(hours=1))
    later = BUILT + timedelta(hours=2)
    market.machine(store, later).open(DirectorySource(market.repository))
    with pytest.raises(RollbackError, match=r"must be >= \d+|accepted before"):
        market.machine(store, later).open(DirectorySource(old_mirror))


def test_without_the_floor_the_old_mirror_would_have_been_accepted(
    market: Marketplace, tmp_path: Path
) -> None:
    from tavo.registry.trust import Trust

    old_embedded, old_mirror = market.embedded(), market.copy("old")
    fresh = Trust(MemoryStore(), tmp_path / "other", embedded=old_embedded, now=BUILT)
    assert fresh.open(DirectorySource(old_mirror)).file.version


def test_a_catalog_that_was_changed_after_acceptance_is_refused(market: Marketplace) -> None:
    store = MemoryStore()
    mirror = DirectorySource(market.copy("mirror"))
    file = market.machine(store).open(mirror).file
    file.path.write_bytes(file.path.read_bytes().replace(b"small", b"smell"))
    with pytest.raises(VerificationError, match="changed since it was accepted"):
        market.machine(store).open()


def test_a_tampered_catalog_in_a_mirror_is_refused(market: Marketplace) -> None:
    mirror = market.copy("mirror")
    catalog = next((mirror / "targets" / "catalog").glob("*.catalog.db"))
    catalog.write_bytes(catalog.read_bytes().replace(b"small", b"smell"))
    with pytest.raises(VerificationError, match="sha256"):
        market.machine(MemoryStore()).open(DirectorySource(mirror))


def test_a_folder_that_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a repository"):
        source_of(str(tmp_path))


def test_offline_refuses_addresses() -> None:
    with pytest.raises(ConfigError, match="--offline"):
        source_of("https://market.example/repository", offline=True)


def test_plain_http_to_elsewhere_is_no_source() -> None:
    with pytest.raises(ConfigError, match="https"):
        source_of("http://market.example/repository")
