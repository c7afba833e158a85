"""kill -9 at random instants of an operator's work: the next run completes it, and nothing is
released that was not approved.

The work is forked, so it begins at once; it is killed after a part of the time that it takes. What
it started itself comes to this process when it dies, and must end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from marketplace_db.errors import NotAcceptedError
from marketplace_db.release import release_catalog
from signing.attest import verify_vetting
from signing.ceremony import Change
from signing.digests import Digest
from signing.roles import OFFLINE_ROLES
from tavo.operator.vetting.run import read_report, vet
from tavo.registry.install import fetch_accepted
from tests.fakes.operated import Client, Operated
from tests.fakes.repository import NOW

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]


class Work:
    """A day: two packages come in, one is approved and released, offline roles are renewed."""

    def __init__(self, operated: Operated, number: int) -> None:
        self.operated = operated
        self.approved, self.waiting = f"acme/good-{number}", f"acme/waits-{number}"
        self.packages = {
            name: operated.people.package(id=name.partition("/")[2])
            for name in (self.approved, self.waiting)
        }

    def run(self) -> None:
        """Do all that is not done yet."""
        for name in (self.waiting, self.approved):
            self.submit(name)
        with self.operated.open() as place:
            state = {one.full_id: one for one in place.intake.submissions()}
        if state[self.approved].state == "submitted":
            self.operated.approve(state[self.approved].uuid)
        with self.operated.open() as place:
            place.release(self.operated.now)
            ceremony = place.prepare(Change(renew=("publishers", "root")), self.operated.now)
            ceremony.sign_all(key for role in OFFLINE_ROLES for key in self.operated.keys.of(role))
            place.adopt(ceremony, self.operated.now)

    def submit(self, name: str) -> None:
        with self.operated.open() as place:
            if name in {one.full_id for one in place.intake.submissions()}:
                return
            package = self.packages[name]
            place.intake.submit(
                package, self.operated.people.sign(package), publishers=place.publishers(),
                now=self.operated.now,
            )  # fmt: skip


def kill_after(work: Work | VettingWork, seconds: float) -> None:
    """Do the work in a process that is killed."""
    child = os.fork()
    if not child:
        try:
            work.run()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def approved(operated: Operated) -> set[str]:
    """Return the ids of what was approved."""
    with operated.open() as place:
        return {one.full_id for one in place.intake.submissions() if one.state == "approved"}


def released(operated: Operated, client: Client, folder: Path) -> set[str]:
    """Update, and take every release through all checks; return their ids."""
    opened = client.update()
    found = set()
    with Catalog.open(opened.file, thorough=True) as catalog:
        for release in catalog.releases():
            fetch_accepted(opened, release, folder)
            found.add(release.full_id)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_instants(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    operated = Operated(tmp_path)
    client = Client(operated)
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    first = Work(operated, 0)
    start = time.monotonic()
    first.run()
    length = time.monotonic() - start
    expected = {first.approved}
    kills = 0
    for number in range(1, 13):
        work = Work(operated, number)
        for _ in range(draw.randint(1, 3)):
            kill_after(work, draw.uniform(0, length))
            kills += 1
            assert expected <= released(operated, client, fetched) <= approved(operated)
        work.run()
        expected.add(work.approved)
        assert released(operated, client, fetched) == expected
    assert kills >= 12


def test_control_a_release_of_what_nobody_approved_is_seen(tmp_path: Path) -> None:
    """The check of this file fails where a submission got a row without its approvals."""
    operated = Operated(tmp_path)
    client = Client(operated)
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    operated.add(id="good")
    with operated.open() as place:
        connection = place.intake.connection
        connection.execute("DELETE FROM approvals")
        connection.commit()
        made = release_catalog(place.intake, tmp_path / "bad.db")
        log = place.repository.with_release(made.digest, made.length, releases=1, now=operated.now)
        place.repository.publish(catalog=made.path, log=log, now=operated.now)
    with pytest.raises(NotAcceptedError, match="has 0"):
        released(operated, client, fetched)


# -- vetting: with processes of its own, and a report for each check

CHECKS = ("package", "licence", "behaviour", "scan", "contract")
GOOD = """\
from tavo.plugins import StaticAnalysisPlugin


class Plugin(StaticAnalysisPlugin):
    rules = ()

    def analyze_file(self, file_path, content):
        return ()
"""
BAD = (
    "import socket\n\n"
    + GOOD
    + """
    def start(self, context):
        socket.create_connection(("203.0.113.1", 443))
"""
)
TESTS = """\
from main import Plugin


def test_it_is_quiet():
    assert tuple(Plugin().analyze_file(None, "x = 1")) == ()
"""
_PR_SET_CHILD_SUBREAPER = 36


class VettingWork:
    """A good package, one that fails its checks, and one that only waits; all are vetted."""

    def __init__(self, operated: Operated, number: int) -> None:
        self.operated = operated
        self.good, self.bad, self.waiting = (
            f"acme/{name}-{number}" for name in ("good", "bad", "waits")
        )
        self.packages = {
            full_id: operated.people.package(
                id=full_id.partition("/")[2],
                files={"main.py": main, "LICENSE": "Apache License\n", "tests/test_main.py": TESTS},
            )
            for full_id, main in ((self.good, GOOD), (self.bad, BAD), (self.waiting, GOOD))
        }

    def run(self) -> None:
        """Do all that is not done yet, as an operator would: vet what is blocked, then approve."""
        people, now = self.operated.people, self.operated.now
        with self.operated.open() as place:
            known = {one.full_id for one in place.intake.submissions()}
            for full_id, package in self.packages.items():
                if full_id not in known:
                    place.intake.submit(
                        package, people.sign(package), publishers=place.publishers(), now=now
                    )
            mine = [one for one in place.intake.submissions() if one.full_id in self.packages]
            for one in mine:
                if one.state == "submitted" and place.blocking(one):
                    key = self.operated.keys.of("catalog")[0]
                    list(vet(place, one, key=key, names=CHECKS, now=now))
        for one in mine:
            if one.state == "submitted" and one.full_id != self.waiting:
                try:
                    self.operated.approve(one.uuid)
                except NotAcceptedError:
                    assert one.full_id == self.bad
        with self.operated.open() as place:
            place.release(now)


def check_reports(operated: Operated) -> int:
    """Check that each recorded check has its whole, signed report; return how many there are."""
    key = operated.keys.of("catalog")[0].public
    count = 0
    with operated.open() as place:
        for one in place.intake.submissions():
            for check in place.intake.checks(one.uuid):
                data = place.intake.blob(check.report).read_bytes()
                assert Digest.of(data) == check.report
                claim = verify_vetting(
                    data, {key.key_id: key}, one.full_id, one.version, one.package
                )
                assert (claim.report["check"], claim.report["outcome"]) == (
                    check.name, check.outcome,
                )  # fmt: skip
                assert read_report(place.intake, one, check) is not None
                count += 1
    return count


def children() -> set[int]:
    """Return the processes whose parent this one is, by birth or because theirs is gone."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended since
            found.update(int(one) for one in (task / "children").read_text().split())
    return found


def wait_for_orphans(others: set[int], seconds: float = 120.0) -> None:
    """Wait for all that the killed process has started; fail if it lives on."""
    end = time.monotonic() + seconds
    while left := children() - others:
        ended = [pid for pid in left if os.waitpid(pid, os.WNOHANG)[0]]
        if not ended:
            assert time.monotonic() < end, "a process that the killed one started lives on"
            time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come to this process on Linux only")
@pytest.mark.parametrize("seed", range(2))
def test_vetting_killed_at_random_instants(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    operated = Operated(tmp_path)
    required = ", ".join(f'"{name}"' for name in CHECKS)
    (operated.directory / "market.toml").write_text(f"[vetting]\nrequired = [{required}]\n")
    client = Client(operated)
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    first = VettingWork(operated, 0)
    start = time.monotonic()
    first.run()
    length = time.monotonic() - start
    expected = {first.good}
    assert released(operated, client, fetched) == expected
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others = children()  # such as servers of other tests
    try:
        seen = check_reports(operated)
        for number in range(1, 7):
            work = VettingWork(operated, number)
            for _ in range(draw.randint(1, 3)):
                kill_after(work, draw.uniform(0, length))
                wait_for_orphans(others)
                seen = max(seen, check_reports(operated))
                assert approved(operated) <= expected | {work.good}
                assert expected <= released(operated, client, fetched) <= approved(operated)
            work.run()
            expected.add(work.good)
            assert released(operated, client, fetched) == expected
        assert check_reports(operated) >= 7 * 3 * len(CHECKS)
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert seen


def test_control_half_a_report_is_seen(tmp_path: Path) -> None:
    """The check of the reports fails for one that was cut off, and for a row that says else."""
    operated = Operated(tmp_path)
    submission = operated.hand_in(id="good")
    with operated.open() as place:
        one = place.intake.submission(submission)
        list(vet(place, one, key=operated.keys.of("catalog")[0], names=("licence",), now=NOW))
        (check,) = place.intake.checks(submission)
        path = place.intake.blob(check.report)
    assert check_reports(operated) == 1
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(AssertionError):
        check_reports(operated)
    path.write_bytes(whole)
    with operated.open() as place:
        place.intake.connection.execute("UPDATE checks SET outcome = 'not done'")
        place.intake.connection.commit()
    with pytest.raises(AssertionError):
        check_reports(operated)
