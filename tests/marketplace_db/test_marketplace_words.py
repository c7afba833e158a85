"""The index of words beside a catalog: the same answers with it, without it, and against it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace_db import words as module
from marketplace_db.catalog import Catalog
from marketplace_db.words import WordIndex
from signing.digests import Digest
from tests.fakes.kernel import ROOT
from tests.fakes.repository import verified_catalog
from tests.fakes.unprivileged import NOBODY, SYSTEM_PYTHON, needs_root
from tests.fakes.wordy_catalog import ODD_WORDS, write_catalog

TEXTS = (
    "scanner", "SCANNER", "  scanner ", "canne", "acme/scan", "ai", "a", "x", "Q", "ai scanner",
    "ai lo", "tavo", "testing", '["testing"]', "supply-chain scanner prompt", "nothing at all",
    "scanner-77", "77", "ananas", "nana", "nan ana", "日", "日本", "本語", "é", "E", "%", "_", "\\",
    "'; DROP TABLE plugins --", '"', '""', "\0", "scan\0ner", "\n", "\ud800", "ΣΑΣ σας", "K",
    "kelvin", "ss", "SS", "straSSe", "🦊", "🦊f", "🦊fo", "scanner" * 30, "a b c d e f g h i j",
    "a " * 499, "a " * 600, "x" * 1000, "x" * 60_000,
    "rowid:1", "words", "text : agent", "NEAR(agent prompt)", "agent AND prompt", "agent*",
    *ODD_WORDS,
)  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("catalog")
    verified = verified_catalog(folder, write_catalog(folder / "wordy.db"))
    with Catalog.open(verified, thorough=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def made(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> WordIndex:
    index = WordIndex.of(catalog, tmp_path_factory.mktemp("words"))
    assert index is not None
    return index


@pytest.fixture
def index(catalog: Catalog, made: WordIndex, tmp_path: Path) -> WordIndex:
    """An index that a test may spoil."""
    shutil.copyfile(made.path, tmp_path / made.path.name)
    found = WordIndex.of(catalog, tmp_path)
    assert found is not None
    return found


def ids(catalog: Catalog, text: str, index: WordIndex | None = None, **more: object) -> list[str]:
    return [row.full_id for row in catalog.search(text, index=index, **more)]  # type: ignore[arg-type]


# -- the same answers


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
def test_the_same_plugins_in_the_same_order(catalog: Catalog, made: WordIndex, text: str) -> None:
    for limit in (1, 3, 20, 1000):
        assert catalog.search(text, limit=limit, index=made) == catalog.search(text, limit=limit)
    for where in (("static", None), (None, "testing"), ("proxy", "supply-chain")):
        assert catalog.search(text, *where, index=made) == catalog.search(text, *where)
    assert made.path.exists()  # nothing took it for damaged


@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    text=st.lists(
        st.one_of(
            st.sampled_from((*ODD_WORDS, "scanner", "agent", "prompt", "ai", "log")).flatmap(
                lambda word: st.builds(
                    lambda start, end: word[start : max(end, start + 1)],
                    st.integers(0, len(word) - 1),
                    st.integers(1, len(word)),
                )
            ),
            st.text(min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=3,
    ).map(" ".join),
    limit=st.sampled_from((1, 5, 1000)),
)
def test_the_same_for_parts_of_words(
    catalog: Catalog, made: WordIndex, text: str, limit: int
) -> None:
    assert catalog.search(text, limit=limit, index=made) == catalog.search(text, limit=limit)


def test_the_texts_do_find_something(catalog: Catalog) -> None:
    """The two tests above compare more than empty lists."""
    assert sum(bool(ids(catalog, text)) for text in TEXTS) > len(TEXTS) / 2
    assert len(ids(catalog, "scanner")) > 100
    assert ids(catalog, "scanner")[:3] == ["tavo/scanner", "acme/scanner", "zoo/scanner"]


def test_the_index_does_narrow_the_search_down(made: WordIndex) -> None:
    """The comparison would hold for an index that names every plugin, too."""
    assert len(list(made.candidates(["ananas"], "") or ())) < 100
    assert list(made.candidates(["nosuchword"], "") or ()) == []
    assert list(made.candidates(["q7"], "") or ()) == []
    assert made.candidates(["日"], "") is None  # all rows are read


def test_an_index_is_made_once_and_for_one_catalog(
    catalog: Catalog, made: WordIndex, tmp_path: Path
) -> None:
    said: list[str] = []
    first = WordIndex.of(catalog, tmp_path / "new" / "folder", say=said.append)
    assert first is not None
    assert said == ["Indexing the words of 40399 plugins, once for this catalog."]
    assert first.path.name == f"{catalog.verified.digest.hex}.words.db"
    assert first.path.read_bytes() == made.path.read_bytes()
    assert first.path.stat().st_mode & 0o777 == 0o600
    before = first.path.stat().st_mtime_ns
    assert WordIndex.of(catalog, first.path.parent, say=said.append) is not None
    assert first.path.stat().st_mtime_ns == before
    assert len(said) == 1


def test_the_next_catalog_gets_its_own_and_old_ones_go(
    catalog: Catalog, index: WordIndex, tmp_path: Path
) -> None:
    folder = index.path.parent
    for number in range(6):
        old = folder / f"{number:064x}.words.db"
        old.write_bytes(b"old")
        os.utime(old, (1_000 + number, 1_000 + number))
    (folder / ".new-killed").write_bytes(b"half")
    os.utime(folder / ".new-killed", (1_000, 1_000))
    (folder / ".new-being-written").write_bytes(b"half")
    path = write_catalog(tmp_path / "next.db", seed=8)
    with Catalog.open(verified_catalog(tmp_path / "next", path)) as following:
        found = WordIndex.of(following, folder)
        assert found is not None
        assert found.path != index.path
        assert following.search("agent", index=found) == following.search("agent")
    kept = {path.name for path in folder.iterdir() if path.is_file()} - {"next.db"}
    assert kept == {
        found.path.name, index.path.name, ".new-being-written",
        f"{5:064x}.words.db", f"{4:064x}.words.db",
    }  # fmt: skip


def test_a_small_catalog_has_none(tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "small.db", plugins=10)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE plugins SET id = id - 39999")
        connection.commit()
    with Catalog.open(verified_catalog(tmp_path, path)) as small:
        assert WordIndex.of(small, tmp_path / "words") is None
    assert not (tmp_path / "words").exists()


# -- an index that lies: hits are hidden, and nothing else


def change(statement: str) -> Callable[[Path], object]:
    def apply(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(statement)

    return apply


LIES = {
    "hides-a-plugin": "DELETE FROM places WHERE full_id LIKE 'acme/%'",
    "names-another": "UPDATE places SET full_id = 'acme/scanner' WHERE full_id LIKE 'tavo/%'",
    "names-what-is-not-there": "UPDATE places SET full_id = 'evil/' || plugin_id",
    "claims-an-exact-id": "UPDATE places SET plugin_id = 'agent'",
    "moves-official-ones": "UPDATE places SET place = place + 10000 WHERE full_id LIKE 'tavo/%'",
    "turns-the-order": "UPDATE places SET place = -place",
    "hides-words": "INSERT INTO words (words) VALUES ('delete-all')",
    "names-everything": "INSERT INTO words (words) VALUES ('delete-all'); INSERT INTO words"
    " (rowid, text) SELECT place, 'agent scanner ananas evil' FROM places",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_hides_hits_and_no_more(catalog: Catalog, index: WordIndex, lie: str) -> None:
    change(LIES[lie])(index.path)
    for text in ("agent", "scanner", "ananas", "ai", "evil", "acme/scanner"):
        honest = catalog.search(text)
        lied = catalog.search(text, index=index)
        assert [row for row in honest if row in lied] == lied  # in the right order, all real


@pytest.mark.parametrize("lie", ["names-another", "names-what-is-not-there", "names-everything"])
def test_control_the_index_itself_says_it(catalog: Catalog, index: WordIndex, lie: str) -> None:
    change(LIES[lie])(index.path)
    named = set(index.candidates(["ananas"], "") or ())
    assert named - set(ids(catalog, "ananas"))


NOT_AN_INDEX: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"hello" * 1000),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "view": change("DROP TABLE places; CREATE VIEW places AS WITH RECURSIVE n(place) AS (SELECT 0"
                   " UNION ALL SELECT place + 1 FROM n) SELECT place, 'a/b' AS full_id, 'b' AS"
                   " plugin_id FROM n"),
    "trigger": change("CREATE TRIGGER t AFTER INSERT ON places BEGIN SELECT 1; END"),
    "extra-table": change("CREATE TABLE extra (x)"),
    "without-index": change("DROP INDEX places_by_plugin_id"),
    "later-format": change("PRAGMA user_version = 2"),
    "other-program": change("PRAGMA application_id = 7"),
    "other-catalog": change(f"UPDATE catalog SET digest = '{'a' * 64}'"),
    "no-catalog": change("DELETE FROM catalog"),
    "two-catalogs": change("INSERT INTO catalog SELECT digest FROM catalog"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_AN_INDEX)
def test_what_is_no_index_of_this_catalog_is_made_again(
    catalog: Catalog, made: WordIndex, index: WordIndex, what: str
) -> None:
    NOT_AN_INDEX[what](index.path)
    assert catalog.search("agent", index=index) == catalog.search("agent")
    assert not index.path.exists()  # dropped by the search
    shutil.copyfile(made.path, index.path)
    NOT_AN_INDEX[what](index.path)
    again = WordIndex.of(catalog, index.path.parent)
    assert again is not None
    assert again.path.read_bytes() == made.path.read_bytes()


def test_an_endless_index_ends(catalog: Catalog, index: WordIndex) -> None:
    """It names more plugins than there are: the search takes it for damaged."""
    change(
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 45000)"
        " INSERT INTO places SELECT i, 'a/b', 'agent' FROM n"
    )(index.path)
    assert catalog.search("agent", index=index) == catalog.search("agent")
    assert not index.path.exists()


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_never_add_or_break_anything(
    catalog: Catalog, made: WordIndex, index: WordIndex, seed: int
) -> None:
    draw = random.Random(seed)
    good = made.path.read_bytes()
    honest = {text: catalog.search(text) for text in ("agent", "ananas", "ai", "scanner-7")}
    for _ in range(8):
        data = bytearray(good)
        for _ in range(draw.choice((1, 20, 400))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        index.path.write_bytes(data)
        for text, rows in honest.items():
            found = catalog.search(text, index=index)
            assert [row for row in rows if row in found] == found


def test_an_index_that_vanishes_is_not_missed(catalog: Catalog, index: WordIndex) -> None:
    index.path.unlink()
    assert catalog.search("agent", index=index) == catalog.search("agent")


def test_a_folder_in_its_place_is_not_missed(catalog: Catalog, index: WordIndex) -> None:
    index.path.unlink()
    index.path.mkdir()
    assert catalog.search("agent", index=index) == catalog.search("agent")
    assert WordIndex.of(catalog, index.path.parent) is None


# -- where none can be made


@pytest.mark.parametrize(
    ("part", "other"), [("fts5", "fts99"), ("tokenize='trigram'", "tokenize='none-such'")]
)
def test_a_sqlite_that_lacks_it_searches_without(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, other: str
) -> None:
    monkeypatch.setattr(module, "_DDL", tuple(s.replace(part, other) for s in module._DDL))
    module._expected_schema.cache_clear()
    with pytest.raises(sqlite3.OperationalError, match=r"no such|parse error"):
        module._new()
    said: list[str] = []
    assert WordIndex.of(catalog, tmp_path / "words", say=said.append) is None
    assert (list(tmp_path.iterdir()), said) == ([], [])
    module._expected_schema.cache_clear()


def test_a_folder_that_cannot_be_made_is_done_without(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert WordIndex.of(catalog, tmp_path / "file" / "words") is None


IN_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from marketplace_db.catalog import Catalog
from marketplace_db.catalog_file import connect
from marketplace_db.words import WordIndex
from tests.marketplace_db.test_marketplace_words import NamedFile
named = NamedFile(Path(sys.argv[2]), sys.argv[3])
catalog = Catalog(named, connect(named))
sys.stdin.readline()
index = WordIndex.of(catalog, Path(sys.argv[4]), say=print)
print(index is not None, len(catalog.search("agent", index=index)))
"""


class NamedFile:
    """What a process of a test needs of a verified file: its bytes were verified here."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self.digest = path, Digest(digest)


def started(path: Path, digest: Digest, folder: Path, *prefix: str) -> subprocess.Popen[str]:
    python = str(SYSTEM_PYTHON) if prefix else sys.executable
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    return subprocess.Popen(
        [*prefix, python, "-c", IN_PROCESS, str(ROOT), str(path), digest.hex, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *packages)),
             "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def test_several_processes_make_one_at_once(
    catalog: Catalog, made: WordIndex, tmp_path: Path
) -> None:
    verified = catalog.verified
    running = [started(verified.path, verified.digest, tmp_path / "words") for _ in range(3)]
    answers = [process.communicate("go\n", timeout=300) for process in running]
    hits = len(ids(catalog, "agent"))
    for out, err in answers:
        assert out.splitlines()[-1] == f"True {hits}", (out, err)
    assert [path.name for path in (tmp_path / "words").iterdir()] == [made.path.name]
    assert (tmp_path / "words" / made.path.name).read_bytes() == made.path.read_bytes()


@needs_root
def test_a_home_that_cannot_be_written_is_done_without(catalog: Catalog) -> None:
    """As another user: there is no folder that root cannot write."""
    with tempfile.TemporaryDirectory(prefix="tavo-words-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "catalog.db"
        shutil.copyfile(catalog.verified.path, path)
        process = started(
            path, catalog.verified.digest, folder / "words",
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        )  # fmt: skip
        out, err = process.communicate("go\n", timeout=300)
        assert out == f"False {len(ids(catalog, 'agent'))}\n", err  # and not a word about it
        assert list(folder.iterdir()) == [path]
