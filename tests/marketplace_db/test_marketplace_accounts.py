"""People, tokens, what they say, what waits for workers, and the database of the version before."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from marketplace_db.accounts import Account, Accounts
from marketplace_db.errors import NotAcceptedError, WorkingDatabaseError
from marketplace_db.executions import Executions
from marketplace_db.intake import Market
from marketplace_db.jobs import Jobs
from marketplace_db.ratings import Ratings
from marketplace_db.schema import _MARKET_1, _MARKET_2, MARKET_APPLICATION_ID
from marketplace_db.targets import Targets
from marketplace_db.usage import Usage
from tests.fakes.operator_market import Marketplace
from tests.fakes.repository import NOW

DAY = timedelta(days=1)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Marketplace]:
    made = Marketplace(tmp_path)
    yield made
    made.market.close()


@pytest.fixture
def accounts(people: Marketplace) -> Accounts:
    found = Accounts(people.market.connection)
    found.add_organization("acme-corp", now=NOW)
    found.add_organization("other-corp", now=NOW)
    found.give_namespace("acme-corp", "acme", now=NOW)
    return found


def new(accounts: Accounts, user: str, org: str, *scopes: str, days: int = 9) -> str:
    return accounts.new_token(
        user, org, name="t", scopes=scopes or ("review",), expires=NOW + days * DAY, now=NOW
    )[1]


# -- tokens


def test_a_token_is_stored_as_its_hash_alone(people: Marketplace, accounts: Accounts) -> None:
    secret = new(accounts, "alice", "acme-corp", "submit", "review")
    people.market.connection.commit()
    data = people.market.file.read_bytes()
    assert secret.encode() not in data
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in data
    account = accounts.authenticate(secret, now=NOW)
    assert account is not None
    assert (account.user, account.organization) == ("alice", "acme-corp")
    assert account.scopes == {"submit", "review"}
    assert account.namespaces == {"acme"}


def test_a_token_ends_at_its_time_and_when_it_is_revoked(accounts: Accounts) -> None:
    short = new(accounts, "alice", "acme-corp", days=1)
    assert accounts.authenticate(short, now=NOW + DAY - timedelta(seconds=1)) is not None
    assert accounts.authenticate(short, now=NOW + DAY) is None
    long = new(accounts, "alice", "acme-corp")
    found = accounts.tokens(now=NOW + DAY)
    assert [one.state for one in found] == ["expired", "valid"]
    accounts.revoke(found[1].uuid[:8], now=NOW)
    assert accounts.authenticate(long, now=NOW) is None
    with pytest.raises(WorkingDatabaseError, match="no token with the id"):
        accounts.revoke("zzz", now=NOW)
    with pytest.raises(WorkingDatabaseError, match="no token with the id ''"):
        accounts.revoke("", now=NOW)


@pytest.mark.parametrize(
    "secret", ["", "tavo_", "tavo_" + "x" * 43, "tavo_" + "x" * 42 + "'", "x" * 5000, "\u0661" * 48]
)
def test_what_is_no_token_opens_nothing(accounts: Accounts, secret: str) -> None:
    new(accounts, "alice", "acme-corp")
    assert accounts.authenticate(secret, now=NOW) is None


def test_a_person_has_one_organisation(accounts: Accounts) -> None:
    new(accounts, "alice", "acme-corp")
    with pytest.raises(WorkingDatabaseError, match="belongs to another organisation"):
        new(accounts, "alice", "other-corp")
    assert len(accounts.tokens(now=NOW)) == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"user": "Al ice"}, "cannot be the name of a person"),
        ({"org": "nobody"}, "there is no organisation"),
        ({"scopes": ("root",)}, "there is no scope 'root'"),
        ({"scopes": ()}, "needs a scope"),
        ({"name": "a\x1bb"}, "printable"),
        ({"expires": NOW}, "is over"),
    ],
)
def test_a_wrong_token_is_not_made(
    accounts: Accounts, values: dict[str, object], sentence: str
) -> None:
    given = {"user": "alice", "org": "acme-corp", "name": "t", "scopes": ("review",),
             "expires": NOW + DAY, **values}  # fmt: skip
    with pytest.raises(WorkingDatabaseError, match=sentence):
        accounts.new_token(given.pop("user"), given.pop("org"), now=NOW, **given)  # type: ignore[arg-type]


def test_an_organisation_has_a_namespace_until_it_is_taken(accounts: Accounts) -> None:
    assert accounts.organizations()[0].namespaces == ("acme",)
    accounts.take_namespace("acme-corp", "acme")
    assert accounts.organizations()[0].namespaces == ()
    for give in (accounts.give_namespace,):
        with pytest.raises(WorkingDatabaseError, match="no namespace"):
            give("acme-corp", "nobody", now=NOW)
    with pytest.raises(WorkingDatabaseError, match="already"):
        accounts.add_organization("acme-corp", now=NOW)


# -- reviews, installations, downloads


def account_of(user: str, organization: str, *namespaces: str) -> Account:
    return Account(token="t", user=user, organization=organization, scopes=frozenset(),
                   namespaces=frozenset(namespaces), expires_at="")  # fmt: skip


def test_reviews_reach_the_catalog_when_they_were_read(people: Marketplace) -> None:
    people.approve(people.package(id="one", name="One"))
    ratings = Ratings(people.market.connection)
    bob = account_of("bob", "other-corp")
    written = ratings.write(bob, "acme/one", "1.0.0", rating=4, title="Good", now=NOW)

    def released() -> list[tuple[str, int]]:
        people.release()
        with closing(sqlite3.connect(people.catalog)) as catalog:
            return catalog.execute("SELECT author, rating FROM plugin_reviews").fetchall()

    assert released() == []
    ratings.decide(written.uuid, shown=True, reason="", by="carol", now=NOW)
    assert released() == [("bob", 4)]
    ratings.decide(written.uuid, shown=False, reason="Spam", by="carol", now=NOW)
    assert released() == []
    with pytest.raises(NotAcceptedError, match="nobody rates their own work"):
        ratings.write(account_of("al", "a", "acme"), "acme/one", "1.0.0", rating=5, now=NOW)


def test_together_is_told_of_three_organisations_at_least(people: Marketplace) -> None:
    for name in ("one", "two"):
        people.approve(people.package(id=name, name=name))
    usage = Usage(people.market.connection)
    for number in range(3):
        for name in ("one", "two"):
            usage.add_installation(f"org-{number}", f"acme/{name}", "1.0.0", key=f"machine-{name}",
                                   client_version="", now=NOW)  # fmt: skip
        expected = [("acme/two", 3)] if number == 2 else []
        assert usage.installed_together("acme/one") == expected
    assert usage.installed_together("acme/none") == []


def test_downloads_are_counted_by_day(people: Marketplace) -> None:
    people.approve(people.package(id="one", name="One"))
    (uuid,) = people.market.connection.execute("SELECT uuid FROM plugin_versions").fetchone()
    usage = Usage(people.market.connection)
    usage.add_downloads({uuid: 2, "unknown": 9}, now=NOW)
    usage.add_downloads({uuid: 1}, now=NOW)
    usage.add_downloads({uuid: 5}, now=NOW + DAY)
    assert usage.by_day("acme/one", since="2026-01-01") == [("2026-11-22", 3), ("2026-11-23", 5)]
    assert usage.downloads() == {"acme/one": 8}


# -- jobs


def test_a_job_is_done_once_and_a_dead_workers_job_again(people: Marketplace) -> None:
    jobs = Jobs(people.market.connection)
    jobs.ask("vet", "s-1", now=NOW)
    jobs.ask("vet", "s-1", now=NOW)
    first = jobs.claim("w1", lease_s=60, now=NOW)
    assert first is not None
    assert jobs.claim("w2", lease_s=60, now=NOW) is None, "one worker has it"
    later = NOW + timedelta(seconds=61)
    again = jobs.claim("w2", lease_s=60, now=later)
    assert again is not None
    assert (again.uuid, again.attempts) == (first.uuid, 2)
    assert not jobs.finish(first, "w1", now=later), "its lease ran out"
    assert not jobs.renew(first, "w1", lease_s=60, now=later)
    assert jobs.renew(again, "w2", lease_s=60, now=later)
    assert jobs.finish(again, "w2", now=later)
    assert jobs.counts() == {"waiting": 0, "running": 0, "done": 1, "failed": 0}
    jobs.ask("vet", "s-1", now=later)
    assert jobs.counts()["waiting"] == 1, "what is done can be asked for again"


def test_what_nobody_asked_for_is_asked_for_once(people: Marketplace) -> None:
    package = people.package(id="one", name="One")
    taken = people.market.submit(
        package, people.sign(package), publishers=people.publishers, now=NOW
    )
    jobs = Jobs(people.market.connection)
    assert jobs.ask_for_new(now=NOW) == 1
    job = jobs.claim("w1", lease_s=60, now=NOW)
    assert job is not None
    assert (job.kind, job.subject) == ("vet", taken)
    jobs.finish(job, "w1", failed="it broke", now=NOW)
    assert jobs.ask_for_new(now=NOW) == 0, "not again and again"


def test_a_job_that_kills_its_workers_fails(people: Marketplace) -> None:
    jobs = Jobs(people.market.connection)
    jobs.ask("vet", "s-1", now=NOW)
    for number in range(3):
        assert jobs.claim(f"w{number}", lease_s=60, now=NOW + number * 2 * timedelta(minutes=1))
    assert jobs.claim("w9", lease_s=60, now=NOW + timedelta(minutes=9)) is None
    assert jobs.counts()["failed"] == 1
    (outcome,) = people.market.connection.execute("SELECT outcome FROM jobs").fetchone()
    assert outcome == "its worker died 3 times"


def test_a_worker_that_ends_in_order_gives_its_job_back(people: Marketplace) -> None:
    jobs = Jobs(people.market.connection)
    jobs.ask("release", "", now=NOW)
    assert jobs.claim("w1", lease_s=60, now=NOW) is not None
    assert jobs.put_back("w1") == 1
    again = jobs.claim("w2", lease_s=60, now=NOW)
    assert again is not None
    assert again.attempts == 1


# -- the version before


def test_a_market_of_the_first_version_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    connection = sqlite3.connect(path)
    first = Migrations("marketplace_db")

    @first(name="0001_first_tables")
    def _(database: Database) -> None:
        for statement in _MARKET_1:
            database.execute(statement)

    connection.execute(f"PRAGMA application_id = {MARKET_APPLICATION_ID}")
    first.apply(Database(connection))
    connection.executescript("""
        INSERT INTO publishers VALUES (1, 'u1', 'acme', 'Acme', '', 0, '2026-01-01T00:00:00Z');
        INSERT INTO submissions VALUES (1, 'u2', 1, 'acme/one', '1.0.0', 'aa', 1, 'bb', 'approved',
          '', '2026-01-01T00:00:00Z', NULL);
        INSERT INTO plugins VALUES (1, 'u3', 1, 'one', '2026-01-01T00:00:00Z');
        INSERT INTO plugin_versions VALUES (1, 'u4', 1, 1, 1, '1.0.0', 1, 'aa', 1, 'cc', NULL,
          'dd', 'bb', '{}', '2026-01-01T00:00:00Z', NULL, NULL);
        INSERT INTO plugin_reviews VALUES (1, 'u5', 1, 'old friend', 4, 'T', 'B', 'published',
          '2026-01-01T00:00:00Z');
        INSERT INTO tokens VALUES (1, 'u6', 'old', 'somebody', 'hash', 'review',
          '2026-01-01T00:00:00Z', NULL, NULL);
    """)
    connection.close()
    with Market.open(tmp_path) as market:
        (found,) = Ratings(market.connection).published("acme/one", before=None, limit=9) or [None]
        rows = market.connection.execute("SELECT author, organization, updated_at, reason FROM"
                                         " plugin_reviews").fetchall()  # fmt: skip
        assert [tuple(row) for row in rows] == [("old friend", "", None, "")]
        assert found is None, "its plugin has another outer id in this fixture"
        assert Accounts(market.connection).tokens(now=NOW) == [], "nobody has that token"
        Accounts(market.connection).add_organization("acme-corp", now=NOW)
    with Market.open(tmp_path) as market:
        assert len(Accounts(market.connection).organizations()) == 1


def test_a_market_of_the_second_version_is_upgraded(tmp_path: Path) -> None:
    """Its runs were never written, but their table was there: what stands in it stays."""
    connection = sqlite3.connect(tmp_path / "market.db")
    second = Migrations("marketplace_db")
    for name, statements in (("0001_first_tables", _MARKET_1), ("0002_service", _MARKET_2)):

        @second(name=name)
        def _(database: Database, statements: tuple[str, ...] = statements) -> None:
            for statement in statements:
                database.execute(statement)

    connection.execute(f"PRAGMA application_id = {MARKET_APPLICATION_ID}")
    second.apply(Database(connection))
    connection.executescript("""
        INSERT INTO publishers VALUES (1, 'u1', 'acme', 'Acme', '', 0, '2026-01-01T00:00:00Z');
        INSERT INTO submissions VALUES (1, 'u2', 1, 'acme/one', '1.0.0', 'aa', 1, 'bb', 'approved',
          '', '2026-01-01T00:00:00Z', NULL, '');
        INSERT INTO plugins VALUES (1, 'u3', 1, 'one', '2026-01-01T00:00:00Z');
        INSERT INTO plugin_versions VALUES (1, 'u4', 1, 1, 1, '1.0.0', 1, 'aa', 1, 'cc', NULL,
          'dd', 'bb', '{}', '2026-01-01T00:00:00Z', NULL, NULL);
        INSERT INTO plugin_executions VALUES (1, 'u7', 1, 'acme-corp', 'done',
          '2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z', 1200, 5000000, 2);
        INSERT INTO organizations VALUES (1, 'u8', 'acme-corp', 'Acme', '2026-01-01T00:00:00Z');
    """)
    connection.close()
    with Market.open(tmp_path) as market:
        (run,) = Executions(market.connection).executions("acme-corp")
        assert (run.state, run.used.cpu_ms, run.findings) == ("done", 1200, 2)
        assert (run.billed, run.cost_micro, run.prices.version, run.target) == (
            False, 0, "none", "",
        )  # fmt: skip
        assert Executions(market.connection).result("acme-corp", "u7") is None
        Targets(market.connection).add(
            "acme-corp", "staging", url="https://example.com", description="{}", now=NOW
        )
    with Market.open(tmp_path) as market:
        assert len(Targets(market.connection).targets("acme-corp")) == 1
