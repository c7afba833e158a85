"""What travels in the file and what does not: read strictly, bounded, and told to who installs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from signing.client import DirectorySource
from signing.errors import SourceError
from signing.roles import blob_path
from tavo.errors import ConfigError, InputError
from tavo.operator import embed as building
from tavo.operator.plugin_wheels import Extent, fetch, wanted, write_lengths
from tavo.operator.shelf import Shelf, lengths_file, read_lengths
from tavo.registry.install import prepare
from tavo.registry.origin import lacking, origin_of
from tavo.registry.trust import OpenCatalog, Trust
from tests.fakes.marketplace import Marketplace, MemoryStore
from tests.fakes.operator_market import wheel_bytes

OTHER = "dep-1.0-cp311-cp311-win_amd64.whl"


def lock_line(wheels: dict[str, bytes]) -> str:
    hashes = " ".join(f"--hash=sha256:{hashlib.sha256(data).hexdigest()}"
                      for data in wheels.values())  # fmt: skip
    return f"dep==1.0 {hashes}  # {' '.join(wheels)}\n"


def write_native(market: Marketplace, name: str, wheels: dict[str, bytes]) -> None:
    folder = market.write_plugin(
        name, "1.0.0", more='permissions: {native_code: true}\ndependencies: ["dep==1.0"]\n'
    )
    (folder / "requirements.txt").write_text("dep==1.0\n")
    (folder / "requirements.lock").write_text(lock_line(wheels))


@cache  # a zip holds the time at which it was made
def wheel_for(name: str) -> bytes:
    return wheel_bytes(files={"dep/which.py": name.encode()})


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Marketplace:
    """One plugin inside of the file, one with a wheel for here and one for elsewhere, a heavy."""
    market = Marketplace(tmp_path_factory.mktemp("market"))
    any_system = {"dep-1.0-py3-none-any.whl": wheel_for("any"), OTHER: wheel_for("other")}
    write_native(market, "outside", any_system)
    write_native(market, "large", any_system)
    (market.folder / "wheels").mkdir()
    (market.folder / "wheels" / "dep-1.0-py3-none-any.whl").write_bytes(wheel_for("any"))
    (market.plugins / "shelf.yaml").write_text("embedded: [small]\nheavy: [large]\n")
    (market.plugins / "sizes").mkdir()
    for plugin in ("outside", "large"):
        lengths_file(market.plugins, plugin).write_text(
            json.dumps({name: len(data) for name, data in any_system.items()})
        )
    market.release(datetime(2026, 11, 22, 13, tzinfo=UTC))
    return market


def opened(market: Marketplace, folder: Path, source: Path | None = None) -> OpenCatalog:
    trust = Trust(MemoryStore(), folder / "cache", embedded=market.embedded(),
                  now=datetime(2026, 11, 22, 14, tzinfo=UTC))  # fmt: skip
    return trust.open(DirectorySource(source) if source else None)


def test_the_catalog_is_whole_and_only_some_packages_are_inside(
    market: Marketplace, tmp_path: Path
) -> None:
    found = opened(market, tmp_path)
    inside = market.embedded().source.path
    with Catalog.open(found.file) as catalog:
        assert [row.full_id for row in catalog.search()] == [
            "tavo/large", "tavo/outside", "tavo/small",
        ]  # fmt: skip
        for name in ("small", "outside", "large"):
            release = catalog.release(name)
            assert (market.repository / blob_path(release.package)).exists()
            assert (inside / blob_path(release.package)).exists() is (name == "small")
            for digest in (release.publisher_envelope, *release.reviewer_envelopes):
                assert (inside / blob_path(digest)).exists()
        origin = origin_of(found, catalog.release("small"))
        assert origin.in_file
        assert origin.size == catalog.release("small").length
        outside = catalog.release("outside")
        there = origin_of(found, outside)
        assert (there.in_file, there.problem) == (False, "")
        assert there.size == outside.length + len(wheel_for("any"))


def test_what_is_not_inside_is_refused_with_the_way_to_it(
    market: Marketplace, tmp_path: Path
) -> None:
    found = opened(market, tmp_path)
    with Catalog.open(found.file) as catalog, pytest.raises(SourceError) as error:
        prepare(found, catalog, "outside", None, tmp_path)
    assert str(error.value) == (
        "tavo/outside 1.0.0: is not inside of this file; it comes from the marketplace or a mirror"
        " of it (0.1 MB for this system)"
    )
    assert "`tavo registry install outside --mirror SOURCE`" in error.value.hint


def test_a_mirror_has_it(market: Marketplace, tmp_path: Path) -> None:
    found = opened(market, tmp_path, market.repository)
    with Catalog.open(found.file) as catalog:
        assert prepare(found, catalog, "outside", None, tmp_path).wheels


def test_heavy_wheels_are_rows_and_no_files(market: Marketplace, tmp_path: Path) -> None:
    shelf = Shelf.read(market.plugins)
    assert wanted(shelf, "large", Extent()) == frozenset()
    assert len(wanted(shelf, "large", Extent(heavy=True))) == 1
    assert len(wanted(shelf, "large", Extent(everything=True, heavy=True))) == 2
    named = Extent(everything=True, heavy=True, ids=frozenset({"large"}))
    assert [len(wanted(shelf, one, named)) for one in ("large", "outside")] == [2, 1]
    found = opened(market, tmp_path)
    with Catalog.open(found.file) as catalog:
        (other,) = (one for one in catalog.release("large").wheels if one.filename == OTHER)
    assert other.length == len(wheel_for("other"))
    assert not (market.repository / blob_path(other.digest)).exists()


def test_a_full_build_has_and_checks_every_wheel(market: Marketplace, tmp_path: Path) -> None:
    full = Marketplace.__new__(Marketplace)
    full.folder, full.plugins = tmp_path, tmp_path / "plugins"
    for name in ("plugins", "wheels", "keys"):
        shutil.copytree(market.folder / name, tmp_path / name)
    now = datetime(2026, 11, 22, 15, tzinfo=UTC)

    def build() -> None:
        building.embed(
            plugins=full.plugins, wheels=tmp_path / "wheels", keys=tmp_path / "keys",
            repository=full.repository, embedded=tmp_path / "embedded", now=now,
            extent=Extent(everything=True, heavy=True),
        )  # fmt: skip

    (tmp_path / "wheels" / OTHER).write_bytes(wheel_for("another one, longer"))
    with pytest.raises(ConfigError, match=r"is \d+ bytes long, not \d+") as error:
        build()
    assert "plugins --sizes large" in error.value.hint
    (tmp_path / "wheels" / OTHER).write_bytes(wheel_for("other"))
    build()
    digest = hashlib.sha256(wheel_for("other")).hexdigest()
    assert (full.repository / "blobs" / "sha256" / digest[:2] / digest).exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("embedded: [small]\n", "expected the keys embedded and heavy, found 'embedded'"),
        ("embedded: [small]\nheavy: []\nmore: []\n", "expected the keys embedded and heavy"),
        ("embedded: [small]\nheavy: [small]\n", "small is in both lists"),
        ("embedded: [smal]\nheavy: []\n", "embedded: there is no plugin 'smal'"),
        ("embedded: [small, small]\nheavy: []\n", "embedded: small is there twice"),
        ("embedded: small\nheavy: []\n", "embedded: expected a list of ids, found 'small'"),
        ("- small\n", "found no mapping"),
    ],
)
def test_a_wrong_list_stops_the_build(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "plugin.yaml").write_text("")
    (tmp_path / "shelf.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        Shelf.read(tmp_path)
    assert sentence in str(error.value)


def rebuild(market: Marketplace, folder: Path, shelf: str) -> None:
    copy = Marketplace.__new__(Marketplace)
    copy.folder, copy.plugins = folder, folder / "plugins"
    for name in ("plugins", "wheels", "keys"):
        shutil.copytree(market.folder / name, folder / name)
    (copy.plugins / "shelf.yaml").write_text(shelf)
    copy.release(datetime(2026, 11, 22, 15, tzinfo=UTC))


def test_native_code_cannot_be_inside(market: Marketplace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"outside: cannot be inside of the file: {OTHER}"):
        rebuild(market, tmp_path, "embedded: [small, outside]\nheavy: [large]\n")


def test_the_file_has_bounded_room(
    market: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = "embedded: [small]\nheavy: [large]\n"
    rebuild(market, tmp_path / "fits", shelf)
    monkeypatch.setattr(building, "LARGEST_EMBEDDED", 100)
    with pytest.raises(ConfigError, match=r"are \d+ bytes together, more than 100: small \d+"):
        rebuild(market, tmp_path / "not", shelf)


def test_a_heavy_plugin_without_lengths_says_how_to_get_them(
    market: Marketplace, tmp_path: Path
) -> None:
    lengths = lengths_file(market.plugins, "large")
    data = lengths.read_bytes()
    try:
        lengths.unlink()
        with pytest.raises(ConfigError, match="large: is heavy") as error:
            rebuild(market, tmp_path / "none", "embedded: [small]\nheavy: [large]\n")
        assert error.value.hint.endswith("`python3 build.py plugins --sizes large`.")
        lengths.write_text('{"dep-1.0-py3-none-any.whl": 5, "gone.whl": 1}')
        with pytest.raises(ConfigError, match=f"{OTHER} is missing"):
            rebuild(market, tmp_path / "old", "embedded: [small]\nheavy: [large]\n")
        lengths.write_text('{"dep-1.0-py3-none-any.whl": "5"}')
        with pytest.raises(ConfigError, match="expected lengths in bytes"):
            read_lengths(market.plugins, "large")
    finally:
        lengths.write_bytes(data)


def test_wheels_are_taken_by_name_and_digest(
    market: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One from a folder in the place of an index, for another system; one from beside a plugin."""
    shelf = Shelf.read(market.plugins)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path / "index")),
                        ("PIP_CONFIG_FILE", os.devnull)):  # fmt: skip
        monkeypatch.setenv(name, value)
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / OTHER).write_bytes(wheel_for("other"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dep-1.0-py3-none-any.whl").write_bytes(wheel_for("any"))
    out = tmp_path / "out"
    assert fetch(shelf.lock("outside"), out, [tmp_path / "own"]) == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        OTHER: wheel_for("other"), "dep-1.0-py3-none-any.whl": wheel_for("any"),
    }  # fmt: skip
    assert fetch(shelf.lock("outside"), out) == 0
    (out / OTHER).write_bytes(b"damaged")
    (tmp_path / "index" / OTHER).write_bytes(wheel_for("of somebody else"))
    with pytest.raises(InputError, match=f"{OTHER} cannot be fetched: ") as error:
        fetch(shelf.lock("outside"), out)
    assert "PIP_FIND_LINKS" in error.value.hint


def test_lengths_of_what_lies_here_are_measured(market: Marketplace, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    shutil.copytree(market.plugins, plugins)
    (tmp_path / OTHER).write_bytes(wheel_for("other"))
    (tmp_path / "dep-1.0-py3-none-any.whl").write_bytes(wheel_for("any"))
    lengths_file(plugins, "outside").unlink()
    write_lengths(Shelf.read(plugins), "outside", tmp_path)
    assert read_lengths(plugins, "outside") == read_lengths(market.plugins, "outside")


def test_systems_without_a_wheel_are_named() -> None:
    assert lacking([]) == ()
    assert lacking(["a-1-py3-none-any.whl"]) == ()
    assert lacking(["a-1-py3-none-any.whl", "b-1-cp311-abi3-manylinux2014_x86_64.whl"]) == (
        "linux-aarch64", "macos-arm64", "windows-x86_64",
    )  # fmt: skip
    assert lacking([
        "b-1-cp311-cp311-win_amd64.whl", "b-1-cp312-cp312-win_amd64.whl",
        "b-1-py3-none-macosx_11_0_universal2.whl", "b-1-py3-none-manylinux2014_x86_64.whl",
        "b-1-py3-none-manylinux2014_aarch64.whl",
    ]) == ("windows-x86_64 with CPython 3.13, 3.14",)  # fmt: skip
