"""A soak of `tavo market serve`: hours of requests with a release, a restart and a full disk in it.

    python benchmarks/market_soak.py [--minutes 60] [--rate 20] [--disk-s 20]

Rules this script keeps:
- the marketplace is served by the command, as two processes, on a small file system of its own
  (tmpfs in a mount namespace, by util-linux' unshare), so that the disk can really be full;
- requests leave at their time, whether earlier ones were answered or not; each is tried once;
- every answer is judged by its content: right, refused in order (429 or 503 with Retry-After, 507),
  no answer (no connection, or cut off), or wrong; one wrong answer is a failed soak;
- at the end, everything that was acknowledged is looked for in the database: nothing is lost or
  doubled; each run that was acknowledged has one end, and the target was asked once for each that
  was begun.

Events: a release at a quarter of the time, a restart at the half, a full disk at three quarters.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from measure import ROOT, machine

sys.path.insert(0, str(ROOT))

import httpx

from marketplace_db.accounts import Accounts
from marketplace_db.targets import Targets
from signing.digests import Digest
from signing.founding import first_ceremony
from signing.keyring import Keyring
from signing.roles import OFFLINE_ROLES, ONLINE_ROLES, ROLES
from tavo.operator.marketplace import OperatedMarket
from tests.fakes.executed import add_dynamic
from tests.fakes.model_server import Model, serving
from tests.fakes.operated import Operated
from tests.fakes.operator_market import Marketplace
from tests.fakes.served import HANDED_OVER

PLUGINS = 40
DISK_MB = 192
TOML = """[vetting]
required = []
[service]
reads_per_minute = 1000000
writes_per_minute = 1000000
[execution]
enabled = true
[execution.limits]
waiting = 100
per_day = 1000000
[execution.prices]
version = "soak"
currency = "EUR"
per_run = 0.01
"""
API = "/api/v1"
SCOPES = ["submit", "review", "install", "execute", "operate"]


class Soak:
    """The marketplace, what its clients know, and how each answer was."""

    def __init__(self, folder: Path, model: Model, rate: float) -> None:
        self.folder = folder
        self.model = model
        self.rate = rate
        self.lock = threading.Lock()
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.latencies: list[float] = []
        self.by_phase: Counter[tuple[str, str]] = Counter()
        self.phase = "quiet"
        self.installs: set[str] = set()
        self.reviews: dict[str, int] = {}
        self.runs: dict[str, str] = {}
        self.done: deque[str] = deque(maxlen=200)
        self.packages: dict[str, str] = {}
        self.known: set[tuple[str, int]] = set()
        self.count = 0
        self._found()
        # As a service manager does: who connects during the restart waits in this socket.
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.client = httpx.Client(
            base_url=self.url, trust_env=False, timeout=30,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
        )  # fmt: skip

    def _found(self) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        self.operated = operated = Operated.__new__(Operated)
        operated.folder, operated.directory = self.folder, self.folder / "market"
        operated.people, operated.keys = Marketplace(self.folder / "people"), Keyring.generate()
        operated.now = now
        public = {role: [key.public for key in operated.keys.of(role)] for role in ROLES}
        first = first_ceremony(public, now, publishers=operated.people.publishers)
        first.sign_all(key for role in OFFLINE_ROLES for key in operated.keys.of(role))
        with OperatedMarket.found(operated.directory, first, operated.keys, now) as place:
            place.register(now)
        (operated.directory / "market.toml").write_text(TOML)
        for number in range(PLUGINS):
            operated.approve(operated.hand_in(id=f"tool-{number}", name=f"Tool {number}"))
        add_dynamic(operated)
        operated.now = now
        (self.folder / "keys").mkdir()
        for role in ONLINE_ROLES:
            for number, key in enumerate(operated.keys.of(role), start=1):
                key.save(self.folder / "keys" / f"{role}-{number}.key", None)
        self.tokens = []
        with operated.open() as place:
            place.release(now)
            accounts = Accounts(place.intake.connection)
            for organization in ("one", "two"):
                accounts.add_organization(organization, now=now)
                Targets(place.intake.connection).add(
                    organization, "staging", url=f"{self.model.url}/v1",
                    description=json.dumps({"url": f"{self.model.url}/v1"}),
                    networks=["127.0.0.0/8"], now=now,
                )  # fmt: skip
            for number in range(50):
                _, token = accounts.new_token(
                    f"user-{number}", "one" if number % 2 else "two", name="soak", scopes=SCOPES,
                    expires=now + timedelta(days=2), now=now,
                )  # fmt: skip
                self.tokens.append(token)
        self.expect()

    def expect(self) -> None:
        """Note which catalog may be shown from now on."""
        with self.operated.open() as place:
            published = place.repository.published("catalog/catalog.db")
            assert published is not None
            self.known.add((published.hex, len(place.intake.plugin_ids())))

    def start(self) -> None:
        with (self.folder.parent.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HANDED_OVER, str(self.listener.fileno()),
                 sys.executable, "-m", "tavo", "-q", "market", "serve", "--market",
                 str(self.operated.directory), "--keys", str(self.folder / "keys")],
                stderr=log, cwd=self.folder.parent, pass_fds=[self.listener.fileno()],
                env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(self.folder.parent)},
            )  # fmt: skip
        while True:
            with suppress(httpx.HTTPError):
                if self.client.get("/healthz").status_code == 200:
                    return
            assert self.process.poll() is None
            time.sleep(0.05)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    # -- what is asked, and whether the answer is right

    def headers(self, number: int) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[number % len(self.tokens)]}"}

    def one(self, number: int) -> None:
        """Make one request, and judge its answer."""
        rnd = random.Random(number)
        kinds: list[tuple[int, str, Callable[[int, random.Random], str]]] = [
            (25, "list", self.listed), (20, "detail", self.detail), (10, "download", self.package),
            (8, "page", self.page), (5, "repository", self.metadata), (6, "reviews", self.read),
            (5, "account", self.account), (8, "install", self.install), (6, "review", self.review),
            (3, "runs", self.look), (2, "result", self.result), (1, "execute", self.execute),
        ]  # fmt: skip
        kind, ask = rnd.choices([(name, do) for _, name, do in kinds], [w for w, _, _ in kinds])[0]
        phase, began = self.phase, time.monotonic()
        try:
            verdict = ask(number, rnd)
        except (httpx.HTTPError, OSError) as error:
            verdict = f"no answer: {type(error).__name__}"
        seconds = time.monotonic() - began
        with self.lock:
            self.latencies.append(seconds)
            self.verdicts[kind, verdict.partition(":")[0]] += 1
            self.by_phase[phase, verdict.partition(":")[0]] += 1
            if verdict.startswith("wrong") and len(self.wrong) < 50:
                self.wrong.append(f"{kind} {number}: {verdict[:500]}")

    def judged(self, answer: httpx.Response, right: Callable[[], bool], status: int = 200) -> str:
        if answer.status_code == status:
            return "right" if right() else f"wrong: {answer.request.url}: {answer.text[:300]}"
        if answer.status_code in {429, 503} and "retry-after" in answer.headers:
            return f"refused: {answer.status_code}"
        if answer.status_code == 507:
            return "refused: 507"
        return f"wrong: {answer.request.url} {answer.status_code} {answer.text[:300]}"

    def listed(self, number: int, rnd: random.Random) -> str:
        params = rnd.choice([{}, {"q": "tool"}, {"type": "dynamic"}, {"sort": "rating"}])
        answer = self.client.get(f"{API}/plugins/marketplace", params={"limit": "100", **params})

        def right() -> bool:
            value = answer.json()
            ids = [one["id"] for one in value["plugins"]]
            catalogs = dict(self.known)
            total = catalogs.get(value["catalog"], -1)
            wanted = {"dynamic": 1}.get(params.get("type", ""), total)
            if params.get("q"):
                wanted = total - 1
            return bool(len(ids) == len(set(ids)) == value["total"] == wanted)

        return self.judged(answer, right)

    def detail(self, number: int, rnd: random.Random) -> str:
        name = f"acme/tool-{rnd.randrange(PLUGINS)}"
        answer = self.client.get(f"{API}/plugins/{name.replace('/', '%2F')}")

        def right() -> bool:
            value = answer.json()
            with self.lock:
                digest = self.packages.setdefault(name, value["versions"][0]["sha256"])
            return bool(value["plugin"]["id"] == name and value["versions"][0]["sha256"] == digest)

        return self.judged(answer, right)

    def package(self, number: int, rnd: random.Random) -> str:
        name = f"acme/tool-{rnd.randrange(PLUGINS)}"
        answer = self.client.get(f"{API}/plugins/{name.replace('/', '%2F')}/download")

        def right() -> bool:
            found = Digest.of(answer.content).hex
            with self.lock:
                return bool(self.packages.setdefault(name, found) == found)

        return self.judged(answer, right)

    def page(self, number: int, rnd: random.Random) -> str:
        which = rnd.randrange(PLUGINS)
        path, text = rnd.choice(
            [
                ("/", "Tool"),
                (f"/plugins/acme/tool-{which}", f"Tool {which}"),
                ("/advisories", "<h1"),
            ]
        )
        answer = self.client.get(path)
        return self.judged(answer, lambda: text in answer.text and "</html>" in answer.text)

    def metadata(self, number: int, rnd: random.Random) -> str:
        answer = self.client.get("/repository/metadata/timestamp.json")
        return self.judged(answer, lambda: answer.json()["signed"]["_type"] == "timestamp")

    def read(self, number: int, rnd: random.Random) -> str:
        answer = self.client.get(f"{API}/plugins/acme%2Ftool-{rnd.randrange(PLUGINS)}/reviews")
        return self.judged(answer, lambda: answer.json()["reviews"] == [])  # none was read yet

    def account(self, number: int, rnd: random.Random) -> str:
        answer = self.client.get(f"{API}/account", headers=self.headers(number))
        user = f"user-{number % len(self.tokens)}"
        return self.judged(answer, lambda: answer.json()["user"] == user)

    def install(self, number: int, rnd: random.Random) -> str:
        key, name = f"soak-{number:08}", f"acme/tool-{rnd.randrange(PLUGINS)}"
        answer = self.client.post(
            f"{API}/plugins/{name.replace('/', '%2F')}/install", json={"key": key},
            headers=self.headers(number),
        )  # fmt: skip
        if answer.status_code == 200:
            with self.lock:
                self.installs.add(answer.json()["id"])
        return self.judged(answer, lambda: answer.json()["plugin"] == name)

    def review(self, number: int, rnd: random.Random) -> str:
        name, rating = f"acme/tool-{rnd.randrange(PLUGINS)}", rnd.randrange(1, 6)
        answer = self.client.post(
            f"{API}/plugins/{name.replace('/', '%2F')}/reviews",
            json={"rating": rating, "title": f"number {number}"}, headers=self.headers(number),
        )  # fmt: skip
        if answer.status_code == 200:
            with self.lock:
                self.reviews[answer.json()["id"]] = number
        return self.judged(
            answer,
            lambda: (
                answer.json()["title"] == f"number {number}" and answer.json()["rating"] == rating
            ),
        )

    def execute(self, number: int, rnd: random.Random) -> str:
        key = f"soak-{number:08}"
        answer = self.client.post(
            f"{API}/plugins/acme%2Fprober/execute", json={"target": "staging", "key": key},
            headers=self.headers(number),
        )  # fmt: skip
        if answer.status_code == 202:
            with self.lock:
                self.runs[answer.json()["id"]] = key
                self.done.append(f"{number} {answer.json()['id']}")
        return self.judged(answer, lambda: answer.json()["key"] == key, 202)

    def look(self, number: int, rnd: random.Random) -> str:
        answer = self.client.get(f"{API}/executions", headers=self.headers(number))
        return self.judged(
            answer,
            lambda: all(
                one["state"] in {"waiting", "running", "done", "failed"}
                and int(one["asked_by"].removeprefix("user-")) % 2 == number % 2
                for one in answer.json()["executions"]
            ),
        )

    def result(self, number: int, rnd: random.Random) -> str:
        with self.lock:
            chosen = rnd.choice(self.done) if self.done else ""
        owner, _, run = chosen.partition(" ")
        if not run:
            return self.account(number, rnd)
        path = f"{API}/executions/{run}"
        foreign = self.client.get(path, headers=self.headers(int(owner) + 1))
        if foreign.status_code == 200:
            return f"wrong: {run} was shown to another organisation"
        answer = self.client.get(path, headers=self.headers(int(owner)))
        if answer.status_code != 200 or answer.json()["state"] != "done":
            return self.judged(answer, lambda: answer.json()["id"] == run)
        answer = self.client.get(f"{path}/result", headers=self.headers(int(owner)))
        return self.judged(answer, lambda: len(answer.json()["findings"]) == 1)

    # -- what happens meanwhile

    def release(self) -> None:
        self.operated.now = datetime.now(UTC).replace(microsecond=0)
        self.operated.approve(self.operated.hand_in(id="tool-new", name="Tool new"))
        # Shown from the release on, known before it: an answer in between is right as well.
        with self.operated.open() as place:
            total = len(place.intake.plugin_ids())
            done = place.release(self.operated.now)
            self.known.add((done.catalog.hex, total))

    def restart(self) -> None:
        assert self.stop() == 0
        self.start()

    def full_disk(self, seconds: float) -> None:
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as stream, suppress(OSError):
            while True:
                stream.write(bytes(1 << 20))
        with filler.open("ab", buffering=0) as stream, suppress(OSError):
            while True:
                stream.write(bytes(512))
        time.sleep(seconds)
        filler.unlink()

    def memory(self) -> float:
        """Return the resident memory of the server in MB."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
            return int(text.partition("VmRSS:")[2].split()[0]) / 1024
        except (OSError, IndexError):  # it is being restarted
            return 0.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--disk-s", type=float, default=20)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside is None:
        folder = Path(tempfile.mkdtemp(prefix="tavo-soak-"))
        (folder / "disk").mkdir()
        mount = f'mount -t tmpfs -o size={DISK_MB}m none "{folder}/disk"'
        words = [sys.executable, *sys.argv, "--inside", str(folder)]
        try:
            return subprocess.run(
                ["unshare", "-Urm", "sh", "-c", f'{mount} && exec "$@"', "sh", *words], check=False
            ).returncode
        finally:
            log = folder / "serve.log"
            if log.exists():
                shutil.copyfile(log, Path(tempfile.gettempdir()) / f"{folder.name}.log")
            shutil.rmtree(folder, ignore_errors=True)
    with serving(lambda prompt: "The code is violet-harbor-1871.") as model:
        soak = Soak(given.inside / "disk" / "soak", model, given.rate)
        return report(soak, given)


def report(soak: Soak, given: Any) -> int:
    print(machine(), flush=True)
    soak.start()
    seconds = given.minutes * 60
    begun, memory = time.monotonic(), soak.memory()
    events = [
        (0.25, "release", soak.release), (0.5, "restart", soak.restart),
        (0.75, "full disk", lambda: soak.full_disk(given.disk_s)),
    ]  # fmt: skip
    running: list[threading.Thread] = []
    number, behind = 0, 0.0
    with ThreadPoolExecutor(64) as pool:
        while (at := number / soak.rate) < seconds:
            if events and at >= events[0][0] * seconds:
                _, name, event = events.pop(0)
                running.append(threading.Thread(target=run_event, args=(soak, name, event)))
                running[-1].start()
            late = time.monotonic() - begun - at
            behind = max(behind, late)
            if late < 0:
                time.sleep(-late)
            pool.submit(soak.one, number)
            number += 1
            if number % int(soak.rate * 300) == 0:
                counts = Counter[str]()
                with soak.lock:
                    for (_, verdict), count in soak.verdicts.items():
                        counts[verdict] += count
                print(f"after {at / 60:.0f} minutes: {dict(counts)},"
                      f" {soak.memory():.0f} MB", flush=True)  # fmt: skip
    for thread in running:
        thread.join()
    last = soak.memory()
    end = time.monotonic() + 600
    while time.monotonic() < end:
        with closing(sqlite3.connect(soak.operated.directory / "market.db")) as connection:
            (open_runs,) = connection.execute(
                "SELECT count(*) FROM plugin_executions WHERE state IN ('waiting', 'running')"
            ).fetchone()
        if not open_runs:
            break
        time.sleep(1)
    code = soak.stop()
    problems = after(soak)
    total = sum(soak.verdicts.values())
    counts = Counter[str]()
    for (_, verdict), count in soak.verdicts.items():
        counts[verdict] += count
    print(f"{total} requests in {given.minutes:g} minutes, {soak.rate:g}/s; never more than"
          f" {behind:.1f} s behind; server ended with {code}")  # fmt: skip
    for verdict, count in counts.most_common():
        print(f"  {verdict}: {count} ({count / total:.3%})")
    for (phase, verdict), count in sorted(soak.by_phase.items()):
        if phase != "quiet" or verdict != "right":
            print(f"  during {phase}: {verdict} {count}")
    ordered = sorted(soak.latencies)
    print("  latency ms: " + ", ".join(
        f"p{share} {ordered[int(len(ordered) * share / 100)] * 1000:.1f}" for share in (50, 95, 99)
    ))  # fmt: skip
    print(f"  memory of the server: {memory:.0f} MB at first, {last:.0f} MB at the end")
    for line in (*soak.wrong, *problems):
        print(f"  WRONG {line}")
    good = counts["right"] / total >= 0.995 and not soak.wrong and not problems and code == 0
    print("met" if good else "NOT MET")
    return 0 if good else 1


def run_event(soak: Soak, name: str, event: Callable[[], None]) -> None:
    began = time.monotonic()
    soak.phase = name
    try:
        event()
    except Exception as error:  # noqa: BLE001  # it is a result
        soak.wrong.append(f"{name} failed: {error!r}")
    soak.phase = "quiet"
    print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)


def after(soak: Soak) -> list[str]:
    """Compare what was acknowledged with what is in the database."""
    problems = []
    with closing(sqlite3.connect(soak.operated.directory / "market.db")) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            problems.append("the database is damaged")
        rows = [one for (one,) in connection.execute("SELECT uuid FROM plugin_installations")]
        if lost := soak.installs - set(rows):
            problems.append(f"{len(lost)} acknowledged installations are lost")
        if len(rows) != len(set(rows)):
            problems.append("installations are doubled")
        reviews = dict(connection.execute("SELECT uuid, title FROM plugin_reviews"))
        if lost := soak.reviews.keys() - reviews.keys():
            problems.append(f"{len(lost)} acknowledged reviews are lost")
        runs = {
            uuid: (key, state, requests)
            for uuid, key, state, requests in connection.execute(
                "SELECT uuid, key, state, requests FROM plugin_executions"
            )
        }
        if lost := soak.runs.keys() - runs.keys():
            problems.append(f"{len(lost)} acknowledged runs are lost")
        keys = Counter(key for key, _, _ in runs.values())
        if keys and max(keys.values()) > 1:
            problems.append("a key has several runs")
        states = Counter(state for _, state, _ in runs.values())
        asked = sum(requests for _, _, requests in runs.values())
        # A run that the restart ended has no figures; it asked once, or not at all.
        if not asked <= len(soak.model.asked) <= asked + states["failed"]:
            problems.append(f"the target was asked {len(soak.model.asked)} times, counted {asked}")
        if not states.keys() <= {"done", "failed"}:
            problems.append(f"runs without an end: {dict(states)}")
    print(f"{len(rows)} installations, {len(reviews)} reviews, runs {dict(states)},"
          f" {len(soak.model.asked)} requests to the target")  # fmt: skip
    return problems


if __name__ == "__main__":
    sys.exit(main())
