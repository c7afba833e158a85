"""`tavo market serve` as two real processes: what dies alone, what ends in order, what is kept."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from marketplace_db.accounts import Accounts
from marketplace_db.intake import Market
from signing.keyring import Keyring
from signing.repository import first_ceremony
from signing.roles import OFFLINE_ROLES, ONLINE_ROLES, ROLES
from tavo.operator.marketplace import OperatedMarket
from tests.fakes.operator_market import Marketplace
from tests.fakes.served import LIMITS, Served, marketplace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
ROOT = Path(__file__).parents[2]
T = TypeVar("T")


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Marketplace, str]:
    """A marketplace of now, whose online keys are in a folder; a token; acme's keys."""
    folder = tmp_path_factory.mktemp("serve")
    people, keyring, now = Marketplace(folder / "people"), Keyring.generate(), datetime.now(UTC)
    public = {role: [key.public for key in keyring.of(role)] for role in ROLES}
    first = first_ceremony(public, now, publishers=people.publishers)
    first.sign_all(key for role in OFFLINE_ROLES for key in keyring.of(role))
    with OperatedMarket.found(folder / "market", first, keyring, now) as place:
        place.register(now)
        accounts = Accounts(place.intake.connection)
        accounts.add_organization("acme-corp", now=now)
        accounts.give_namespace("acme-corp", "acme", now=now)
        _, token = accounts.new_token("alice", "acme-corp", name="t",
                                      scopes=["submit", "operate"],
                                      expires=now + timedelta(days=1), now=now)  # fmt: skip
    (folder / "market" / "market.toml").write_text(LIMITS)
    (folder / "keys").mkdir()
    for role in ONLINE_ROLES:
        for number, key in enumerate(keyring.of(role), start=1):
            key.save(folder / "keys" / f"{role}-{number}.key", None)
    return folder, people, token


class Running:
    def __init__(self, folder: Path, *words: str) -> None:
        self.log = folder / "serve.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tavo", "market", "serve", "--market",
                 str(folder / "market"), "--keys", str(folder / "keys"), "--port", "0", *words],
                stderr=log, cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)},
            )  # fmt: skip
        line = self.wait(lambda: [one for one in self.text() if "The marketplace is at" in one])[0]
        self.url = line.split()[4]

    def text(self) -> list[str]:
        return self.log.read_text().splitlines()

    def wait(self, look: Callable[[], T], seconds: float = 60) -> T:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := look():
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())


@pytest.fixture
def running(founded: tuple[Path, Marketplace, str]) -> Iterator[Running]:
    started = Running(founded[0])
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task")
    return [
        int(child) for task in found.iterdir() for child in (task / "children").read_text().split()
    ]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the worker in /proc")
def test_worker_that_dies_takes_no_page_down(
    founded: tuple[Path, Marketplace, str], running: Running
) -> None:
    _, people, token = founded
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as client:
        running.wait(lambda: client.get("/healthz").json()["worker"] == "up")
        (worker,) = workers = children(running.process.pid)
        os.kill(worker, signal.SIGKILL)
        for path in ("/", "/api/v1/plugins/marketplace", "/advisories"):
            assert client.get(path).status_code == 200
        workers += running.wait(
            lambda: [one for one in children(running.process.pid) if one != worker]
        )
        package = people.package(id="vetted", name="Vetted")
        from marketplace_db.submission import write_submission

        taken = client.post(
            "/api/v1/plugins", content=write_submission(package, people.sign(package), {}),
            headers={**headers, "content-type": "application/vnd.tavo.submission"},
        )  # fmt: skip
        assert taken.status_code == 201, taken.text
        address = taken.headers["location"]

        def checks() -> bool:
            found = client.get(address, headers=headers).json()["checks"]
            return {"package", "permissions", "behaviour"} <= {one["name"] for one in found}

        running.wait(checks)
        metrics = client.get("/metrics", headers=headers)
        assert "tavo_worker_up 1" in metrics.text
        assert 'tavo_requests_total{route="/api/v1/plugins",method="POST",status="201"} 1' in (
            metrics.text
        )
        assert client.get("/metrics").status_code == 401
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    for child in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the worker in /proc")
def test_worker_ends_when_its_server_is_killed(running: Running) -> None:
    (worker,) = running.wait(lambda: children(running.process.pid))
    running.process.kill()
    running.process.wait()
    end = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_what_was_begun_is_finished_when_the_server_is_told_to_end(tmp_path: Path) -> None:
    served = Served(marketplace(tmp_path, count=1))
    data = served.submission(id="late", name="Late")
    half, begun = len(data) // 2, threading.Event()
    answers: list[int] = []

    def slowly() -> Iterator[bytes]:
        yield data[:half]
        begun.set()
        time.sleep(1)
        yield data[half:]

    def hand_in() -> None:
        headers = {"content-type": "application/vnd.tavo.submission"}
        done = served.ask("POST", "/plugins", "alice", content=slowly(), headers=headers)
        answers.append(done.status_code)

    body = threading.Thread(target=hand_in)
    body.start()
    assert begun.wait(30)
    time.sleep(0.3)
    process = served.process
    process.send_signal(signal.SIGTERM)
    body.join(30)
    assert answers == [201]
    assert process.stdout is not None
    assert process.stdout.read() == "ended in order\n"
    assert process.wait(30) == 0
    assert not list(served.operated.directory.glob("market.db-wal")), "all of it is in the file"
    with sqlite3.connect(served.operated.directory / "market.db") as connection:
        (kept,) = connection.execute("SELECT count(*) FROM submissions WHERE full_id ="
                                     " 'acme/late'").fetchone()  # fmt: skip
    assert kept == 1


@pytest.mark.parametrize(
    ("writers", "seconds"), [(24, 0.5), pytest.param(200, 60.0, marks=pytest.mark.slow)]
)
def test_nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed(
    tmp_path: Path, writers: int, seconds: float
) -> None:
    served = Served(marketplace(tmp_path, count=1))
    with Market.open(served.operated.directory) as market:
        names = [f"writer-{number}" for number in range(writers)]
        for name in names:
            served.token(name, "other-corp", ["review", "install"], market)
    acknowledged: list[tuple[str, int]] = []
    lock = threading.Lock()

    def write(name: str) -> None:
        headers = {"authorization": f"Bearer {served.tokens[name]}"}
        with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as client:
            for number in itertools.count():
                path = "/api/v1/plugins/acme%2Freach/install"
                body = {"key": f"{name}-{number:08}"}
                try:
                    done = client.post(path, json=body, headers=headers)
                except httpx.HTTPError:
                    return
                if done.status_code == 200:
                    with lock:
                        acknowledged.append((name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    while time.monotonic() < begun + seconds or len(acknowledged) < 60:
        assert time.monotonic() < begun + seconds + 60
        time.sleep(0.05)
    served.process.kill()
    served.process.wait()
    for thread in threads:
        thread.join()
    served.client.close()
    served.start()
    for name, number in acknowledged[-20:]:  # a client that did not hear it asks again
        again = served.ask("POST", "/plugins/acme%2Freach/install", name,
                           json={"key": f"{name}-{number:08}"})  # fmt: skip
        assert again.status_code == 200
    assert served.stop() == "ended in order\n"
    with sqlite3.connect(served.operated.directory / "market.db") as connection:
        rows = connection.execute("SELECT uuid FROM plugin_installations").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(rows) == len(set(rows))
    assert len(rows) >= len(set(acknowledged))


def test_a_release_is_shown_without_a_restart(tmp_path: Path) -> None:
    served = Served(marketplace(tmp_path, count=1))
    before = served.ask("GET", "/plugins/marketplace").json()
    etag = served.ask("GET", "/plugins/marketplace").headers["etag"]
    served.operated.add(id="fresh", name="Fresh")
    end = time.monotonic() + 30
    while (found := served.ask("GET", "/plugins/marketplace").json()) == before:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert found["total"] == before["total"] + 1
    assert found["catalog"] != before["catalog"]
    assert served.ask("GET", "/plugins/marketplace", headers={"if-none-match": etag}).content
    assert "Fresh" in served.client.get("/").text
    timestamp = served.operated.tree / "metadata" / "timestamp.json"
    timestamp.write_bytes(b"{}")
    while (health := served.client.get("/healthz").json())["status"] == "ok":
        assert time.monotonic() < end + 30
        time.sleep(0.1)
    assert health["problem"] == "the newest release does not verify"
    assert served.ask("GET", "/plugins/marketplace").json() == found, "the last good one stays"
    served.stop()
    errors = [line for line in served.lines() if line["level"] == "error"]
    assert len(errors) == 1
    assert json.dumps(errors).count("is not shown") == 1
