"""The releases of a catalog as this machine can use them; and catalogs that lie about them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog, ReleaseRow, WheelRow
from marketplace_db.errors import ConflictError
from marketplace_db.requirement import PluginRequirement
from marketplace_db.resolve import Need, resolve
from signing.digests import Digest
from tavo.host import interpreters as pythons
from tavo.registry.candidates import CatalogCandidates, Choice, choose_for
from tests.fakes.plugin_sets import PluginShop
from tests.fakes.repository import verified_catalog
from tests.fakes.results import replace


@pytest.fixture
def shop(tmp_path: Path) -> PluginShop:
    shop = PluginShop(tmp_path / "shop")
    shop.add("words", "1.0.0")
    return shop


def opened(shop: PluginShop, change: Callable[[sqlite3.Connection], object] | None = None,
           ) -> tuple[Catalog, CatalogCandidates]:  # fmt: skip
    """Sign and open the catalog, after the operator's key was used to change it."""
    shop.operator.release()
    if change is not None:
        with sqlite3.connect(shop.operator.catalog) as connection:
            change(connection)
        connection.close()
    catalog = Catalog.open(verified_catalog(shop.folder / "signed", shop.operator.catalog))
    return catalog, CatalogCandidates(catalog, shop.operator.publishers)


@pytest.mark.parametrize(
    ("more", "python", "reason"),
    [
        ("", "", ""),
        ("compatible_scanner_version: '>=99'\n", "", "needs tavo >=99, this is 0.1.0"),
        ("", ">=3.99", "needs CPython >=3.99, and this machine has "),
    ],
)
def test_what_cannot_be_used_says_why(
    more: str, python: str, reason: str, shop: PluginShop
) -> None:
    shop.add("one", "1.0.0", more=more, python=python)
    catalog, candidates = opened(shop)
    with catalog:
        found = candidates.examine("acme/one", "1.0.0")
    assert found.unusable.startswith(reason)
    assert bool(found.unusable) == bool(reason)


def test_withdrawn_and_recalled_releases_are_candidates_that_say_so(shop: PluginShop) -> None:
    recalled = shop.add("words", "1.1.0")
    shop.add("words", "1.2.0")
    shop.operator.release()
    shop.yank("acme/words", "1.2.0")
    shop.recall(recalled)
    catalog, candidates = opened(shop)
    with catalog:
        assert candidates.examine("acme/words", "1.2.0").unusable == "was withdrawn: it is broken"
        assert candidates.examine("acme/words", "1.1.0").unusable == "was recalled: it steals"
        (found,) = resolve([Need(PluginRequirement("acme/words"))], candidates)
    assert found.version == "1.0.0"


LIES = {
    "a range of Pythons that is none": ("python", '"rm -rf"'),
    "a range of tavo that is none": ("compatible_scanner_version", '"rm -rf"'),
    "needs that are none": ("requires_plugins", '["../x"]'),
    "needs of another type": ("requires_plugins", "7"),
    "itself": ("requires_plugins", '["acme/words"]'),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_catalog_that_lies_about_a_manifest_is_refused_with_a_sentence(
    lie: str, shop: PluginShop
) -> None:
    field, value = LIES[lie]

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE plugin_versions SET manifest = json_set(manifest, ?, json(?))",
            (f"$.{field}", value),
        )

    catalog, candidates = opened(shop, change)
    with (
        catalog,
        pytest.raises(ConflictError, match=r"acme/words 1\.0\.0 (is damaged|needs|names)"),
    ):
        resolve([Need(PluginRequirement("acme/words"))], candidates)


def test_ten_thousand_releases_of_a_real_catalog(shop: PluginShop) -> None:
    def change(connection: sqlite3.Connection) -> None:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
            " INSERT INTO plugin_versions SELECT i, uuid || i, plugin_id, i, '1.' || i || '.0',"
            " api, package, package_length, manifest_digest, lock_digest, permission_digest,"
            " publisher_envelope, manifest, published_at, NULL, NULL FROM plugin_versions, n"
            " WHERE id = 1"
        )

    catalog, candidates = opened(shop, change)
    began = time.process_time()
    with catalog:
        (found,) = resolve([Need(PluginRequirement("acme/words"))], candidates)
    assert found.version == "1.10000.0"
    assert time.process_time() - began < 30


def release(shop: PluginShop, *wheels: str) -> ReleaseRow:
    catalog, candidates = opened(shop)
    with catalog:
        row = candidates.release("acme/words", "1.0.0")
    rows = tuple(WheelRow(filename=name, digest=Digest.of(b""), length=0) for name in wheels)
    return replace(row, wheels=rows)


def test_another_python_is_taken_where_the_running_one_has_no_wheel(shop: PluginShop) -> None:
    row = release(shop, "dep-1.0-cp399-cp399-linux_x86_64.whl")
    problem = choose_for(row, [])
    assert isinstance(problem, str)
    assert f"dep has no wheel for CPython {pythons.running().version} here" in problem
    if len(pythons.interpreters()) < 2:
        pytest.skip("one CPython on this machine")
    other = pythons.interpreters()[1]
    tag = f"cp{other.minor[0]}{other.minor[1]}"
    name = f"dep-1.0-{tag}-{tag}-linux_x86_64.whl"
    assert choose_for(replace(row, wheels=(replace(row.wheels[0], filename=name),)), []) == Choice(
        interpreter=other, wheels=(name,)
    )
