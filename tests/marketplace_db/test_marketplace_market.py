"""The operator's side: submissions, reviews, approval, and the catalogs that come out of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace_db import intake
from marketplace_db.errors import NotAcceptedError, PackageError, WorkingDatabaseError
from marketplace_db.intake import Market
from marketplace_db.release import release_catalog
from marketplace_db.schema import CATALOG_APPLICATION_ID, outer_id
from signing.digests import Digest, hash_file
from signing.errors import AttestationError
from signing.keys import PrivateKey
from tests.fakes.operator_market import Marketplace, wheel_bytes
from tests.fakes.repository import NOW


@pytest.fixture
def market(tmp_path: Path) -> Marketplace:
    return Marketplace(tmp_path)


def submit(market: Marketplace, package: Path, **options: object) -> str:
    return market.market.submit(
        package, market.sign(package), publishers=market.publishers, now=NOW, **options
    )  # type: ignore[arg-type]


def review(market: Marketplace, submission: str, envelope: bytes) -> str:
    return market.market.record_review(submission, envelope, publishers=market.publishers, now=NOW)


# -- submissions


def test_a_submission_waits_until_reviewers_approve_it(market: Marketplace) -> None:
    package = market.package()
    submission = submit(market, package)
    with pytest.raises(NotAcceptedError, match="needs 1 reviewers' approvals, has 0"):
        market.market.approve(submission, publishers=market.publishers, now=NOW)
    report = market.market.record_check(
        submission, name="tavo scan", outcome="passed", report=b"{}", now=NOW
    )
    envelope = market.review(package, market.reviewers[0], reports=(report,))
    assert review(market, submission, envelope) == "approve"
    release = market.market.approve(submission, publishers=market.publishers, now=NOW)
    assert (release.seq, release.full_id, release.version) == (1, "acme/sample", "1.0.0")
    (row,) = market.market.submissions()
    assert (row.state, row.approvals) == ("approved", 1)
    assert market.market.blob(report) in market.release().blobs


def test_an_official_plugin_needs_two_reviewers(market: Marketplace) -> None:
    package = market.package(publisher="tavo")
    submission = submit(market, package)
    review(market, submission, market.review(package, market.reviewers[0]))
    with pytest.raises(NotAcceptedError, match="needs 2 reviewers' approvals, has 1"):
        market.market.approve(submission, publishers=market.publishers, now=NOW)
    review(market, submission, market.review(package, market.reviewers[1]))
    market.market.approve(submission, publishers=market.publishers, now=NOW)


def test_one_rejection_stops_an_approval(market: Marketplace) -> None:
    package = market.package()
    submission = submit(market, package)
    review(market, submission, market.review(package, market.reviewers[0]))
    no = market.review(package, market.reviewers[1], decision="reject")
    assert review(market, submission, no) == "reject"
    with pytest.raises(WorkingDatabaseError, match="rejected it"):
        market.market.approve(submission, publishers=market.publishers, now=NOW)
    market.market.reject(submission, reason="obfuscated", now=NOW)
    with pytest.raises(WorkingDatabaseError, match="already rejected"):
        market.market.reject(submission, reason="again", now=NOW)
    submit(market, package)


def test_a_stranger_cannot_review(market: Marketplace) -> None:
    package = market.package()
    submission = submit(market, package)
    for key in (PrivateKey.generate(), market.acme):
        with pytest.raises(AttestationError, match="is not among the 3 allowed keys"):
            review(market, submission, market.review(package, key))


def test_only_the_namespaces_keys_can_submit(market: Marketplace) -> None:
    package = market.package()
    with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
        market.market.submit(
            package,
            market.sign(package, market.tavo),
            publishers=market.publishers,
            now=NOW,
        )
    assert market.market.submissions() == []


def test_a_publisher_has_to_be_registered(market: Marketplace) -> None:
    package = market.package(publisher="nobody")
    with pytest.raises(WorkingDatabaseError, match="there is no publisher 'nobody'"):
        market.market.submit(package, b"", publishers=market.publishers, now=NOW)


def test_a_version_is_never_replaced(market: Marketplace) -> None:
    market.approve(market.package())
    other = market.package(files={"main.py": "class Plugin:\n    x = 1\n"})
    with pytest.raises(WorkingDatabaseError, match="is already here"):
        submit(market, other)


def test_wheels_have_to_be_exactly_the_locked_ones(market: Marketplace, tmp_path: Path) -> None:
    data = wheel_bytes()
    name = "dep-1.0-py3-none-any.whl"
    good, bad = tmp_path / name, tmp_path / "bad.whl"
    good.write_bytes(data)
    bad.write_bytes(wheel_bytes(files={"dep/evil.py": b"evil"}))
    lock = f"dep==1.0 --hash=sha256:{Digest.of(data).hex}\n"
    package = market.package(more="dependencies: [dep==1.0]\n", files={"requirements.lock": lock})
    with pytest.raises(WorkingDatabaseError, match="is locked, but was not submitted"):
        submit(market, package)
    with pytest.raises(WorkingDatabaseError, match=r"not in requirements\.lock"):
        submit(market, package, wheels={name: good, "extra-1-py3-none-any.whl": good})
    with pytest.raises(PackageError, match="expected sha256:"):
        submit(market, package, wheels={name: bad})
    market.approve(package, wheels={name: good})
    assert market.market.blob(Digest.of(data)) in market.release().blobs


def test_a_hostile_wheel_is_refused_at_submission(market: Marketplace, tmp_path: Path) -> None:
    data = wheel_bytes(files={"evil.pth": b"import os"})
    name = "dep-1.0-py3-none-any.whl"
    (tmp_path / name).write_bytes(data)
    lock = f"dep==1.0 --hash=sha256:{Digest.of(data).hex}\n"
    package = market.package(more="dependencies: [dep==1.0]\n", files={"requirements.lock": lock})
    with pytest.raises(PackageError, match="run code when Python starts"):
        submit(market, package, wheels={name: tmp_path / name})


# -- the market's file


def test_a_market_opens_again_as_it_was(market: Marketplace, tmp_path: Path) -> None:
    market.approve(market.package())
    market.market.close()
    with Market.open(tmp_path / "market") as again:
        assert [row.state for row in again.submissions()] == ["approved"]


def test_a_market_that_may_only_be_read_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_read(connection: sqlite3.Connection, *, place: str) -> None:
        connection.execute("PRAGMA query_only = ON")  # SQLite's own error, also for root
        connection.execute("CREATE TABLE anything (x)")

    monkeypatch.setattr(intake, "upgrade_market", only_read)
    with pytest.raises(WorkingDatabaseError, match="attempt to write a readonly") as refused:
        Market.open(tmp_path)
    assert "do it as the user who runs the service" in refused.value.hint


def test_a_market_of_a_later_version_is_refused(tmp_path: Path) -> None:
    with Market.open(tmp_path) as market, market.connection:
        market.connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('marketplace_db', '0999_later', '')"
        )
    with pytest.raises(WorkingDatabaseError, match="later version of tavo"):
        Market.open(tmp_path)


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "market.db")
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = hash_file(tmp_path / "market.db")
    with pytest.raises(WorkingDatabaseError, match="of something else"):
        Market.open(tmp_path)
    assert hash_file(tmp_path / "market.db") == before


# -- releases of the catalog


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_the_file_has_the_promised_form(market: Marketplace) -> None:
    market.approve(market.package())
    path = market.release().path
    header = path.read_bytes()[:100]
    assert header[16:18] == (4096).to_bytes(2, "big")
    assert header[18:20] == b"\x01\x01"
    assert header[60:64] == (1).to_bytes(4, "big")
    assert header[68:72] == CATALOG_APPLICATION_ID.to_bytes(4, "big") == b"tvct"
    kinds = rows(path, "SELECT DISTINCT type FROM sqlite_master ORDER BY type")
    assert kinds == [("index",), ("table",)]


def test_the_same_steps_give_the_same_bytes(market: Marketplace, tmp_path: Path) -> None:
    market.approve(market.package())
    first = release_catalog(market.market, tmp_path / "a.db")
    second = release_catalog(market.market, tmp_path / "b.db")
    assert first.digest == second.digest
    market.approve(market.package(version="1.1.0"))
    third = release_catalog(market.market, tmp_path / "c.db", previous=first.path)
    fourth = release_catalog(market.market, tmp_path / "d.db", previous=second.path)
    assert third.digest == fourth.digest != first.digest
    assert (third.added, third.changed, third.removed) == (3, 1, 0)


def test_an_unchanged_market_gives_the_same_catalog_byte_for_byte(market: Marketplace) -> None:
    market.approve(market.package())
    before = market.release()
    again = market.release()
    assert (again.digest, again.added, again.changed) == (before.digest, 0, 0)


def test_numbers_grow_one_by_one_and_are_never_used_again(market: Marketplace) -> None:
    market.approve(market.package())
    refused = submit(market, market.package(id="refused"))
    market.market.reject(refused, reason="no", now=NOW)
    market.approve(market.package(version="1.1.0"))
    market.approve(market.package(id="other", version="0.1.0"))
    path = market.release().path
    assert rows(path, "SELECT id, seq FROM plugin_versions") == [(1, 1), (2, 2), (3, 3)]
    assert rows(path, "SELECT id, full_id FROM plugins ORDER BY id") == [
        (1, "acme/sample"),
        (2, "acme/other"),
    ]


def test_a_days_change_touches_few_pages(market: Marketplace, tmp_path: Path) -> None:
    for number in range(12):
        market.approve(market.package(id=f"plugin-{number}"))
    before = release_catalog(market.market, tmp_path / "a.db")
    market.approve(market.package(id="plugin-3", version="1.0.1"))
    after = release_catalog(market.market, tmp_path / "b.db", previous=before.path)
    old, new = before.path.read_bytes(), after.path.read_bytes()
    changed = [at for at in range(0, len(new), 4096) if old[at : at + 4096] != new[at : at + 4096]]
    # Of each table and index the last page, the plugin's own row, and the file's header.
    assert len(changed) <= 12 < len(new) // 4096


def test_a_yank_changes_the_row_and_nothing_brings_it_back(market: Marketplace) -> None:
    market.approve(market.package())
    market.approve(market.package(version="1.1.0"))
    market.release()
    market.market.yank("acme/sample", "1.1.0", reason="breaks", now=NOW)
    assert market.release().changed == 2
    assert rows(market.catalog, "SELECT latest_version_id FROM plugins") == [(1,)]
    market.market.yank("acme/sample", "1.1.0", reason="another reason", now=NOW)
    assert market.release().changed == 0
    with market.market.connection as connection:
        connection.execute("UPDATE plugin_versions SET yanked_at = NULL, yanked_reason = NULL")
    with pytest.raises(WorkingDatabaseError, match="releases never change"):
        market.release()
    with pytest.raises(WorkingDatabaseError, match="was never released"):
        market.market.yank("acme/sample", "7.0.0", reason="", now=NOW)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE plugin_versions SET package = publisher_envelope", "package"),
        ("UPDATE plugin_versions SET version = '1.0.1'", "version"),
        ("UPDATE plugin_versions SET seq = 9", "seq"),
        ("UPDATE approvals SET key_id = key_id || 'x'", "key_id"),
    ],
)
def test_history_is_never_rewritten(market: Marketplace, statement: str, sentence: str) -> None:
    market.approve(market.package())
    before = market.release()
    with market.market.connection as connection:
        connection.execute(statement)
    with pytest.raises(WorkingDatabaseError, match=f"with another {sentence}"):
        market.release()
    assert hash_file(market.catalog)[0] == before.digest


def test_a_market_that_lost_a_release_is_noticed(market: Marketplace, tmp_path: Path) -> None:
    market.approve(market.package())
    market.release()
    empty = Market.open(tmp_path / "empty")
    with empty, pytest.raises(WorkingDatabaseError, match="which this market never had"):
        release_catalog(empty, tmp_path / "new.db", previous=market.catalog)
    assert not (tmp_path / "new.db").exists()


def test_a_row_that_was_lost_is_noticed_although_another_one_came(market: Marketplace) -> None:
    """The numbers of rows are the same before and after."""
    market.approve(market.package())
    before = market.release()
    with market.market.connection as connection:
        connection.execute(
            "INSERT INTO approvals SELECT 99, submission_id, 'other', decision, envelope, reports,"
            " issued, recorded_at FROM approvals WHERE id = 2"
        )
        connection.execute("DELETE FROM approvals WHERE id = 2")
    with pytest.raises(WorkingDatabaseError, match="has row 2 in approvals, which this market"):
        market.release()
    assert hash_file(market.catalog)[0] == before.digest


def test_only_published_user_reviews_are_released(market: Marketplace) -> None:
    market.approve(market.package())
    add: Callable[[str, str], object] = lambda author, state: market.market.connection.execute(  # noqa: E731
        "INSERT INTO plugin_reviews (uuid, plugin_version_id, author, rating, state, created_at)"
        " VALUES (?, 1, ?, 4, ?, '2026-11-22T12:00:00Z')",
        (outer_id("review", author), author, state),
    )
    with market.market.connection:
        add("kim", "published")
        add("lee", "waiting")
    market.release()
    assert rows(market.catalog, "SELECT author FROM plugin_reviews") == [("kim",)]
    with market.market.connection as connection:
        connection.execute("UPDATE plugin_reviews SET state = 'hidden' WHERE author = 'kim'")
        connection.execute("UPDATE plugin_reviews SET state = 'published' WHERE author = 'lee'")
    changed = market.release()
    assert (changed.added, changed.removed) == (1, 1)
    assert rows(market.catalog, "SELECT author FROM plugin_reviews") == [("lee",)]
    with market.market.connection as connection:
        connection.execute("UPDATE plugin_reviews SET state = 'hidden'")
    assert market.release().removed == 1


def test_a_market_is_not_a_catalog(market: Marketplace, tmp_path: Path) -> None:
    market.approve(market.package())
    with pytest.raises(WorkingDatabaseError, match="the previous catalog has schema version"):
        release_catalog(
            market.market, tmp_path / "x.db", previous=tmp_path / "market" / "market.db"
        )
