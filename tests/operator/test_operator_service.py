"""`tavo market serve` as two real processes: what dies alone, what ends in order, what is kept."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import pytest

from marketplace_db.accounts import Accounts
from marketplace_db.web import server
from signing.amend import lift
from signing.ceremony import Change
from signing.digests import Digest
from signing.founding import first_ceremony
from signing.keyring import Keyring
from signing.roles import OFFLINE_ROLES, ONLINE_ROLES, ROLES
from tavo.operator import service
from tavo.operator.marketplace import OperatedMarket
from tests.fakes.executed import ENABLED, Executed, add_dynamic
from tests.fakes.operator_market import Marketplace
from tests.fakes.served import HANDED_OVER, LIMITS, SCRIPT, Served, marketplace

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

    def wait(self, look: Callable[[], T], seconds: float = 180) -> T:
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
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended since
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


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


def sockets(pid: int) -> int:
    links = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
    return sum(link.startswith("socket:") for link in links)


def unread(port: int | None) -> int:
    """Return how many bytes lie in connections of a port on loopback, on their way or there."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f"0100007F:{port:04X}"
    return sum(
        sum(int(size, 16) for size in waiting.split(":"))
        for _, ours, theirs, state, waiting, *_ in rows
        if ends in {ours, theirs} and state == "01"
    )


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts sockets in /proc")
def test_what_was_begun_is_finished_when_the_server_is_told_to_end(tmp_path: Path) -> None:
    served = Served(marketplace(tmp_path, count=1))
    data = served.submission(id="late", name="Late")
    half, begun, told = len(data) // 2, threading.Event(), threading.Event()
    answers: list[int] = []

    def slowly() -> Iterator[bytes]:
        yield data[:half]
        begun.set()
        told.wait(60)
        time.sleep(0.5)
        yield data[half:]

    def hand_in() -> None:
        headers = {"content-type": "application/vnd.tavo.submission"}
        done = served.ask("POST", "/plugins", "alice", content=slowly(), headers=headers)
        answers.append(done.status_code)

    body = threading.Thread(target=hand_in)
    process = served.process
    before = sockets(process.pid)
    body.start()
    assert begun.wait(60)
    end = time.monotonic() + 60
    while sockets(process.pid) == before:  # what it has not accepted, it has not begun
        assert time.monotonic() < end
        time.sleep(0.02)
    port = urlsplit(served.url).port
    while unread(port):  # nor what it has accepted and not read
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    told.set()
    body.join(60)
    assert answers == [201]
    assert process.stdout is not None
    assert process.stdout.read() == "ended in order\n"
    assert process.wait(30) == 0
    assert not list(served.operated.directory.glob("market.db-wal")), "all of it is in the file"
    with sqlite3.connect(served.operated.directory / "market.db") as connection:
        (kept,) = connection.execute("SELECT count(*) FROM submissions WHERE full_id ="
                                     " 'acme/late'").fetchone()  # fmt: skip
    assert kept == 1


ROOMY = (
    ENABLED
    + """
waiting = 100000
[execution.limits]
waiting = 100000
per_day = 1000000
"""
)


class Writer(threading.Thread):
    """One person who writes reviews, runs and installations until the server is gone."""

    def __init__(self, served: Served, name: str) -> None:
        super().__init__(name=name)
        self.served = served
        self.installs: set[str] = set()
        self.runs: dict[str, str] = {}
        self.review = -1
        self.wrong: list[str] = []

    def run(self) -> None:
        headers = {"authorization": f"Bearer {self.served.tokens[self.name]}"}
        with httpx.Client(base_url=self.served.url, trust_env=False, timeout=60) as client:
            for number in itertools.count():
                key = f"{self.name}-{number:08}"
                kind = ("install", "execute", "reviews")[number % 3]
                plugin = "prober" if kind == "execute" else "reach"
                body = {
                    "install": {"key": key},
                    "execute": {"key": key, "target": "staging"},
                    "reviews": {"rating": 1 + number % 5, "title": str(number)},
                }[kind]
                try:
                    done = client.post(
                        f"/api/v1/plugins/acme%2F{plugin}/{kind}", json=body, headers=headers
                    )
                except httpx.HTTPError:
                    return
                if done.status_code not in {200, 202}:
                    self.wrong.append(done.text)
                    return
                if kind == "reviews":
                    self.review = number
                elif kind == "install":
                    self.installs.add(key)
                else:
                    self.runs[key] = done.json()["id"]

    @property
    def written(self) -> int:
        return len(self.installs) + len(self.runs) + (self.review >= 0)


@pytest.mark.parametrize(
    ("writers", "seconds"), [(24, 0.5), pytest.param(200, 60.0, marks=pytest.mark.slow)]
)
def test_nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed(
    tmp_path: Path, writers: int, seconds: float
) -> None:
    """Reviews, runs and installations; the server is killed in the middle, and again at the end."""
    operated = marketplace(tmp_path, count=1)
    add_dynamic(operated)
    served = Served(operated, more=ROOMY)
    executed = Executed(operated)
    executed.target("http://127.0.0.1:9/v1")
    names = [f"writer-{number}" for number in range(writers)]
    for name in names:
        served.token(name, "other-corp", ["review", "install", "execute"], executed.market)
    everybody: list[Writer] = []
    for _ in range(2):
        threads = [Writer(served, name) for name in names]
        everybody += threads
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        while time.monotonic() < begun + seconds / 2 or sum(one.written for one in threads) < 60:
            assert time.monotonic() < begun + seconds + 300
            time.sleep(0.05)
        served.process.kill()
        served.process.wait()
        for thread in threads:
            thread.join()
        served.client.close()
        served.start()
    assert [one.wrong for one in everybody if one.wrong] == []
    for one in everybody[-20:]:  # a client that did not hear it asks again
        for key, run in list(one.runs.items())[-1:]:
            again = served.ask("POST", "/plugins/acme%2Fprober/execute", one.name,
                               json={"key": key, "target": "staging"})  # fmt: skip
            assert (again.status_code, again.json()["id"]) == (202, run)
        for key in list(one.installs)[-1:]:
            again = served.ask("POST", "/plugins/acme%2Freach/install", one.name, json={"key": key})
            assert again.status_code == 200
    assert served.stop() == "ended in order\n"
    executed.market.close()
    with closing(sqlite3.connect(served.operated.directory / "market.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        installs = connection.execute("SELECT uuid FROM plugin_installations").fetchall()
        runs = connection.execute("SELECT key, uuid FROM plugin_executions").fetchall()
        reviews = dict(connection.execute("SELECT author, title FROM plugin_reviews").fetchall())
    assert (
        len(installs)
        == len(set(installs))
        >= sum(
            len(set.union(*(one.installs for one in everybody if one.name == name)))
            for name in names
        )
    )
    assert len(runs) == len({key for key, _ in runs})
    known = dict(runs)
    for one in everybody:
        assert {key: known.get(key) for key in one.runs} == one.runs
    for name, last in ((one.name, one.review) for one in everybody[-writers:]):
        # what was acknowledged last, or the one after it, whose answer the kill cut off
        assert int(reviews.get(name, -1)) in {last, last + 3} or last < 0


class OnSmallDisk(Served):
    """Serves a copy of the market on a file system of its own, which can be filled."""

    def start(self) -> None:
        mount = self.operated.folder / "disk"
        mount.mkdir(exist_ok=True)
        begin = (
            f'mount -t tmpfs -o size=24m none "{mount}" &&'
            f' cp -r "{self.operated.directory}" "{mount}/market" && exec "$@"'
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "-Urm", "sh", "-c", begin, "sh", sys.executable, "-c", SCRIPT,
                 str(mount / "market"), self.operated.now.isoformat()],
                env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.log.read_text()
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        self.disk = Path(f"/proc/{self.process.pid}/root{mount}")

    def fill(self) -> Path:
        filler = self.disk / "filler"
        for size in (1 << 20, 4096, 1):
            with filler.open("ab", buffering=0) as stream, suppress(OSError):
                while True:
                    stream.write(bytes(size))
        return filler


def has_mounts() -> bool:
    try:
        words = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not has_mounts(), reason="needs a file system of its own")
def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    operated = marketplace(tmp_path, count=1)
    add_dynamic(operated)
    executed = Executed(operated)
    executed.target("http://127.0.0.1:9/v1")
    executed.market.close()
    served = OnSmallDisk(operated, more=ROOMY)
    known: set[str] = set()

    def install(key: str) -> httpx.Response:
        done = served.ask("POST", "/plugins/acme%2Freach/install", "bob", json={"key": key})
        if done.status_code == 200:
            known.add(done.json()["id"])
        return done

    for number in range(20):
        assert install(f"before-{number:04}").status_code == 200
    listed = served.ask("GET", "/plugins/marketplace").json()
    filler = served.fill()
    body = {"target": "staging", "key": "full-disk-1"}
    refused = [
        *(install(f"meanwhile-{number:04}") for number in range(20)),
        *(served.ask("POST", "/plugins/acme%2Freach/reviews", "bob",
                     json={"rating": 3, "body": "x" * 3000}) for _ in range(5)),
        *(served.ask("POST", "/plugins/acme%2Fprober/execute", "bob", json=body)
          for _ in range(5)),
        served.hand_in("alice", id="late", name="Late"),
    ]  # fmt: skip
    said = [one for one in refused if one.status_code not in {200, 202}]
    assert len(said) > 20, "control: the disk was full"
    for one in said:
        assert one.status_code == 503
        assert one.headers["content-type"] == "application/problem+json"
        assert int(one.headers["retry-after"]) > 0
        assert "cannot be used now" in one.json()["detail"]
    for path in ("/plugins/marketplace", "/plugins/acme%2Freach", "/plugins/acme%2Freach/download"):
        assert served.ask("GET", path).status_code == 200
    assert served.ask("GET", "/plugins/marketplace").json() == listed
    assert served.client.get("/").status_code == 200
    filler.unlink()
    for number in range(20):
        assert install(f"after-{number:04}").status_code == 200
    assert served.hand_in("alice", id="late", name="Late").status_code == 201
    for path in (served.disk / "market").glob("market.db*"):
        shutil.copyfile(path, tmp_path / path.name)
    with closing(sqlite3.connect(tmp_path / "market.db")) as connection:
        rows = [one for (one,) in connection.execute("SELECT uuid FROM plugin_installations")]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(rows) == len(set(rows))
    assert set(rows) >= known
    assert served.stop() == "ended in order\n"


def test_a_socket_that_is_handed_over_turns_nobody_away_during_a_restart(tmp_path: Path) -> None:
    served = Served(marketplace(tmp_path, count=1))
    served.stop()
    answers: list[int] = []
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def ask() -> None:
            with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
                answers.append(client.get("/api/v1/plugins/marketplace").status_code)

        for _ in range(2):
            waits = threading.Thread(target=ask)
            waits.start()  # while nothing serves
            process = subprocess.Popen(
                [sys.executable, "-c", HANDED_OVER, str(listener.fileno()), sys.executable, "-c",
                 SCRIPT, str(served.operated.directory), served.operated.now.isoformat()],
                env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
                text=True, pass_fds=[listener.fileno()],
            )  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline().strip() == f"{url}/"
            waits.join(60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    assert answers == [200, 200]


def test_what_is_handed_over_and_is_no_listening_socket_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in (socket.socket(), (tmp_path / "file").open("w")):
        with other:
            done = subprocess.run(
                [sys.executable, "-c", HANDED_OVER, str(other.fileno()), sys.executable, "-c",
                 "from marketplace_db.web.server import run; run(None, '127.0.0.1', 0)"],
                env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
                pass_fds=[other.fileno()], check=False,
            )  # fmt: skip
            assert "does not listen for TCP connections" in done.stderr
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")  # another process' own
    assert server._handed_over() is None
    assert "LISTEN_FDS" not in os.environ, "and no child of ours takes it for its own"


def test_limits_of_an_organisation_that_is_not_here_are_logged(tmp_path: Path) -> None:
    served = Served(
        marketplace(tmp_path, count=1), more="[execution.organizations.acmecorp]\nrunning = 2\n"
    )
    served.stop()
    (line,) = [one for one in served.lines() if one["level"] == "warning"]
    assert str(line["event"]).endswith(
        "market.toml: [execution.organizations.acmecorp]: there is no such organisation."
        " Did you mean 'acme-corp'?"
    )


def test_a_release_is_shown_without_a_restart(tmp_path: Path) -> None:
    served = Served(marketplace(tmp_path, count=1))
    before = served.ask("GET", "/plugins/marketplace").json()
    etag = served.ask("GET", "/plugins/marketplace").headers["etag"]
    served.operated.add(id="fresh", name="Fresh")
    end = time.monotonic() + 60
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


class Clock(threading.Event):
    """An event whose waits take their time by the clock, and next to none."""

    now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        time.sleep(0.05)
        return self.is_set()

    def monotonic(self) -> float:
        return self.now


def ends(caplog: pytest.LogCaptureFixture) -> list[float]:
    """The pauses after the ends of a worker that were logged."""
    records = [record for record in caplog.records if record.name == "tavo.service"]
    return [vars(record)["fields"]["pause_s"] for record in records]


def test_a_worker_that_dies_at_once_is_started_ever_less_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = service.Supervisor([sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"])
    clock = Clock()
    monkeypatch.setattr(supervisor, "_ended", clock)
    monkeypatch.setattr(service.time, "monotonic", clock.monotonic)
    supervisor.start()
    end = time.time() + 180
    while len(ends(caplog)) < 10 and time.time() < end:
        time.sleep(0.05)
    supervisor.close()
    assert ends(caplog)[:10] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_worker_that_ends_with_all_others_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "_FIRST_PAUSE_S", 600.0)
    supervisor = service.Supervisor([sys.executable, "-I", "-S", "-c", "pass"])
    supervisor.start()
    while not supervisor.starts or supervisor.state() == "up":
        time.sleep(0.01)
    supervisor.close()
    assert ends(caplog) == []


def test_what_was_lifted_is_given_out_and_cannot_be_withdrawn_again(tmp_path: Path) -> None:
    operated = marketplace(tmp_path, count=1)
    with operated.open() as place:
        package = place.intake.release_of("acme/reach", "1.0.0")
        assert package in place.intake.withdrawn()
        changed = Change(publishers=lift(place.publishers(), package))
        ceremony = place.prepare(changed, operated.now)
        ceremony.sign_all(key for role in OFFLINE_ROLES for key in operated.keys.of(role))
        place.adopt(ceremony, operated.now)
    operated.release()
    served, plugin = Served(operated), "/plugins/acme%2Freach"
    try:
        given = served.ask("GET", f"{plugin}/download", params={"version": "1.0.0"})
        assert (given.status_code, Digest.of(given.content)) == (200, package)
        assert served.ask("GET", "/advisories").json()["advisories"] == []
        page = served.client.get("/plugins/acme/reach", params={"version": "1.0.0"})
        assert (page.status_code, "withdrawn" in page.text) == (200, False)
        refused = served.ask("DELETE", plugin, "alice", params={"reason": "Slow"})
        assert refused.status_code == 409
        assert "cannot be withdrawn again" in refused.json()["detail"]
    finally:
        served.stop()
    with operated.open() as place:
        assert place.intake.withdrawn() == [package]  # none of the others was, either
