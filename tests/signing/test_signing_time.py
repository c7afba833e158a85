"""Time: the embedded repository, clocks that are wrong, and issue times that are kept.

The clock is an argument everywhere; nothing here waits.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signing.client import DirectorySource, TrustState, refresh, reopen
from signing.errors import ExpiredError, RollbackError, VerificationError
from signing.roles import DEFAULT_LIFE, LONGEST_LIFE, ROLES, format_time, parse_time
from signing.trust import Floor, Period, may_store_issue_time, reference_time
from tests.fakes.repository import NOW, Machine, RepositorySimulator

DAY = timedelta(days=1)


@pytest.fixture
def simulator(tmp_path: Path) -> RepositorySimulator:
    """Built, and put into the program, at NOW."""
    return RepositorySimulator(tmp_path / "repository")


def machine_at(tmp_path: Path, simulator: RepositorySimulator, now: datetime) -> Machine:
    return Machine(tmp_path / "cache", simulator.root, now=now, build_time=NOW)


# -- the embedded repository


@pytest.mark.parametrize("days", [0, 29, 60, 400, 4000])
def test_embedded_repository_works_however_old_the_build_is(
    tmp_path: Path, simulator: RepositorySimulator, days: int
) -> None:
    machine = machine_at(tmp_path, simulator, NOW + days * DAY)
    done = machine.refresh(simulator.source, embedded=True)
    assert done.catalog.path.read_bytes() == b"catalog 1"
    reopened, _ = reopen(done.record, state=done.state, now=machine.now)
    assert reopened.digest == done.catalog.digest
    if days < 30:
        assert done.notices == ()
        assert done.record.age_sentence(machine.now) == ""
    else:
        assert done.notices == (done.record.age_sentence(machine.now),)
        assert f"is {days} days old (built 2026-11-22)" in done.notices[0]


@pytest.mark.parametrize("days", [60, 400])
def test_the_same_metadata_offered_as_a_mirror_is_refused_as_expired(
    tmp_path: Path, simulator: RepositorySimulator, days: int
) -> None:
    machine = machine_at(tmp_path, simulator, NOW + days * DAY)
    with pytest.raises(ExpiredError, match=r"expired 202\d-") as caught:
        machine.refresh(simulator.source)
    assert "tavo mirror sync" in caught.value.hint
    machine.refresh(simulator.source, embedded=True)  # control: the rule for the embedded one
    with pytest.raises(ExpiredError):  # also after the embedded one was accepted
        machine.refresh(simulator.source)


def test_embedded_repository_is_verified_in_full(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    machine = machine_at(tmp_path, simulator, NOW + 60 * DAY)
    simulator.forge("timestamp", lambda signed: None, keys=[])
    with pytest.raises(VerificationError, match="0/1 keys"):
        machine.refresh(simulator.source, embedded=True)
    simulator.forge("timestamp", lambda signed: None)
    (path,) = (simulator.directory / "targets" / "catalog").iterdir()
    path.write_bytes(b"catalog X")
    with pytest.raises(VerificationError, match="sha256 is"):
        machine.refresh(simulator.source, embedded=True)


def test_embedded_repository_that_had_expired_before_the_build_is_refused(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    machine = machine_at(tmp_path, simulator, NOW)
    machine.build_time = NOW + 10 * DAY
    with pytest.raises(ExpiredError):
        machine.refresh(simulator.source, embedded=True)


def test_a_newer_trusted_catalog_replaces_the_embedded_one_for_good(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    embedded = DirectorySource(simulator.copy(tmp_path / "embedded"))
    later = NOW + 60 * DAY
    machine = machine_at(tmp_path, simulator, later)
    first = machine.refresh(embedded, embedded=True)
    simulator.publish(catalog=b"catalog 2", renew=["targets", "publishers"], now=later)
    newer = machine.refresh(simulator.source)
    assert newer.catalog.path.read_bytes() == b"catalog 2"
    with pytest.raises(RollbackError):
        machine.refresh(embedded, embedded=True)
    with pytest.raises(RollbackError):
        reopen(first.record, state=machine.state, now=later)
    machine.now = later + 400 * DAY  # the newer one expires; the embedded one stays replaced
    with pytest.raises(ExpiredError):
        reopen(newer.record, state=machine.state, now=machine.now)
    with pytest.raises(RollbackError):
        machine.refresh(embedded, embedded=True)


# -- clocks


def test_clock_before_the_build_does_not_stop_the_embedded_repository(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    machine = machine_at(tmp_path, simulator, datetime(1970, 1, 1, tzinfo=UTC))
    done = machine.refresh(simulator.source, embedded=True)
    assert done.state.newest_issued is None  # nothing is learnt from such a clock
    assert "clock says 1970-01-01" in done.notices[0]


def test_clock_before_the_build_revives_no_mirror_older_than_the_build(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    machine = machine_at(tmp_path, simulator, datetime(1970, 1, 1, tzinfo=UTC))
    machine.build_time = NOW + 60 * DAY
    with pytest.raises(ExpiredError, match=r"now 2027-01-21"):
        machine.refresh(simulator.source)
    machine.build_time = NOW
    machine.refresh(simulator.source)  # control: expiry is judged by the wrong clock alone


def test_clock_set_back_does_not_revive_what_was_expired(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    old = simulator.copy(tmp_path / "old")
    machine = machine_at(tmp_path, simulator, NOW + 40 * DAY)
    simulator.publish(renew=["catalog"], now=machine.now)
    machine.refresh(simulator.source)
    assert machine.state.newest_issued == machine.now
    machine.now = NOW + DAY
    unaware = TrustState(repository=machine.state.repository, floors={})
    kept = TrustState(
        repository=machine.state.repository,
        floors={"timestamp": Floor(1, machine.state.timestamp_keys)},
        newest_issued=machine.state.newest_issued,
    )
    machine.cache = tmp_path / "second-cache"
    machine.state = kept
    with pytest.raises(ExpiredError, match="now 2027-01-01"):
        machine.refresh(DirectorySource(old))
    machine.state = unaware
    machine.refresh(DirectorySource(old))  # control: without the kept issue time


def test_issue_time_far_ahead_of_the_clock_is_not_kept(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    """A thief of the timestamp key signs the future: it must not lock the machine out."""
    machine = machine_at(tmp_path, simulator, NOW)

    def future(signed: dict[str, object]) -> None:
        signed["x-tavo-issued"] = "2099-01-01T00:00:00Z"
        signed["expires"] = "2099-01-03T00:00:00Z"

    simulator.forge("timestamp", future)
    done = machine.refresh(simulator.source)
    assert machine.state.newest_issued is None
    assert "metadata signed 2099-01-01" in done.notices[0]
    simulator.publish(now=NOW + DAY)
    machine.now = NOW + DAY
    machine.refresh(simulator.source)
    assert machine.state.newest_issued == NOW + DAY


def test_rotating_the_timestamp_key_frees_a_machine_with_a_poisoned_time(
    tmp_path: Path, simulator: RepositorySimulator
) -> None:
    """The clock was wrong once, and just then a thief's future metadata came: both are needed."""
    future = NOW + 4000 * DAY
    machine = machine_at(tmp_path, simulator, NOW)
    keys = machine.refresh(simulator.source).state.timestamp_keys
    machine.state = TrustState(
        repository=machine.state.repository,
        floors={"timestamp": Floor(1, keys)},
        newest_issued=future,
    )
    with pytest.raises(ExpiredError):
        machine.refresh(simulator.source)
    simulator.rotate("timestamp")
    done = machine.refresh(simulator.source)
    assert done.state.newest_issued == NOW


@pytest.mark.parametrize("role", [role for role in ROLES if role != "releases"])
def test_metadata_that_outlives_its_role_is_refused(
    tmp_path: Path, simulator: RepositorySimulator, role: str
) -> None:
    machine = machine_at(tmp_path, simulator, NOW)
    limit = NOW + LONGEST_LIFE[role]
    for expires, allowed in ((limit, True), (limit + timedelta(seconds=1), False)):
        simulator.forge(role, lambda signed, at=expires: signed.update(expires=format_time(at)))
        if role == "root":
            machine.root = simulator.metadata_path("root").read_bytes()
        if allowed:
            machine.refresh(simulator.source)
            continue
        with pytest.raises(VerificationError, match=f"{role} metadata may live at most"):
            Machine(tmp_path / "c2", machine.root, build_time=NOW).refresh(simulator.source)


@pytest.mark.parametrize("value", [None, 5, "", "2026-11-22", "2026-13-01T00:00:00Z", "now"])
def test_metadata_without_a_signed_issue_time_is_refused(
    tmp_path: Path, simulator: RepositorySimulator, value: object
) -> None:
    machine = machine_at(tmp_path, simulator, NOW)
    simulator.forge("timestamp", lambda signed: signed.update({"x-tavo-issued": value}))
    with pytest.raises(VerificationError, match="signed time of issue"):
        machine.refresh(simulator.source)


def test_expired_before_issued_is_refused(tmp_path: Path, simulator: RepositorySimulator) -> None:
    machine = machine_at(tmp_path, simulator, NOW)
    simulator.forge(
        "timestamp",
        lambda signed: signed.update(
            {"x-tavo-issued": "2026-11-24T12:00:00Z", "expires": "2026-11-23T12:00:00Z"}
        ),
    )
    with pytest.raises(VerificationError, match="may live at most"):
        machine.refresh(simulator.source)


# -- values


def test_reference_time_is_the_largest() -> None:
    other = NOW + DAY
    assert reference_time(now=NOW, newest_issued=None, build_time=None) == NOW
    assert reference_time(now=NOW, newest_issued=other, build_time=None) == other
    assert reference_time(now=NOW, newest_issued=None, build_time=other) == other
    with pytest.raises(ValueError, match="time zone"):
        reference_time(now=NOW.replace(tzinfo=None), newest_issued=None, build_time=None)


@pytest.mark.parametrize(
    ("ahead", "life", "stored"),
    [
        (timedelta(0), 3 * DAY, True),
        (DAY, 3 * DAY, True),
        (DAY + timedelta(seconds=1), 3 * DAY, False),
        (timedelta(0), LONGEST_LIFE["timestamp"], True),
        (timedelta(0), LONGEST_LIFE["timestamp"] + timedelta(seconds=1), False),
        (timedelta(0), timedelta(seconds=-1), False),
        (-1000 * DAY, DAY, True),
    ],
)
def test_which_issue_times_are_kept(ahead: timedelta, life: timedelta, stored: bool) -> None:
    period = Period(NOW + ahead, NOW + ahead + life)
    assert may_store_issue_time(period, "timestamp", now=NOW) is stored


def test_default_lives_are_within_the_longest() -> None:
    assert set(DEFAULT_LIFE) == set(LONGEST_LIFE) == set(ROLES)
    assert all(DEFAULT_LIFE[role] <= LONGEST_LIFE[role] for role in ROLES)


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T24:00:00Z", "2026-11-22T10:00:60Z", "2026-13-01T10:00:00Z", "2026-02-30T10:00:00Z",
     "2026-11-22 10:00:00Z", "2026-11-22T10:00:00", "2026-11-22T10:00:00+00:00", "20261122T100000Z",
     "2026-11-22T10:00:00Z\n", "٢٠٢٦-11-22T10:00:00Z", "0000-01-01T00:00:00Z", 20261122, None],
)  # fmt: skip
def test_a_time_in_another_form_is_refused(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_time(text)


def test_times_have_one_form() -> None:
    assert parse_time(format_time(NOW)) == NOW
    with pytest.raises(ValueError, match="time zone"):
        format_time(NOW.replace(tzinfo=None))


def test_state_survives_json_and_union_keeps_the_stricter() -> None:
    machine = TrustState(
        repository="a" * 32,
        floors={"root": Floor(1, "r1"), "timestamp": Floor(9, "t1"), "catalog": Floor(4, "c")},
        newest_issued=NOW,
    )
    program = TrustState(
        repository="a" * 32,
        floors={"root": Floor(2, "r2"), "timestamp": Floor(3, "t2"), "catalog": Floor(5, "c")},
    )
    assert TrustState.from_dict(json.loads(json.dumps(machine.to_dict()))) == machine
    both = machine.union(program)
    assert both == program.union(machine)
    assert both.floors == {
        "root": Floor(2, "r2"),
        "timestamp": Floor(3, "t2"),
        "catalog": Floor(5, "c"),
    }
    assert both.newest_issued is None  # signed by keys that were rotated away
    assert machine.union(TrustState()) == TrustState().union(machine) == machine
    with pytest.raises(VerificationError, match="trust state is of repository"):
        machine.union(TrustState(repository="b" * 32))


@pytest.mark.parametrize(
    "value",
    [{}, {"repository": "a", "floors": [], "newest_issued": None},
     {"repository": "a", "floors": {"root": [0, "k"]}, "newest_issued": None},
     {"repository": "a", "floors": {"root": [True, "k"]}, "newest_issued": None},
     {"repository": "a", "floors": {}, "newest_issued": "yesterday"}],
)  # fmt: skip
def test_damaged_state_is_refused_not_ignored(value: dict[str, object]) -> None:
    with pytest.raises(VerificationError, match="trust state cannot be read"):
        TrustState.from_dict(value)


def test_no_hidden_clock_is_read(tmp_path: Path, simulator: RepositorySimulator) -> None:
    """The process lives in another time zone and year than the arguments say."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Kiritimati"
    try:
        done = refresh(
            simulator.source,
            root=simulator.root,
            cache=tmp_path / "cache",
            state=TrustState(),
            now=NOW,
            build_time=NOW,
        )
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
    assert done.record.accepted_at == NOW
