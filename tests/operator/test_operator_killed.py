"""kill -9 at random instants of an operator's work: the next run completes it, and nothing is
released that was not approved.

The work is forked, so it begins at once; it is killed after a part of the time that it takes.
"""

from __future__ import annotations

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
from signing.ceremony import Change
from signing.roles import OFFLINE_ROLES
from tavo.registry.install import fetch_accepted
from tests.fakes.operated import Client, Operated

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


def kill_after(work: Work, seconds: float) -> None:
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
            with operated.open() as place:
                approved = {
                    one.full_id for one in place.intake.submissions() if one.state == "approved"
                }
            there = released(operated, client, fetched)
            assert expected <= there <= approved
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
        place.repository.publish(catalog=made.path, now=operated.now)
    with pytest.raises(NotAcceptedError, match="has 0"):
        released(operated, client, fetched)
