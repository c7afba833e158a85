"""Runs for organisations: a real plugin of a verified catalog, in the sandbox, at real targets."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import msgspec
import pytest

from marketplace_db.errors import QueueFullError, WorkingDatabaseError
from marketplace_db.execution_limits import ExecutionLimits, OrganizationLimits
from marketplace_db.execution_result import Found, RunResult, encode_result
from marketplace_db.executions import Execution, Question
from marketplace_db.prices import Metered, PriceList, cost, money
from marketplace_db.statement import write_statement
from tavo.attack.targets import TargetFile
from tavo.errors import RefusedError
from tavo.host.sandbox.levels import SandboxLevel, strongest_here
from tavo.operator.execution import judged_address
from tests.fakes.executed import LOOPBACK, PRICES, Executed, account, add_dynamic
from tests.fakes.model_server import Model, serving
from tests.fakes.operated import Operated

pytestmark = pytest.mark.skipif(
    strongest_here() < SandboxLevel.STRONG, reason="runs for others need the strongest sandbox"
)
ROOT = Path(__file__).parents[2]
LEAKS = "The code is violet-harbor-1871."
PLUGIN = """
import time
from tavo.plugins import (AttackResult, Attempt, ChatMessage, ChatRequest, DynamicTestingPlugin,
                          Rule, Severity, TargetError)


class Sample(DynamicTestingPlugin):
    rules = (Rule(id="r", title="R", severity=Severity.LOW),)

    def ask(self, target, text="hello"):
        request = ChatRequest(messages=(ChatMessage(role="user", content=text),))
        return target.send(request).messages[0].content

    def result(self, goal, score=1.0, text=""):
        return AttackResult(rule_id="r", goal=goal, severity=Severity.LOW, score=score,
                            attempts=(Attempt(prompt="p", outputs=(text or goal,), score=score),))

    def run_attack(self, target, config):
        match config["do"]:
            case "ask":
                for number in range(config.get("times", 1)):
                    self.ask(target, "x" * config.get("size", 5))
                    yield self.result(f"asked {number}")
            case "spin":
                self.ask(target)
                while True:
                    pass
            case "sleep":
                self.ask(target)
                yield self.result("asked")
                time.sleep(600)
            case "eat":
                self.ask(target)
                eaten = [bytearray(1 << 20) for _ in range(4096)]
            case "gulp":
                self.ask(target)
                eaten = bytearray(64 << 30)  # the kernel says no at once
            case "many":
                self.ask(target)
                for number in range(300):
                    yield self.result(f"goal {number}", text="y" * 1500)
"""


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Operated:
    made = Operated(tmp_path_factory.mktemp("executed"))
    add_dynamic(made)
    body = PLUGIN.replace("class Sample", "class Does")
    add_dynamic(made, "does", main_py=body, instead={"wall_s_per_call: 600": "cpu_s_per_file: 60\n"
                "  wall_s_per_call: 600"})  # fmt: skip
    return made


@pytest.fixture
def executed(operated: Operated) -> Iterator[Executed]:
    """The same market, empty of runs and targets, with small quotas."""
    with closing(sqlite3.connect(operated.directory / "market.db")) as connection, connection:
        for table in ("execution_results", "plugin_executions", "targets"):
            connection.execute(f"DELETE FROM {table}")
    opened = Executed(operated, limits())
    yield opened
    opened.market.close()


def limits(**more: object) -> ExecutionLimits:
    return msgspec.convert({"enabled": True, "prices": PRICES, **more}, ExecutionLimits)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with serving(lambda prompt: LEAKS) as started:
        yield started


# -- what a run is


def test_a_real_plugin_attacks_a_real_target_and_is_metered(
    executed: Executed, model: Model
) -> None:
    executed.target(f"{model.url}/v1")
    before = len(model.asked)
    run = executed.do(executed.ask())
    assert (run.state, run.complete, run.outcome, run.findings) == ("done", True, "", 1)
    assert run.sandbox == "L3"
    assert len(model.asked) == before + 1
    path, headers, _ = model.asked[-1]
    assert path == "/v1/chat/completions"
    assert headers["Host"] == model.url.removeprefix("http://")
    used = run.used
    assert (used.requests, used.prompt_tokens, used.answer_tokens) == (1, 7, 5)
    assert 0 < used.cpu_ms < 5000
    assert 4 << 20 < used.peak_memory_bytes < 200 << 20
    assert used.wall_ms >= used.cpu_ms
    assert used.bytes_out > 100
    assert used.bytes_in > 100
    assert run.billed
    assert run.cost_micro == cost(run.prices, used) > 10_000
    content = executed.executions.result("other-corp", run.uuid)
    assert content is not None
    result = msgspec.json.decode(content, type=RunResult)
    assert result.findings[0].evidence["answer"] == LEAKS
    assert result.findings[0].evidence["seen by the host"] == "yes"
    assert len(content) == run.result_bytes
    assert executed.executions.result("acme-corp", run.uuid) is None
    assert executed.executions.executions("acme-corp") == []


def test_the_same_key_is_the_same_run(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    before = len(model.asked)
    first = executed.do(executed.ask(key="nightly-1"))
    again = executed.ask(key="nightly-1")
    assert again == first
    assert executed.do(again) == first
    assert len(model.asked) == before + 1
    with pytest.raises(WorkingDatabaseError, match="was used for another run"):
        executed.ask("acme/does", key="nightly-1")
    executed.target(f"{model.url}/v1", organization="acme-corp")
    theirs = executed.ask(key="nightly-1", organization="acme-corp")
    assert theirs.uuid != first.uuid, "the same key of another organisation is another run"


def test_what_cannot_be_run_costs_nothing(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    executed.target(f"{model.url}/v1", "needs-key", key="NOT_THERE")
    before = len(model.asked)
    removed, without = executed.ask(), executed.ask(target="needs-key")
    executed.targets.remove("other-corp", "staging", now=executed.operated.now)
    executed.do(removed)
    for run, reason in ((removed, "its target was removed"), (without, "NOT_THERE is not set")):
        ended = executed.again(run)
        assert (ended.state, ended.billed, ended.cost_micro) == ("failed", False, 0)
        assert reason in ended.outcome
        assert executed.executions.result("other-corp", run.uuid) is None
    with pytest.raises(WorkingDatabaseError, match="has no target 'staging'"):
        executed.ask()
    assert len(model.asked) == before
    executed.target(f"{model.url}/v1", "with-key", key="THERE")
    run = executed.do(executed.ask(target="with-key"), environment={"THERE": "s3cret"})
    assert run.state == "done"
    assert model.asked[-1][1]["Authorization"] == "Bearer s3cret"
    rows = executed.market.connection.execute("SELECT * FROM plugin_executions").fetchall()
    assert "s3cret" not in str([tuple(row) for row in rows])


def test_what_was_withdrawn_meanwhile_is_not_run(tmp_path: Path, model: Model) -> None:
    made = Operated(tmp_path)
    add_dynamic(made)
    executed = Executed(made, limits())
    executed.target(f"{model.url}/v1")
    run = executed.ask()
    with made.open() as place:
        place.intake.yank("acme/prober", "0.1.0", reason="It hurts", now=made.now)
    made.release()
    before = len(model.asked)
    ended = executed.do(run)
    assert (ended.state, ended.billed) == ("failed", False)
    assert "was withdrawn: It hurts" in ended.outcome
    assert len(model.asked) == before
    executed.market.close()


# -- where a target may lead


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "127.1",
     "10.0.0.8", "192.168.1.1", "172.16.3.4", "169.254.169.254", "[fe80::1]", "[fd00::1]",
     "100.64.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1", "[::127.0.0.1]"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(RefusedError, match=r"not public|cannot be found"):
        judged_address(TargetFile(url=f"http://{host}:8000/v1"), ())
    elsewhere = ("203.0.113.0/24", "10.9.0.0/16", "fd99::/16")
    with pytest.raises(RefusedError, match=r"not public|cannot be found"):
        judged_address(TargetFile(url=f"http://{host}:8000/v1"), elsewhere)


@pytest.mark.parametrize(
    ("found", "networks"),
    [
        (["10.1.2.3"], ()),
        (["93.184.216.34", "10.1.2.3"], ()),
        (["169.254.169.254"], LOOPBACK),
        (["127.0.0.1", "169.254.169.254"], LOOPBACK),
        (["::ffff:127.0.0.1"], LOOPBACK),
        (["fe80::1%eth0"], LOOPBACK),
        ([], LOOPBACK),
    ],
)
def test_a_name_that_leads_inside_is_refused(found: list[str], networks: tuple[str, ...]) -> None:
    target = TargetFile(url="https://models.example.com/v1")
    with pytest.raises(RefusedError):
        judged_address(target, networks, lambda host, port: found)
    public = judged_address(target, networks, lambda host, port: ["93.184.216.34"])
    assert public == "93.184.216.34", "control"


def test_without_the_operators_word_loopback_is_not_attacked(
    executed: Executed, model: Model
) -> None:
    executed.target(f"{model.url}/v1", "listed")
    executed.target(f"{model.url}/v1", "unlisted", networks=())
    before = len(model.asked)
    refused = executed.do(executed.ask(target="unlisted"))
    assert (refused.state, refused.billed) == ("failed", False)
    assert "127.0.0.1, which is not public" in refused.outcome
    assert len(model.asked) == before
    assert executed.do(executed.ask(target="listed")).state == "done", "control"
    assert len(model.asked) == before + 1


def test_a_name_is_looked_up_once_for_all_requests_of_a_run(
    executed: Executed, model: Model
) -> None:
    """A name that leads elsewhere the second time (DNS rebinding) is not asked a second time."""
    port = model.url.rpartition(":")[2]
    executed.target(f"http://models.example.com:{port}/v1")
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    before = len(model.asked)
    run = executed.do(executed.ask("acme/does", config={"do": "ask", "times": 4}), resolve=resolve)
    assert (run.state, run.complete, run.used.requests) == ("done", True, 4)
    assert asked == ["models.example.com"]
    assert len(model.asked) == before + 4
    assert model.asked[-1][1]["Host"] == f"models.example.com:{port}"
    again = executed.do(executed.ask("acme/does", config={"do": "ask"}), resolve=resolve)
    assert "leads to 169.254.169.254, which is not public" in again.outcome, "control"


@contextmanager
def redirecting(to: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_redirect_leads_nowhere(executed: Executed, model: Model) -> None:
    with redirecting(f"{model.url}/v1/chat/completions") as url:
        executed.target(url)
        before = len(model.asked)
        run = executed.do(executed.ask())
        assert (run.state, run.complete) == ("done", False)
        assert "answered 307" in run.outcome
        assert "Redirects are not followed" in run.outcome
        assert len(model.asked) == before
        body = {"messages": [{"role": "user", "content": "x"}]}
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as client:
            assert client.post(url, json=body).status_code == 200, "control"
        assert len(model.asked) == before + 1


# -- quotas


@pytest.mark.parametrize(
    ("quotas", "config", "reason"),
    [
        ({"requests": 2}, {"do": "ask", "times": 5}, "the budget of 2 requests is used up"),
        ({"tokens": 20}, {"do": "ask", "times": 5}, "the budget of 20 tokens is used up"),
        ({"network_mb": 0.05}, {"do": "ask", "times": 5, "size": 30_000}, "0.05 MB"),
        ({"cpu_s": 1}, {"do": "spin"}, "processor time"),
        ({"wall_s": 2}, {"do": "sleep"}, "2 s"),
        ({"memory_mb": 64}, {"do": "eat"}, "64 MB allowed"),
        (
            {"memory_mb": 64},
            {"do": "gulp"},
            "(main.py line 37), 64 MB allowed",
        ),
    ],
)
def test_a_quota_ends_a_run_and_says_so(
    executed: Executed, model: Model, quotas: dict[str, object], config: dict[str, object],
    reason: str,
) -> None:  # fmt: skip
    executed.limits = limits(**quotas)
    executed.target(f"{model.url}/v1")
    run = executed.do(executed.ask("acme/does", config=config))
    assert (run.state, run.complete) == ("done", False)
    assert reason in run.outcome
    assert run.billed, "what the plugin used is paid for, however it ended"
    if "cpu_s" in quotas:
        assert 500 <= run.used.cpu_ms < 2500
    if "memory_mb" in quotas:
        assert run.used.peak_memory_bytes < 300 << 20  # 64 and what the kernel lets through


def test_control_without_quotas_the_same_runs_do_all_of_it(
    executed: Executed, model: Model
) -> None:
    executed.target(f"{model.url}/v1")
    config = {"do": "ask", "times": 5, "size": 30_000}
    run = executed.do(executed.ask("acme/does", config=config))
    assert (run.complete, run.used.requests, run.findings) == (True, 5, 5)


def test_a_result_is_bounded_and_says_what_is_left_out(executed: Executed, model: Model) -> None:
    executed.limits = limits(result_mb=0.05)
    executed.target(f"{model.url}/v1")
    run = executed.do(executed.ask("acme/does", config={"do": "many"}))
    content = executed.executions.result("other-corp", run.uuid)
    assert content is not None
    assert len(content) <= 50_000
    result = msgspec.json.decode(content, type=RunResult)
    assert result.truncated
    assert 0 < len(result.findings) < run.findings == 300


def test_an_encoded_result_keeps_its_notices() -> None:
    found = Found(rule="r", title="t", severity="low", confidence="low", message="m" * 500,
                  goal="g", evidence={})  # fmt: skip
    whole = RunResult(id="i", plugin="p", version="v", package="d", target="t", sandbox="L3",
                      complete=False, notices=["cut"], findings=[found] * 40)  # fmt: skip
    for most in (100, 1000, 5000, 100_000):
        data = encode_result(whole, most=most)
        read = msgspec.json.decode(data, type=RunResult)
        assert read.notices == ["cut"]
        assert read.truncated == (len(read.findings) < 40)
        assert len(data) <= most or not read.findings


# -- how runs end


def test_a_run_is_cancelled_before_and_while_it_runs(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    waiting = executed.ask("acme/does", config={"do": "ask"})
    now = executed.operated.now
    assert executed.executions.cancel("other-corp", waiting.uuid, now=now).state == "cancelled"
    with pytest.raises(WorkingDatabaseError, match="there is no execution"):
        executed.executions.cancel("acme-corp", waiting.uuid, now=now)
    before = len(model.asked)
    assert executed.do(waiting).billed is False
    assert len(model.asked) == before
    running = executed.ask("acme/does", config={"do": "sleep"})
    done = threading.Thread(target=Executed.do, args=(second := Executed(
        executed.operated, executed.limits), running))  # fmt: skip
    done.start()
    wait(lambda: len(model.asked) > before)
    told = executed.executions.cancel("other-corp", running.uuid, now=now)
    assert (told.state, told.cancelling) == ("running", True)
    done.join(120)
    second.market.close()
    ended = executed.again(running)
    assert (ended.state, ended.outcome) == ("cancelled", "cancelled while it ran")
    assert ended.billed, "what it used until then"
    assert ended.findings == 1, "what it had found until then is there"
    assert executed.executions.cancel("other-corp", running.uuid, now=now) == ended


def wait(look: object, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not look():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


WORKER = """
import sys, threading, time
from datetime import datetime, timedelta
from pathlib import Path
from tavo.operator.executors import Executors
from tavo.operator.policy import read_execution

folder, begin = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
started = time.monotonic()
Executors(folder, read_execution(folder), stopped=threading.Event(), lease_s=6.0,
          clock=lambda: begin + timedelta(seconds=time.monotonic() - started)).start()
"""


def worker(operated: Operated) -> subprocess.Popen[bytes]:
    """A process that does the runs of the market, and nothing else."""
    toml = operated.directory / "market.toml"
    if "[execution]" not in toml.read_text():
        toml.write_text(toml.read_text() + "\n[execution]\nenabled = true\n")
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(operated.directory), operated.now.isoformat()],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_an_attack_whose_worker_is_killed_never_runs_twice(
    executed: Executed, model: Model
) -> None:
    executed.target(f"{model.url}/v1")
    before = len(model.asked)
    struck, next_one = executed.ask("acme/does", config={"do": "sleep"}), executed.ask()
    first = worker(executed.operated)
    wait(lambda: len(model.asked) > before)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert executed.again(struck).state == "running", "nobody could write down its end"
    second = worker(executed.operated)
    wait(lambda: executed.again(next_one).state == "done")
    ended = executed.again(struck)
    assert (ended.state, ended.billed, ended.cost_micro) == ("failed", False, 0)
    assert "an attack is never begun a second time" in ended.outcome
    third = worker(executed.operated)
    time.sleep(1)
    for process in (second, third):
        process.kill()
        process.wait()
    assert len(model.asked) == before + 2, "one request of each run"
    assert executed.again(struck) == ended
    # control: a queue that gives a run out again, as that of vetting does, attacks again
    with executed.market.connection as connection:
        connection.execute(
            "UPDATE plugin_executions SET state = 'waiting', config = ? WHERE uuid = ?",
            (json.dumps({"do": "ask"}), struck.uuid),
        )
    executed.do(struck)
    assert len(model.asked) == before + 3


def test_a_worker_that_lost_its_claim_writes_nothing(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    run = executed.ask()
    now = executed.operated.now
    claimed = executed.executions.claim("first", running=lambda _: 1, lease_s=60, now=now)
    assert claimed is not None
    assert claimed.execution.uuid == run.uuid
    assert executed.executions.claim("second", running=lambda _: 9, lease_s=60, now=now) is None
    later = now + timedelta(seconds=61)
    assert executed.executions.fail_left(now=later) == 1
    from marketplace_db.executions import End

    end = End(state="done", complete=True, billed=True, result=b"{}")
    assert not executed.executions.finish(run, "first", end, result_days=1, now=later)
    assert executed.executions.renew(run, "first", lease_s=60, now=later) == "lost"
    assert executed.again(run).state == "failed"
    assert executed.executions.result("other-corp", run.uuid) is None


def test_told_to_end_a_run_has_failed_and_is_free(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    before = len(model.asked)
    run = executed.ask("acme/does", config={"do": "sleep"})
    stopped = threading.Event()
    executors = executed.executors(stopped=stopped)
    executors.start()
    wait(lambda: len(model.asked) > before)
    stopped.set()
    executors.join()
    ended = executed.again(run)
    assert (ended.state, ended.billed, ended.result_until) == ("failed", False, None)
    assert "the service was stopped" in ended.outcome


def test_runs_of_several_are_done_at_the_same_time(executed: Executed, model: Model) -> None:
    for organization in ("other-corp", "acme-corp"):
        executed.target(f"{model.url}/v1", organization=organization)
    executed.limits = limits(at_once=3)
    config = {"do": "sleep"}
    runs = [executed.ask("acme/does", organization=one, config=config)
            for one in ("other-corp", "acme-corp", "acme-corp")]  # fmt: skip
    stopped = threading.Event()
    executors = executed.executors(stopped=stopped)
    before = len(model.asked)
    executors.start()
    wait(lambda: len(model.asked) == before + 2)
    states = [executed.again(run).state for run in runs]
    stopped.set()
    executors.join()
    assert states == ["running", "running", "waiting"], "each has one at a time"
    assert [executed.again(run).state for run in runs] == ["failed", "failed", "waiting"]
    assert len(model.asked) == before + 2


# -- limits, prices, statements


def test_what_waits_is_bounded_for_each_and_for_all(executed: Executed, model: Model) -> None:
    for organization in ("other-corp", "acme-corp", "market-corp"):
        executed.target(f"{model.url}/v1", organization=organization)
    executed.limits = limits(waiting=5, limits={"waiting": 2, "per_day": 3},
                             organizations={"market-corp": {"waiting": 9}})  # fmt: skip
    first = executed.ask()
    executed.ask()
    with pytest.raises(QueueFullError, match="2 runs of your organisation wait") as full:
        executed.ask()
    assert (full.value.whole, full.value.wait_s) == (False, 30)
    again, new = executed.executions.ask(
        account("other-corp"), "0.1.0", question=Question(
            plugin="acme/prober", version="", target="staging", key=first.key, config={}
        ),
        limits=executed.limits, now=executed.operated.now,
    )  # fmt: skip
    assert (again.uuid, new) == (first.uuid, False), "who asks again is answered when it is full"
    for _ in range(3):
        executed.ask(organization="market-corp")
    with pytest.raises(QueueFullError, match="5 runs wait here") as everybody:
        executed.ask(organization="acme-corp")
    assert everybody.value.whole
    now = executed.operated.now
    executed.executions.cancel("other-corp", first.uuid, now=now)
    executed.executions.cancel("other-corp", executed.ask().uuid, now=now)
    with pytest.raises(QueueFullError, match="asked for 3 runs within a day") as day:
        executed.ask()
    assert day.value.wait_s == 24 * 3600 + 1


def test_an_organisation_has_so_many_that_run_at_once(executed: Executed, model: Model) -> None:
    for organization in ("other-corp", "acme-corp"):
        executed.target(f"{model.url}/v1", organization=organization)
    mine, theirs = [executed.ask() for _ in range(2)], executed.ask(organization="acme-corp")
    now = executed.operated.now

    def claim() -> str | None:
        found = executed.executions.claim("w", running=lambda _: 1, lease_s=60, now=now)
        return None if found is None else found.execution.uuid

    assert [claim(), claim(), claim()] == [mine[0].uuid, theirs.uuid, None]


def test_a_month_has_an_end_in_time_and_in_money(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    executed.do(executed.ask())
    for own in (OrganizationLimits(cpu_s_per_month=0.001), OrganizationLimits(cost_per_month=0.01)):
        executed.limits = msgspec.structs.replace(executed.limits, limits=own)
        with pytest.raises(QueueFullError, match="used up what it may have in this month") as over:
            executed.ask()
        assert over.value.wait_s > 3600
    executed.limits = limits(limits={"cost_per_month": 1000})
    assert executed.ask().state == "waiting", "control"


@pytest.mark.parametrize(
    ("prices", "used", "micro"),
    [
        ({}, {"cpu_ms": 10**9, "requests": 10**6}, 0),
        ({"per_run": 0.1}, {}, 100_000),
        ({"per_cpu_s": 0.1}, {"cpu_ms": 3}, 300),
        ({"per_cpu_s": 0.0001}, {"cpu_ms": 4}, 0),
        ({"per_cpu_s": 0.0001}, {"cpu_ms": 5}, 1),
        ({"per_gb_s": 1}, {"peak_memory_bytes": 10**9 // 2, "wall_ms": 3000}, 1_500_000),
        ({"per_request": 0.000001}, {"requests": 7}, 7),
        ({"per_1000_tokens": 0.3}, {"prompt_tokens": 900, "answer_tokens": 100}, 300_000),
        ({"per_run": 0.07, "per_cpu_s": 0.29}, {"cpu_ms": 1000}, 360_000),
    ],
)
def test_a_cost_is_exact(prices: dict[str, float], used: dict[str, int], micro: int) -> None:
    assert cost(msgspec.convert(prices, PriceList), Metered(**used)) == micro
    assert money(micro) == f"{micro / 1e6:.6f}"


def test_the_statement_has_each_run_and_their_sum(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    executed.target(f"{model.url}/v1", "unlisted", networks=())
    executed.do(executed.ask())
    executed.limits = limits(prices={**PRICES, "version": "2026-12", "per_run": 1})
    executed.ask(target="unlisted")
    executed.do(executed.ask())
    month = executed.operated.now.strftime("%Y-%m")
    runs = executed.executions.finished_in("other-corp", month)
    text = write_statement(runs)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["billed"] for row in rows] == ["yes", "no", "yes", ""]
    assert [row["price_list"] for row in rows] == ["2026-11", "2026-12", "2026-12", ""]
    assert rows[-1]["run"] == "total"
    assert rows[-1]["currency"] == "EUR"
    assert float(rows[-1]["cost"]) == pytest.approx(sum(float(row["cost"]) for row in rows[:-1]))
    assert float(rows[2]["cost"]) > 1
    for other in ("2026-10", "2027-11"):
        assert executed.executions.finished_in("other-corp", other) == []
    assert executed.executions.finished_in("acme-corp", month) == []
    hostile = runs[0]._replace(user='=cmd|"/C calc"!A0', target="@SUM(1)")
    (line, _) = list(csv.DictReader(io.StringIO(write_statement([hostile]))))
    assert (line["asked_by"], line["target"]) == ('\'=cmd|"/C calc"!A0', "'@SUM(1)")


def test_a_result_is_deleted_when_its_time_is_over(executed: Executed, model: Model) -> None:
    executed.target(f"{model.url}/v1")
    run: Execution = executed.do(executed.ask())
    now = executed.operated.now
    assert executed.executions.delete_results(now=now + timedelta(days=29)) == 0
    assert executed.executions.result("other-corp", run.uuid) is not None
    assert executed.executions.delete_results(now=now + timedelta(days=30)) == 1
    left = executed.again(run)
    assert executed.executions.result("other-corp", run.uuid) is None
    assert (left.result_until, left.cost_micro, left.used) == (None, run.cost_micro, run.used)
    executed.market.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = (executed.operated.directory / "market.db").read_bytes()
    assert b"violet-harbor-1871" not in raw
