"""Workers that were forked: the same as started ones in all that a plugin and the host can see."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.host import zygotes
from tavo.host.probe import empty_plan
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.session import Session
from tavo.host.workers import StaticWorker
from tavo.host.zygotes import ZYGOTES
from tests.fakes.kernel import ROOT, python
from tests.fakes.plugins import PluginMachine, text_file
from tests.host.test_host_process import HOST, SPIN, SYSTEM_PYTHON, is_worker

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="a child is given to another parent on Linux only"
)

OPEN = LevelPolicy(required=SandboxLevel.NONE)
# Without a sandbox, a plugin can say everything about its process.
LOOK = """\
import gc, json, os, resource, signal, sys, threading
from tavo.plugins import Finding, Location, Rule, Severity, StaticAnalysisPlugin
class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="seen", title="Seen", severity=Severity.INFO),)
    def analyze_file(self, file_path, content):
        from tavo.plugins import Region
        status = open("/proc/self/status").read()
        kept = ("SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs", "Threads")
        seen = {
            "environment": {k: v for k, v in os.environ.items() if k not in ("HOME", "TMPDIR")},
            "homes": [os.environ["HOME"] == os.getcwd(), os.environ["TMPDIR"] == os.getcwd()],
            "descriptors": len(os.listdir("/proc/self/fd")),
            "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
            "input": os.readlink("/proc/self/fd/0"),
            "output": [os.readlink(f"/proc/self/fd/{n}").partition(":")[0] for n in (1, 2)],
            "arguments": sys.argv,
            "search": sys.path[1:],
            "flags": list(sys.flags),
            "status": [line for line in status.splitlines() if line.startswith(kept)],
            "limits": [resource.getrlimit(n) for n in range(16)],
            "signals": [str(signal.getsignal(n)) for n in (2, 13, 15, 17)],
            "threads": [thread.name for thread in threading.enumerate()],
            "collects": gc.isenabled(),
            "mask": os.umask(0o22),
            "parent": os.getppid(),
        }
        region = Region(start_line=1, start_column=1, end_line=1, end_column=2)
        yield Finding(rule_id="seen", message=json.dumps(seen), severity=Severity.INFO,
                      location=Location(path=file_path, region=region))
"""


@pytest.fixture(autouse=True)
def no_zygotes() -> Iterator[None]:
    ZYGOTES.close()
    yield
    ZYGOTES.close()


def started(worker: StaticWorker) -> Session:
    worker.start()
    assert worker._session is not None, worker.disabled
    return worker._session


def zygote_of(worker: StaticWorker) -> int:
    """The process that a worker was forked from."""
    assert started(worker).is_forked
    return next(iter(ZYGOTES._known.values()))._process.pid


def look(worker: StaticWorker) -> dict[str, Any]:
    result = worker.analyze([text_file("a.py", "one")])
    assert not result.failures, result.failures
    seen: dict[str, Any] = json.loads(result.findings[PurePosixPath("a.py")][0].message)
    return seen


@pytest.mark.parametrize("interpreter", [Path(sys.executable), SYSTEM_PYTHON])
def test_a_forked_worker_sees_what_a_started_one_sees(interpreter: Path, tmp_path: Path) -> None:
    if not interpreter.exists():
        pytest.skip("there is no second interpreter here")
    installed = PluginMachine(tmp_path).verified(LOOK)
    with StaticWorker(installed, policy=OPEN, python=interpreter) as worker:
        assert not started(worker).is_forked
        alone = look(worker)
    ZYGOTES.expect(2)
    with StaticWorker(installed, policy=OPEN, python=interpreter) as worker:
        assert started(worker).is_forked
        forked = look(worker)
    assert forked == alone
    assert forked["parent"] == os.getpid()


def test_a_single_worker_starts_alone_and_from_the_second_on_they_are_forked(
    tmp_path: Path,
) -> None:
    installed = PluginMachine(tmp_path).verified()
    forked = []
    for _ in range(3):
        with StaticWorker(installed) as worker:
            forked.append(started(worker).is_forked)
    assert forked == [False, True, True]


def test_two_interpreters_have_a_zygote_each(tmp_path: Path) -> None:
    if not SYSTEM_PYTHON.exists():
        pytest.skip("there is no second interpreter here")
    installed = PluginMachine(tmp_path).verified()
    ZYGOTES.expect(3)
    for interpreter in (Path(sys.executable), SYSTEM_PYTHON):
        with StaticWorker(installed, python=interpreter) as worker:
            assert started(worker).is_forked
    assert ZYGOTES._known.keys() == {Path(sys.executable), SYSTEM_PYTHON}


SECRET = """\
from tavo.plugins import StaticAnalysisPlugin
MARK = {mark!r}
class Plugin(StaticAnalysisPlugin):
    def start(self, context):
        self.kept = dict(context.config)
    def analyze_file(self, file_path, content):
        self.content = content
        return ()
"""


def test_nothing_of_a_worker_is_in_the_zygote_or_the_next_worker(tmp_path: Path) -> None:
    secrets = {name: f"{name}-{os.urandom(12).hex()}" for name in ("code", "config", "content")}
    machine = PluginMachine(tmp_path)
    holder = machine.verified(SECRET.format(mark=secrets["code"]))
    other = machine.verified(version="1.1.0")
    ZYGOTES.expect(3)
    with (
        StaticWorker(holder, policy=OPEN, config={"key": secrets["config"]}) as worker,
        StaticWorker(other, policy=OPEN) as next_worker,
    ):
        worker.analyze([text_file("a.py", secrets["content"])])
        zygote, own = zygote_of(worker), started(worker).pid
        after = started(next_worker).pid
        folder = Path(f"/proc/{own}/cwd").readlink().parent.name
        try:
            memory = {pid: memory_of(pid) for pid in (own, zygote, after)}
        except PermissionError:
            pytest.skip("this system lets nobody look into a process")
    for secret in secrets.values():
        assert secret.encode() in memory[own]  # the control: there it is found
        assert secret.encode() not in memory[zygote]
        assert secret.encode() not in memory[after]
    assert folder.encode() in memory[own]
    assert folder.encode() not in memory[zygote]
    assert folder.encode() not in memory[after]


def memory_of(pid: int) -> bytes:
    pieces = []
    process = Path(f"/proc/{pid}")
    with (process / "maps").open() as maps, (process / "mem").open("rb") as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith("rw") and "[v" not in line:
                first, last = (int(number, 16) for number in span.split("-"))
                memory.seek(first)
                with contextlib.suppress(OSError):
                    pieces.append(memory.read(last - first))
    return b"".join(pieces)


def test_a_killed_zygote_costs_nothing_but_time(tmp_path: Path) -> None:
    installed = PluginMachine(tmp_path).verified()
    ZYGOTES.expect(4)
    with StaticWorker(installed) as worker:
        zygote = zygote_of(worker)
        os.kill(zygote, signal.SIGKILL)
        time.sleep(0.1)
        assert not worker.analyze([text_file("a.py", "secret")]).failures  # it lives on
        with StaticWorker(installed) as second:
            assert zygote_of(second) != zygote
            assert not second.analyze([text_file("a.py", "secret")]).failures


def test_a_zygote_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygotes, "_PATIENCE_S", 0.5)
    installed = PluginMachine(tmp_path).verified()
    ZYGOTES.expect(4)
    for _ in range(3):  # a slow machine may need several tries to have one at all
        with StaticWorker(installed) as worker:
            if started(worker).is_forked:
                break
            ZYGOTES.close()
            ZYGOTES.expect(4)
    else:
        pytest.skip("this machine is too slow for a patience of half a second")
    hanging = next(iter(ZYGOTES._known.values()))._process.pid
    os.kill(hanging, signal.SIGSTOP)
    with StaticWorker(installed) as worker:
        assert not started(worker).is_forked
        assert not worker.analyze([text_file("a.py", "secret")]).failures
    with pytest.raises(ProcessLookupError):
        os.kill(hanging, 0)


def test_all_ends_when_the_host_is_killed(tmp_path: Path) -> None:
    code = HOST.replace(
        "worker.start()\n",
        "from tavo.host.zygotes import ZYGOTES\nZYGOTES.expect(2)\nworker.start()\n"
        "print(next(iter(ZYGOTES._known.values()))._process.pid, flush=True)\n",
    )
    host = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), SPIN], cwd=ROOT, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert host.stdout is not None
    zygote, worker = (int(host.stdout.readline()) for _ in range(2))
    assert is_worker(worker)
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(map(is_alive, (zygote, worker))):
        time.sleep(0.05)
    assert not is_alive(zygote)
    assert not is_alive(worker)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


REFUSED = """
import sys
from pathlib import Path
from tavo.host.probe import empty_plan
from tavo.host.session import Session
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.zygotes import ZYGOTES
from tests.fakes.kernel import refuse
if sys.argv[1] != "nothing":
    refuse(sys.argv[1], 1, argument=(0, int(sys.argv[2])))
ZYGOTES.expect(3)
with open("/dev/null") as arena:
    for _ in range(2):
        session = Session(empty_plan(SandboxLevel.NONE, Path(sys.executable)), arena.fileno())
        session.lock_up()
        print(session.is_forked, end=" ")
        session.kill()
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the faults are written for x86_64")
@pytest.mark.parametrize(
    ("call", "argument", "expected"),
    [
        ("nothing", 0, "True True"),
        ("clone", 0x1208011, "False False"),  # a container without this form of clone
        ("prctl", 40, "False False"),  # a kernel that does not tell where the number lies
    ],
)
def test_where_it_cannot_be_had_workers_start_alone(
    call: str, argument: int, expected: str
) -> None:
    done = python(REFUSED, call, str(argument))
    assert done.stdout.strip() == expected, done.stderr


COPY = """
import os, sys
from pathlib import Path
from tavo.host.probe import empty_plan
from tavo.host.session import Session
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.zygotes import ZYGOTES
def start(arena):
    session = Session(empty_plan(SandboxLevel.NONE, Path(sys.executable)), arena.fileno())
    session.lock_up()
    parent = open(f"/proc/{session.pid}/stat").read().rpartition(")")[2].split()[1]
    print(session.is_forked, int(parent) == os.getpid(), flush=True)
    session.kill()
with open("/dev/null") as arena:
    ZYGOTES.expect(2)
    start(arena)
    if (copy := os.fork()) == 0:
        start(arena)
        start(arena)
        ZYGOTES.close()
        os._exit(0)
    os.waitpid(copy, 0)
    start(arena)
"""


def test_a_copy_of_the_host_has_its_own() -> None:
    done = python(COPY)
    assert done.stdout.split("\n")[:4] == ["True True", "False True", "True True", "True True"], (
        done.stderr
    )


def test_what_a_forked_worker_uses_is_counted_with_its_share_of_the_zygote(tmp_path: Path) -> None:
    spin = LOOK.replace(
        "        from tavo.plugins import Region\n",
        "        import time\n        from tavo.plugins import Region\n"
        "        end = time.process_time() + 0.3\n        kept = bytearray(40 << 20)\n"
        "        while time.process_time() < end:\n            pass\n",
    )
    installed = PluginMachine(tmp_path).verified(spin)
    ballast = bytes(200 << 20)  # of the host: none of the worker's
    ZYGOTES.expect(2)
    with StaticWorker(installed, policy=OPEN) as worker:
        session = started(worker)
        assert session.is_forked
        share = session._worker._start_cpu_s
        look(worker)
    assert 0.005 < share < 2
    assert 0.3 + share <= worker.statistics.worker_cpu_s < 1 + share
    assert 40 << 20 < worker.statistics.peak_memory < 120 << 20
    del ballast


def test_no_zygote_stays_when_they_are_closed() -> None:
    ZYGOTES.expect(2)
    arena = os.open(os.devnull, os.O_RDONLY)
    gc.collect()  # what earlier tests have left open is closed now and not in between
    before = len(list(Path("/proc/self/fd").iterdir()))
    session = Session(empty_plan(SandboxLevel.NONE, Path(sys.executable)), arena)
    session.lock_up()
    assert session.is_forked
    zygote = next(iter(ZYGOTES._known.values()))._process.pid
    session.kill()
    ZYGOTES.close()
    os.close(arena)
    assert not is_alive(zygote)
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
