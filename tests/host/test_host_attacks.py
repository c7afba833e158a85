"""The corpus of hostile plugins: each in the sandbox, and without it as the control.

An attack has worked when its evidence is there: seen from outside of the worker.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tavo.host import hosted, session
from tavo.host.installations import TamperedError, VerifiedInstallation
from tavo.host.sandbox.levels import SandboxLevel, strongest_here
from tavo.host.workers import BatchResult, StaticWorker
from tests.fakes.plugins import PluginMachine, no_sandbox, text_file

CORPUS = Path(__file__).parents[1] / "attacks" / "workers"
ATTACKS = sorted(path.stem for path in CORPUS.glob("*.py") if path.stem != "hostile")
LIMITS = "limits: {{memory_mb: 128, scratch_mb: 8, {}}}\n"

pytestmark = pytest.mark.skipif(
    strongest_here() < SandboxLevel.STANDARD, reason="the sandbox of this system is not L2"
)


def header(attack: str, name: str) -> str:
    found = re.search(rf"^# {name}: (.+)$", (CORPUS / f"{attack}.py").read_text(), re.M)
    return found[1] if found else ""


WITH_EVIDENCE = [attack for attack in ATTACKS if header(attack, "evidence") != "none"]


class Surroundings:
    """Everything that an attack could reach: a secret, a project, a process, listeners."""

    def __init__(self, folder: Path) -> None:
        self.token = f"token-{secrets.token_hex(12)}"
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        (self.home / ".ssh" / "id_rsa").write_text(self.token)
        (self.home / self.token).touch()
        self.drop = Path("/tmp") / self.token  # short: a unix socket's path, an i386 pointer
        self.drop.mkdir()
        self.project = folder / "app.py"
        self.project.write_text("print('hello')\n")
        self.project_before = self._project_state()
        self.shared = Path("/dev/shm") / self.token
        self.victim = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)", self.token],
            env={"SECRET": self.token},
        )
        self.sockets = {
            "tcp": self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": self._listen(socket.AF_UNIX, socket.SOCK_STREAM, str(self.drop / "stream")),
            "datagram": self._listen(socket.AF_UNIX, socket.SOCK_DGRAM, str(self.drop / "dgram")),
            "abstract": self._listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.token),
        }
        self.config = {
            "token": self.token,
            "home": str(self.home),
            "drop": str(self.drop),
            "project": str(self.project),
            "victim": self.victim.pid,
            "tcp": self.sockets["tcp"].getsockname()[1],
            "udp": self.sockets["udp"].getsockname()[1],
            "unix": str(self.drop / "stream"),
            "datagram": str(self.drop / "dgram"),
        }

    @staticmethod
    def _listen(family: int, kind: int, address: object) -> socket.socket:
        listener = socket.socket(family, kind)
        listener.bind(address)  # type: ignore[arg-type]
        if kind == socket.SOCK_STREAM:
            listener.listen()
        listener.setblocking(False)
        return listener

    def _project_state(self) -> tuple[object, ...] | None:
        try:
            status = self.project.lstat()
        except FileNotFoundError:
            return None
        return status.st_mode, status.st_mtime_ns, status.st_size, self.project.read_bytes()

    def was_connected(self) -> bool:
        for listener in self.sockets.values():
            with contextlib.suppress(BlockingIOError):
                if listener.type == socket.SOCK_STREAM:
                    listener.accept()[0].close()
                else:
                    listener.recv(100)
                return True
        return False

    def victim_status(self, name: str) -> str:
        return Path(f"/proc/{self.victim.pid}/{name}").read_text()

    def saw(self, evidence: str, result: BatchResult, outcome: Outcome) -> bool:
        """Tell whether the attack has left this evidence behind."""
        if evidence == "leaked":
            shown = [f.message for found in result.findings.values() for f in found]
            return self.token in "".join(shown)
        if evidence == "connected":
            if outcome.attack == "daemon_outlives":
                time.sleep(0.8)
            return self.was_connected()
        if evidence == "changed":
            return self._project_state() != self.project_before
        if evidence == "marker":
            return (self.drop / "marker").exists() or self.shared.exists()
        if evidence == "killed":
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.victim.wait(0.2)
            return self.victim.returncode is not None
        if evidence == "limited":
            return bool(re.search(r"^Max open files +7 ", self.victim_status("limits"), re.M))
        if evidence == "stopped":
            return outcome.saw_tracer
        if evidence == "memory":
            return outcome.peak_memory > 500 << 20
        if evidence == "tampered":
            return outcome.tampered
        raise AssertionError(evidence)

    def close(self) -> None:
        self.victim.kill()
        self.victim.wait()
        for listener in self.sockets.values():
            listener.close()
        shutil.rmtree(self.drop)
        self.shared.unlink(missing_ok=True)


class Outcome:
    """What the host knows after an attack."""

    def __init__(self, attack: str) -> None:
        self.attack = attack
        self.peak_memory = 0
        self.tampered = False
        self.saw_tracer = False


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path)
    yield surroundings
    surroundings.close()


def install(attack: str, machine: PluginMachine) -> VerifiedInstallation:
    return machine.verified(
        (CORPUS / f"{attack}.py").read_text(),
        more=LIMITS.format(header(attack, "limits") or "cpu_s_per_file: 30, wall_s_per_call: 30"),
        files={"hostile.py": (CORPUS / "hostile.py").read_text()},
    )


def run(
    attack: str, machine: PluginMachine, around: Surroundings, *, sandbox: bool
) -> tuple[BatchResult, Outcome]:
    installed = install(attack, machine)
    outcome = Outcome(attack)
    policy = None if sandbox else no_sandbox()
    watcher = subprocess.Popen(
        [sys.executable, "-S", "-c", TRACER_WATCH, str(around.victim.pid)], stdout=subprocess.PIPE
    ) if header(attack, "evidence") == "stopped" else None  # fmt: skip
    with StaticWorker(installed, policy=policy, config=around.config) as worker:
        result = worker.analyze([text_file("first.py", "one\n")])
        assert worker.level in {None, SandboxLevel.STANDARD if sandbox else SandboxLevel.NONE}
    outcome.peak_memory = worker.statistics.peak_memory
    try:
        machine.installations.verify(installed.installation)
    except TamperedError:
        outcome.tampered = True
    if watcher is not None:
        assert watcher.stdout is not None
        outcome.saw_tracer = watcher.communicate()[0] == b"traced"
    return result, outcome


TRACER_WATCH = """
import sys, time
for _ in range(60):
    text = open(f"/proc/{sys.argv[1]}/status").read()
    if "TracerPid:\\t0" not in text:
        print("traced", end="")
        break
    time.sleep(0.02)
"""


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("attack", ATTACKS)
def test_in_the_sandbox_the_attack_fails(attack: str, tmp_path: Path, around: Surroundings) -> None:
    result, outcome = run(attack, PluginMachine(tmp_path / "m"), around, sandbox=True)
    failures = {str(path): failure for path, failure in result.failures.items()}
    expected = header(attack, "sandboxed")
    if expected == "none":
        assert not failures
    else:
        kind, _, word = expected.partition(" ")
        failure = failures["first.py"]
        assert failure.kind in kind.split("|"), failure
        assert re.search(word, failure.reason), failure
    evidence = header(attack, "evidence")
    assert evidence == "none" or not around.saw(evidence, result, outcome)


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("attack", WITH_EVIDENCE)
def test_without_the_sandbox_the_attack_works(
    attack: str, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "strongest_here", lambda: SandboxLevel.NONE)
    monkeypatch.setattr(session, "_MEMORY_OF_INTERPRETER", 1 << 40)  # the host's own look
    if attack in {"system_calls_of_i386", "exotic_calls"} and os.uname().machine != "x86_64":
        pytest.skip("written for x86_64")
    result, outcome = run(attack, PluginMachine(tmp_path / "m"), around, sandbox=False)
    assert around.saw(header(attack, "evidence"), result, outcome), result
