"""What is seen from outside when an attack has worked. Never what a call returned inside.

Rules this module keeps:
- each kind of evidence is a question about targets, the kernel's tables or the host's own records;
- what lasts only while the attack runs is looked for 50 times a second;
- a limit counts as broken if it stays broken for longer than the watch on workers needs.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tavo.host.escapes.targets import Room, processes_of, project_state
from tavo.host.work_folder import disk_use

__all__ = ["KINDS", "Lookout", "Trial", "has_worked"]

_LOOK_EVERY_S = 0.02
_SUSTAINED_S = 2.5
_SLACK = 2 << 20
_MANY_PROCESSES = 20
_MEMORY = 300 << 20
_MEMORY_FILE = 100 << 20
_SPUN_S = 1.2
_LASTED_S = 2.5
_DYING_S = 0.5
_HEARD_S, _REFUSED_S = 3.0, 0.3  # until a victim has heard, on a machine that is busy
_KEPT = 16 << 20


@dataclass(slots=True)
class Trial:
    """What the host knows after an attack. `failure` is how it ended, if not by an answer.

    `marker` is in the environment of every process of the attack, `pid` is the one that attacks.
    `believed` says that the host took what it sent for a message, `kept` how much of its output the
    host holds.
    """

    marker: str
    pid: int = 0
    answers: list[str] = field(default_factory=list)
    failure: str = ""
    output: str = ""
    believed: bool = False
    kept: int = 0
    peak_memory: int = 0
    cpu_s: float = 0.0
    lasted_s: float = 0.0
    arena: bytes = b""
    arena_before: bytes = b""
    collected: str = ""


class Lookout:
    """Looks at a worker from outside, again and again, until it is closed.

    `like` is the process whose namespace and root folder the worker has until it attacks: a locked
    worker itself, and us for the control.
    """

    def __init__(self, room: Room, pid: int, *, like: int, scratch: Path, marker: str) -> None:
        self._look = _LOOKS.get(room.attack.evidence)
        if room.attack.needs and "activity" in room.attack.needs:
            self._look = _make_activity
        self._room = room
        self._worker = _Worker(pid, scratch, marker, _user_namespace_of(like), _root_of(like))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tavo-lookout", daemon=True)
        if self._look is not None:
            self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        assert self._look is not None  # noqa: S101
        while not self._over.is_set():
            with contextlib.suppress(OSError, ValueError):
                if self._look(self._room, self._worker):
                    self._room.seen.add(self._room.attack.evidence)
            self._over.wait(_LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class _Worker:
    pid: int
    scratch: Path
    marker: str
    user_namespace: str
    root: tuple[int, int]

    def text(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text("utf-8", "replace")

    def links(self) -> list[str]:
        folder = f"/proc/{self.pid}/fd"
        found = []
        for number in os.listdir(folder):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"{folder}/{number}"))
        return found


def has_worked(room: Room, trial: Trial) -> bool:
    """Tell whether the attack has left its evidence."""
    kind = room.attack.evidence
    if kind in _LOOKS:
        return kind in room.seen
    return _AFTERWARDS[kind](room, trial)


# -- seen while it runs


def _sustained(room: Room, name: str, over: bool) -> bool:
    if not over:
        room.since.pop(name, None)
        return False
    return time.monotonic() - room.since.setdefault(name, time.monotonic()) > _SUSTAINED_S


def _user_namespace_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/user")
    return ""


def _root_of(pid: int) -> tuple[int, int]:
    with contextlib.suppress(OSError):
        status = os.stat(f"/proc/{pid}/root")
        return status.st_dev, status.st_ino
    return 0, 0


def _threads(room: Room, worker: _Worker) -> bool:
    found = re.search(r"^Threads:\s+(\d+)", worker.text("status"), re.M)
    return _sustained(room, "threads", found is not None and int(found[1]) > 17)


def _memory_file(_: Room, worker: _Worker) -> bool:
    folder = Path(f"/proc/{worker.pid}/fd")
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(entry).startswith("/memfd:bomb"):
                return entry.stat().st_size > _MEMORY_FILE
    return False


def _listening(room: Room, _: _Worker) -> bool:
    with socket.create_connection(("127.0.0.1", room.config["free_port"]), timeout=0.2):
        return True


def _locked(room: Room, _: _Worker) -> bool:
    with room.project.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _victim_text(room: Room, name: str) -> str:
    assert room.victim is not None  # noqa: S101
    return Path(f"/proc/{room.victim.pid}/{name}").read_text()


def _typed(room: Room, _: _Worker) -> bool:
    with contextlib.suppress(BlockingIOError):
        room.echoed += os.read(room.terminal, 100)  # a terminal echoes what is typed
    return b"id" in room.echoed


def _make_activity(room: Room, _: _Worker) -> bool:
    (room.home / f"{room.token}-{len(os.listdir(room.home))}").touch()
    return False


def _holds(text: str) -> Callable[[Room, _Worker], bool]:
    return lambda _, worker: any(text in link for link in worker.links())


_LOOKS: Mapping[str, Callable[[Room, _Worker], bool]] = {
    "user_namespace": lambda _, worker: (
        _user_namespace_of(worker.pid) not in {"", worker.user_namespace}
    ),
    "rooted": lambda _, worker: _root_of(worker.pid) not in {(0, 0), worker.root},
    "traced": lambda room, _: "TracerPid:\t0" not in _victim_text(room, "status"),
    "mounted": lambda room, worker: room.name in worker.text("mountinfo"),
    "processes": lambda _, worker: len(processes_of(worker.marker)) > _MANY_PROCESSES,
    "threads": _threads,
    "disk": lambda room, worker: _sustained(
        room, "disk", disk_use(worker.scratch)[0] > (8 << 20) + _SLACK
    ),
    "entries": lambda room, worker: _sustained(
        room, "entries", disk_use(worker.scratch)[1] > 10_000
    ),
    "memory_file": _memory_file,
    "dumpable": lambda _, worker: "Max core file size        0 " not in worker.text("limits"),
    "listening": _listening,
    "locked": _locked,
    "typed": _typed,
    "ring": _holds("[io_uring]"),
    "fault_handler": _holds("[userfaultfd]"),
    "kernel_map": _holds("bpf-map"),
    "counter": _holds("[perf_event]"),
    # one is its connection to us
    "socket": lambda _, worker: len([x for x in worker.links() if x.startswith("socket:")]) > 1,
}


# -- seen afterwards


def _leaked(room: Room, trial: Trial) -> bool:
    return any(secret in answer for answer in trial.answers for secret in room.secrets)


def _connected(room: Room, _: Trial) -> bool:
    for listener in room.sockets:
        with contextlib.suppress(BlockingIOError):
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()
            else:
                listener.recv(100)
            return True
    return False


def _killed(room: Room, _: Trial) -> bool:
    assert room.victim is not None  # noqa: S101
    with contextlib.suppress(subprocess.TimeoutExpired):
        room.victim.wait(0.1)
    return room.victim.returncode is not None


def _signalled(room: Room, trial: Trial) -> bool:
    """Tell whether the victim names this attacker as the sender: others may attack it, too."""
    end = time.monotonic() + (_REFUSED_S if trial.failure else _HEARD_S)
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if f"{trial.pid}\n" in (room.drop / "mark").read_text().splitlines(keepends=True):
                return True
        time.sleep(0.02)
    return False


def _followed(room: Room, trial: Trial) -> bool:
    return room.token in trial.collected or not (room.drop / "kept").exists()


def _left_over(_: Room, trial: Trial) -> bool:
    end = time.monotonic() + _DYING_S
    while processes_of(trial.marker):  # what was just killed may not be dead yet
        if time.monotonic() > end:
            return True
        time.sleep(0.02)
    return False


def _key_added(room: Room, _: Trial) -> bool:
    try:
        room.find_key(room.config["new_key"])
    except OSError:
        return False
    return True


def _slowed(room: Room, _: Trial) -> bool:
    assert room.victim is not None  # noqa: S101
    return os.getpriority(os.PRIO_PROCESS, room.victim.pid) == 19


def _pinned(room: Room, _: Trial) -> bool:
    assert room.victim is not None  # noqa: S101
    return os.sched_getaffinity(room.victim.pid) != os.sched_getaffinity(0)


def _exists(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) or stat.S_ISCHR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


_AFTERWARDS: Mapping[str, Callable[[Room, Trial], bool]] = {
    "leaked": _leaked,
    "written": lambda room, _: _exists(room.home / "planted"),
    "changed": lambda room, _: project_state(room.project) != room.project_before,
    "tampered": lambda room, _: room.was_tampered_with,
    "shared_file": lambda room, _: _exists(Path("/dev/shm") / room.name),
    "temporary_file": lambda room, _: _exists(Path("/tmp") / room.name),
    "followed": _followed,
    "connected": _connected,
    "killed": _killed,
    "signalled": _signalled,
    "limited": lambda room, _: bool(
        re.search(r"^Max open files +7 ", _victim_text(room, "limits"), re.M)
    ),
    "slowed": _slowed,
    "pinned": _pinned,
    "arena": lambda _, trial: trial.arena != trial.arena_before,
    "memory": lambda _, trial: trial.peak_memory > _MEMORY,
    "kept": lambda _, trial: trial.kept > _KEPT,
    "spun": lambda _, trial: trial.cpu_s > _SPUN_S,
    "lasted": lambda _, trial: trial.lasted_s > _LASTED_S,
    "left_over": _left_over,
    "ran": lambda room, trial: room.program_help[:20] in trial.output,
    "key_added": _key_added,
    "believed": lambda _, trial: trial.believed,
}
KINDS = frozenset({*_LOOKS, *_AFTERWARDS})
