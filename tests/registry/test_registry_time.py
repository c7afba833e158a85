"""Old lists by the site's word, and clocks that are wrong: each attack, and its control."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signing.client import DirectorySource
from signing.errors import ExpiredError, RollbackError
from tavo.errors import ConfigError, RefusedError, UsageError
from tavo.host.state import ConfirmedTime, State
from tavo.registry.clock import believe, confirmed_now, corrected, read_time
from tavo.registry.site_policy import SitePolicy, read_site_policy
from tavo.registry.sources import source_of
from tavo.registry.trust import Trust
from tests.fakes.marketplace import MemoryStore
from tests.fakes.operated import Operated

DAY = timedelta(days=1)
MONTH = timedelta(days=30)
GOOD = "site_policy: 1\nstale:\n  days: 30\n  reason: the courier comes once a month\n"

At = Callable[..., Trust]


@pytest.fixture
def operated(tmp_path: Path) -> Operated:
    operated = Operated(tmp_path)
    operated.add(id="one")
    return operated


@pytest.fixture
def at(operated: Operated) -> At:
    """The same machine at another time, with what its site allows."""
    store = MemoryStore()

    def machine(days: float, grace: timedelta = timedelta(0), store: MemoryStore = store) -> Trust:
        return Trust(
            store, operated.folder / "cache", embedded=None, root=operated.root,
            now=operated.now + days * DAY, grace=grace,
        )  # fmt: skip

    return machine


def test_without_a_policy_expired_lists_are_refused(operated: Operated, at: At) -> None:
    with pytest.raises(ExpiredError):
        at(20).update(DirectorySource(operated.tree))
    at(1).update(DirectorySource(operated.tree))
    with pytest.raises(ExpiredError, match="timestamp metadata expired"):
        at(20).open()


def test_a_policy_allows_them_for_so_long_and_says_so_each_time(operated: Operated, at: At) -> None:
    for open_it in (lambda t: t.update(DirectorySource(operated.tree)), lambda t: t.open()):
        opened = open_it(at(20, MONTH))
        assert opened.stale is not None
        assert (opened.stale.role, opened.stale.days, opened.stale.allowed) == ("timestamp", 18, 30)
        (note,) = [note for note in opened.notes if note.startswith("STALE: ")]
        assert "18 days ago; the policy of this site allows 30" in note
    assert at(1, MONTH).open().stale is None  # control: it is said only where it is so
    for open_it in (lambda t: t.update(DirectorySource(operated.tree)), lambda t: t.open()):
        with pytest.raises(ExpiredError, match="expired"):
            open_it(at(34, MONTH))


def test_a_policy_lets_nothing_older_in(operated: Operated, at: At, tmp_path: Path) -> None:
    import shutil

    old = Path(shutil.copytree(operated.tree, tmp_path / "old"))
    operated.add(id="two")
    at(1, MONTH).update(DirectorySource(operated.tree))
    with pytest.raises(RollbackError):
        at(20, MONTH).update(DirectorySource(old))
    shutil.rmtree(operated.folder / "cache")
    assert at(20, MONTH, MemoryStore()).update(DirectorySource(old)).stale  # control: a new machine


def test_the_root_must_hold_whatever_the_policy_says(
    operated: Operated, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever got two old keys of the root could use them long after they were replaced."""
    with operated.open() as place:
        end = place.repository.expires("root")
        late = end - 2 * DAY
        renewed = ("targets", "catalog", "publishers", "releases")
        place.repository.publish(renew=renewed, now=late)
    days = (end - operated.now) / DAY + 0.1
    before = at(days - 0.2, MONTH).update(DirectorySource(operated.tree))
    assert before.stale is None
    for attack in (lambda t: t.update(DirectorySource(operated.tree)), lambda t: t.open()):
        with pytest.raises(ExpiredError, match="root metadata expired"):
            attack(at(days, MONTH))
    monkeypatch.setattr("signing.trust.FIRM_ROLES", frozenset())
    assert at(days, MONTH).open().stale  # the control: without the rule it passes


def test_a_record_of_an_earlier_tavo_gets_no_grace(operated: Operated, at: At) -> None:
    at(1).update(DirectorySource(operated.tree))
    store = at(1)._store
    value = dict(store.load_trust(at(1).repository) or {})
    value["record"] = {k: v for k, v in value["record"].items() if k != "firm_expires"}
    store.save_trust(at(1).repository, value, in_same_hands=None)
    assert at(1, MONTH).open().stale is None
    with pytest.raises(ExpiredError):
        at(20, MONTH).open()


# -- the policy's file


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "is empty"),
    ("- a\n", "holds no keys"),
    ("site_policy: 2\nstale: {days: 1, reason: x}\n", "site_policy is 2, expected 1"),
    ("site_policy: true\nstale: {days: 1, reason: x}\n", "site_policy is True"),
    ("site_policy: 1\n", "stale is missing"),
    ("site_policy: 1\nstale: {days: 1}\n", "stale.reason is missing"),
    ("site_policy: 1\nstale: {days: '30', reason: x}\n", "expected a whole number from 0 to 180"),
    ("site_policy: 1\nstale: {days: 181, reason: x}\n", "from 0 to 180"),
    ("site_policy: 1\nstale: {days: -1, reason: x}\n", "from 0 to 180"),
    ("site_policy: 1\nstale: {days: 1.5, reason: x}\n", "from 0 to 180"),
    ("site_policy: 1\nstale: {days: 1, reason: ' '}\n", "expected a text that says why"),
    ("site_policy: 1\nstale: {days: 1, reason: x, root: 9}\n", "unknown key stale.root"),
    ("site_policy: 1\nstale: {days: 1, reason: x}\nmore: 1\n", "unknown key more"),
    ("site_policy: 1\nsite_policy: 1\n", "site_policy"),
    ("\x00", "policy.yaml"),
])  # fmt: skip
def test_a_policy_that_is_misread_is_none(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_site_policy(str(file), machine=tmp_path / "none")
    assert sentence in str(caught.value)


def test_whose_policy_counts(tmp_path: Path) -> None:
    none, users, machines = tmp_path / "none", tmp_path / "users.yaml", tmp_path / "machine.yaml"
    assert read_site_policy(None, machine=none) == SitePolicy()
    users.write_text(GOOD)
    found = read_site_policy(str(users), machine=none)
    assert (found.grace, found.reason) == (MONTH, "the courier comes once a month")
    machines.write_text(GOOD.replace("30", "3"))
    assert read_site_policy(None, machine=machines).stale_days == 3
    with pytest.raises(ConfigError, match="this machine has the policy"):
        read_site_policy(str(users), machine=machines)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_site_policy(str(none), machine=none)
    users.chmod(0o666)
    with pytest.raises(RefusedError, match="only you or root may write to"):
        read_site_policy(str(users), machine=none)
    users.chmod(0o644)
    tmp_path.chmod(0o777)
    with pytest.raises(RefusedError, match="only you or root may write to"):
        read_site_policy(str(users), machine=none)
    tmp_path.chmod(0o755)


# -- the clock


def test_a_clock_that_was_set_back_is_told_and_revives_nothing(operated: Operated, at: At) -> None:
    at(1).update(DirectorySource(operated.tree))
    opened = at(-400).open()
    assert any("clock" in note for note in opened.notes)
    assert not any("clock" in note for note in at(1).open().notes)  # control
    operated.now += 2 * DAY
    operated.release()
    at(0).update(DirectorySource(operated.tree))
    assert any("was set back: it says" in note for note in at(-0.5).open().notes)


def confirmed(time: datetime) -> ConfirmedTime:
    return ConfirmedTime(f"{time:%Y-%m-%dT%H:%M:%SZ}", "wall clock", "1970-01-01T00:00:00Z")


def test_a_confirmed_time_stands_in_for_a_clock_that_was_never_set(
    operated: Operated, at: At
) -> None:
    """Without it a machine whose clock begins in 1970 takes lists that expired long ago."""
    never = datetime(1970, 1, 1, tzinfo=UTC)
    days = (never - operated.now) / DAY
    assert at(days).update(DirectorySource(operated.tree)).record  # the control: the freeze works
    now = confirmed_now(never, confirmed(operated.now + 20 * DAY))
    with pytest.raises(ExpiredError):
        at((now - operated.now) / DAY).update(DirectorySource(operated.tree))


def test_a_time_of_a_thief_is_forgotten_by_hand(operated: Operated, at: At) -> None:
    """The clock was wrong for a day, a stolen key signed for that day: no lock-out for good."""
    at(1).update(DirectorySource(operated.tree))
    trust, store = at(1), at(1)._store
    value = dict(store.load_trust(trust.repository) or {})
    far = "2036-01-01T00:00:00Z"
    value["state"] = {**value["state"], "newest_issued": far}
    store.save_trust(trust.repository, value, in_same_hands=None)
    with pytest.raises(ExpiredError):
        at(1).update(DirectorySource(operated.tree))  # locked out
    trusted = {trust.repository: value}
    assert believe(operated.now, None, trusted, None).reference.year == 2036
    changed = corrected(trusted, operated.now)
    store.save_trust(trust.repository, changed[trust.repository], in_same_hands=None)
    assert at(1).update(DirectorySource(operated.tree)).record
    assert not corrected(changed, operated.now)  # what is right stays


def test_times_are_kept_with_their_reason(tmp_path: Path) -> None:
    with State(tmp_path / "state" / "state.db") as state:
        state.save_trust("a", {"state": None})
        for one in ("2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"):
            state.confirm_time(one, "wall clock", "1970-01-01T00:00:00Z", trust={"a": {"x": 1}})
        assert [one.confirmed[:4] for one in state.confirmed_times()] == ["2026", "2025"]
        assert state.trusted() == {"a": {"x": 1}}


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "1999-01-01", "2101-01-01", "12:00"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        read_time(text)


def test_times_are_typed_in_several_forms() -> None:
    wanted = datetime(2026, 11, 28, 14, 30, tzinfo=UTC)
    for text in ("2026-11-28 14:30", "2026-11-28T14:30:00Z", " 2026-11-28 14:30:00 "):
        assert read_time(text) == wanted


# -- addresses


@pytest.mark.parametrize("address", [
    "http://127.0.0.1.evil.example/r", "http://localhost.evil.example/r",
    "http://127.0.0.1@evil.example/r", "http://localhost:80@evil.example/r",
    "HTTP://evil.example/r", "ftp://127.0.0.1/r", "file:///etc", "https:///r", "http://[::1/r",
])  # fmt: skip
def test_what_only_looks_like_this_machine_is_no_source(address: str) -> None:
    with pytest.raises(ConfigError):
        source_of(address)


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:8460/r", "http://localhost/r", "http://[::1]:8460/", "https://a.example/r",
])  # fmt: skip
def test_this_machine_and_https_are_sources(address: str) -> None:
    assert source_of(address).name.startswith(address)


def test_plain_http_counts_for_the_host_that_was_named_and_no_other() -> None:
    assert source_of("http://mirror.lan/r", plain_http=["mirror.lan"]).name
    for other in ("http://mirror.lan.evil.example/r", "http://xmirror.lan/r"):
        with pytest.raises(ConfigError, match="is not https"):
            source_of(other, plain_http=["mirror.lan"])
    with pytest.raises(ConfigError, match="in the clear") as caught:
        source_of("http://me:secret@mirror.lan/r", plain_http=["mirror.lan"])
    assert "secret" not in str(caught.value)
