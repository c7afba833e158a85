"""The read side of a catalog: what it answers, and which files it refuses although signed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from marketplace_db.errors import CatalogError, NotInCatalogError
from marketplace_db.schema import CATALOG_APPLICATION_ID
from signing.digests import Digest, hash_file
from tests.fakes.operator_market import Marketplace
from tests.fakes.repository import NOW, verified_catalog


@pytest.fixture(scope="module")
def catalog_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    market = Marketplace(tmp_path_factory.mktemp("market"))
    market.approve(market.package(more="tags: [alpha]\n"))
    market.approve(market.package(version="1.10.0"))
    market.approve(market.package(version="1.9.0"))
    market.approve(market.package(version="2.0rc1"))
    market.approve(market.package(publisher="tavo", id="model-files", name="Model files"))
    market.approve(market.package(id="per-cent", name="100% sure_thing"))
    market.approve(market.package(id="gone", name="Gone"))
    market.market.yank("acme/gone", "1.0.0", reason="unsafe", now=NOW)
    with market.market.connection as connection:
        connection.execute(
            "INSERT INTO plugin_reviews (uuid, plugin_version_id, author, rating, title, body,"
            " state, created_at) VALUES ('u', 1, 'Kim', 4, 'Good', 'Works.', 'published',"
            " '2026-11-22T12:00:00Z')"
        )
    return market.release().path


@pytest.fixture
def catalog(catalog_file: Path, tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(verified_catalog(tmp_path, catalog_file), thorough=True) as opened:
        yield opened


def ids(catalog: Catalog, *arguments: str | None) -> list[str]:
    return [row.full_id for row in catalog.search(*arguments)]


def test_search_finds_words_in_any_order(catalog: Catalog) -> None:
    assert ids(catalog) == ["tavo/model-files", "acme/gone", "acme/per-cent", "acme/sample"]
    assert ids(catalog, "FILES model") == ["tavo/model-files"]
    assert ids(catalog, "acme/sam") == ["acme/sample"]
    assert ids(catalog, "alpha") == []
    assert ids(catalog, "nothing at all") == []


def test_wildcards_are_plain_characters(catalog: Catalog) -> None:
    assert ids(catalog, "100%") == ["acme/per-cent"]
    assert ids(catalog, "sure_") == ["acme/per-cent"]
    assert ids(catalog, "%") == ["acme/per-cent"]
    assert ids(catalog, "'; DROP TABLE plugins --") == []
    assert ids(catalog, "\\") == []


def test_search_filters_by_type_and_category(catalog: Catalog) -> None:
    assert len(ids(catalog, "", "static")) == 4
    assert ids(catalog, "", "proxy") == []
    assert len(ids(catalog, "", None, "testing")) == 4
    assert ids(catalog, "", None, "test") == []
    assert catalog.categories() == [("testing", 4)]
    assert len(catalog.search(limit=2)) == 2


def test_a_bare_name_means_tavo(catalog: Catalog) -> None:
    assert catalog.plugin("model-files").full_id == "tavo/model-files"
    assert catalog.release("model-files").full_id == "tavo/model-files"
    assert catalog.plugin(catalog.plugin("acme/sample").uuid).full_id == "acme/sample"


def test_the_newest_final_version_is_the_default(catalog: Catalog) -> None:
    assert catalog.plugin("acme/sample").latest == "1.10.0"
    assert catalog.release("acme/sample").version == "1.10.0"
    assert [release.version for release in catalog.versions("acme/sample")] == [
        "2.0rc1", "1.10.0", "1.9.0", "1.0.0",
    ]  # fmt: skip
    assert [release.seq for release in catalog.releases()] == list(range(1, 8))


def test_a_release_tells_what_acceptance_needs(catalog: Catalog) -> None:
    release = catalog.release("acme/sample", "1.0.0")
    assert release.parsed_manifest().tags == ("alpha",)
    assert isinstance(release.package, Digest)
    assert release.lock_digest is None
    assert len(release.reviewer_envelopes) == 2
    approvals = catalog.approvals("acme/sample", "1.0.0")
    assert tuple(row.envelope for row in approvals) == release.reviewer_envelopes
    (review,) = catalog.reviews("acme/sample")
    assert (review.author, review.rating, review.version) == ("Kim", 4, "1.0.0")


def test_what_was_withdrawn_is_shown_and_not_chosen(catalog: Catalog) -> None:
    assert catalog.plugin("acme/gone").latest is None
    assert catalog.release("acme/gone", "1.0.0").yanked_reason == "unsafe"
    with pytest.raises(NotInCatalogError, match=r"every version of acme/gone was withdrawn"):
        catalog.release("acme/gone")


def test_a_wrong_name_gets_the_nearest_right_one(catalog: Catalog) -> None:
    with pytest.raises(NotInCatalogError, match="did you mean 'tavo/model-files'"):
        catalog.plugin("model-file")
    with pytest.raises(NotInCatalogError, match=r"no plugin 'tavo/nope' in the catalog$"):
        catalog.plugin("nope")  # that both begin with tavo/ makes no name near
    with pytest.raises(NotInCatalogError, match=r"no version '3' of acme/sample .* there are 2"):
        catalog.release("acme/sample", "3")


def test_a_catalog_opens_only_from_a_verified_file(catalog_file: Path) -> None:
    for other in (catalog_file, str(catalog_file)):
        with pytest.raises(TypeError, match=r"only from a signing\.VerifiedFile"):
            Catalog.open(other)  # type: ignore[arg-type]


def test_reading_leaves_the_file_and_its_folder_untouched(
    catalog_file: Path, tmp_path: Path
) -> None:
    verified = verified_catalog(tmp_path, catalog_file)
    with Catalog.open(verified) as catalog:
        catalog.search("x")
        with pytest.raises(sqlite3.OperationalError):
            catalog._connection.execute("DELETE FROM plugins")
    assert hash_file(verified.path)[0] == verified.digest
    assert not list(verified.path.parent.glob("*-journal"))


def test_a_path_with_every_odd_character_opens(catalog_file: Path, tmp_path: Path) -> None:
    with Catalog.open(verified_catalog(tmp_path / "a?b#c%41&d é", catalog_file)) as catalog:
        assert catalog.search()


# -- signed, and still refused: what a stolen catalog key could try


def sql(statement: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript(statement)
        connection.close()

    return change


def poke(offset: int, data: bytes) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[offset : offset + len(data)] = data
        path.write_bytes(content)

    return change


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "trigger": (
        sql("CREATE TRIGGER t AFTER INSERT ON plugins BEGIN SELECT 1; END"),
        "defines 't', which schema version 1 does not have",
    ),
    "view": (sql("CREATE VIEW v AS SELECT 1"), "defines 'v'"),
    "view-for-table": (
        sql("DROP TABLE plugin_reviews; CREATE VIEW plugin_reviews AS SELECT * FROM wheels"),
        "schema version 1 does not have",
    ),
    "extra-table": (sql("CREATE TABLE extra (x)"), "defines 'extra'"),
    "virtual-table": (sql("CREATE VIRTUAL TABLE f USING fts5(x)"), "does not have"),
    "extra-index": (sql("CREATE INDEX i ON plugins (name)"), "defines 'i'"),
    "extra-column": (sql("ALTER TABLE plugins ADD COLUMN x TEXT DEFAULT 1"), "defines 'plugins'"),
    "missing-table": (sql("DROP TABLE plugin_reviews"), "lacks tables of schema version 1"),
    "wal": (sql("PRAGMA journal_mode = WAL"), "is in WAL mode"),
    "later": (sql("PRAGMA user_version = 2"), "has schema version 2, this version of tavo reads"),
    "earlier": (sql("PRAGMA user_version = 0"), "which tavo no longer reads"),
    "other-program": (sql("PRAGMA application_id = 7"), "but not a tavo catalog"),
    "page-size": (sql("PRAGMA page_size = 1024; VACUUM"), "bytes, expected"),
    "not-sqlite": (poke(0, b"SQLite format 4\0"), "is not a SQLite file"),
    "short": (lambda path: path.write_bytes(path.read_bytes()[:50]), "is not a SQLite file"),
    "broken-reference": (
        sql("UPDATE wheels SET plugin_version_id = 99; UPDATE approvals SET plugin_version_id=99"),
        "points to nothing",
    ),
    "broken-page": (poke(4096 * 3, b"\xff" * 200), "damaged|cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_signed_but_hostile_catalog_is_refused(
    name: str, catalog_file: Path, tmp_path: Path
) -> None:
    change, sentence = HOSTILE[name]
    path = tmp_path / "hostile.db"
    path.write_bytes(catalog_file.read_bytes())
    change(path)
    verified = verified_catalog(tmp_path, path)
    with pytest.raises(CatalogError, match=sentence):
        Catalog.open(verified, thorough=True)


@pytest.mark.parametrize(
    "name", ["trigger", "view", "view-for-table", "extra-table", "later", "other-program"]
)
def test_control_sqlite_itself_opens_it(name: str, catalog_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.db"
    path.write_bytes(catalog_file.read_bytes())
    HOSTILE[name][0](path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM plugins").fetchone() == (4,)
    connection.close()


def test_the_future_is_explained(catalog_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    path.write_bytes(catalog_file.read_bytes())
    HOSTILE["later"][0](path)
    with pytest.raises(CatalogError) as caught:
        Catalog.open(verified_catalog(tmp_path, path))
    assert str(caught.value).endswith("this version of tavo reads up to 1")
    assert caught.value.hint == "Update tavo."


def test_a_file_that_shrank_after_it_was_verified_is_refused(
    catalog_file: Path, tmp_path: Path
) -> None:
    verified = verified_catalog(tmp_path, catalog_file)
    verified.path.chmod(0o600)
    verified.path.write_bytes(verified.path.read_bytes()[:-4096])
    with pytest.raises(CatalogError, match="bytes, expected"):
        Catalog.open(verified)


def test_a_signed_file_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"hello")
    with pytest.raises(CatalogError, match="is not a SQLite file"):
        Catalog.open(verified_catalog(tmp_path, path))
    assert CATALOG_APPLICATION_ID == 0x74766374
