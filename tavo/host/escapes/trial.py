"""One attack tried once: in a locked worker as every plugin is, or in a naive process as control.

Rules this module keeps:
- the sandbox is the product's own: the same session, boot and layers that a plugin gets;
- the control is what a program does that runs plugins without thinking: it inherits environment and
  descriptors, reads whatever it is sent, keeps whatever is printed, and waits;
- whatever an attack leaves running is killed before the next step, in both.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from marketplace_db.manifest import Limits
from tavo.host.arena import Arena
from tavo.host.escapes.evidence import Lookout, Trial, has_worked
from tavo.host.escapes.targets import Room, remove_processes
from tavo.host.messages import Message, Partial, Result, ViolationError
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.session import CrashError, Session
from tavo.host.worker_plan import WorkerPlan

__all__ = ["in_sandbox", "without_sandbox"]

_CONTENT = b"one\n"
_LONGEST_S = 15.0
_MOST_TAKEN = 64 << 20
_USUAL = {"memory_mb": 64, "cpu_s_per_file": 10, "scratch_mb": 8, "threads": 16}


def in_sandbox(room: Room, level: SandboxLevel, python: Path) -> tuple[bool, Trial]:
    """Have a worker of this level attack; return whether it worked.

    Raises LayerRefusedError where the level cannot be had.
    """
    arena = Arena()
    arena.fill([_CONTENT])
    plan = WorkerPlan(
        full_id="tavo/escapes",
        plugin_type="static",
        entry_point="main:Plugin",
        plugin_folder=room.plugin,
        dependency_folders=(),
        config=room.config,
        limits=Limits(**{**_USUAL, **room.attack.limits}),
        level=level,
        python=python,
    )
    with contextlib.closing(arena):
        with room.exposed():
            session = Session(plan, arena.reader)
        trial = Trial(marker=str(session.scratch), arena_before=_CONTENT)
        try:
            session.lock_up()
            trial.pid = session.pid
            lookout = Lookout(
                room, session.pid, like=session.pid, scratch=session.scratch, marker=trial.marker
            )
            try:
                _ask(session, trial)
            finally:
                trial.kept = len(trial.output)
                trial.peak_memory = session.peak_memory
                session.close()
                trial.cpu_s = session.cpu_s
                lookout.close()
            trial.arena = os.pread(arena.reader, 100, 0)
            return has_worked(room, trial), trial
        finally:
            session.kill()
            remove_processes(trial.marker)


def _ask(session: Session, trial: Trial) -> None:
    """Start the plugin and have it look at its one file."""

    def collect(message: Message) -> bool:
        if not isinstance(message, Partial | Result):
            raise ViolationError(f"{type(message).__name__.lower()!r} as an answer about files")
        for item in message.items:
            trial.answers += [finding.message for finding in item.findings]
            if item.error is not None:
                trial.failure = item.error.message
        return isinstance(message, Result)

    began = time.monotonic()
    content = {"offset": 0, "paths": ["one.txt"], "lengths": [len(_CONTENT)], "binary": []}
    try:
        session.start_plugin()
        began = time.monotonic()
        cancel = session.ask("analyze", content, collect=collect, left_s=60.0)
        trial.believed = True
        trial.output = session.printed_tail
        if cancel is not None:
            trial.failure = cancel.reason
    except CrashError as crash:
        trial.failure, trial.output = crash.reason, crash.output
        trial.believed = crash.kind != "protocol"
    trial.lasted_s = time.monotonic() - began


def without_sandbox(room: Room) -> tuple[bool, Trial]:
    """Have a naive process attack; return whether it worked."""
    arena = Arena()
    arena.fill([_CONTENT])
    ours, theirs = socket.socketpair()
    trial = Trial(marker=room.name, arena_before=_CONTENT)
    try:
        with theirs, room.exposed(theirs.fileno(), arena.reader):
            process = subprocess.Popen(
                [
                    sys.executable, "-I", "-S", "-B", str(room.plugin / "naive.py"),
                    str(room.plugin), str(theirs.fileno()), json.dumps(room.config),
                    str(room.scratch),
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env={**os.environ, "TAVO_TARGET": room.name}, cwd=room.scratch,
                close_fds=False, start_new_session=True, bufsize=0,
            )  # fmt: skip
        trial.pid = process.pid
        lookout = Lookout(
            room, process.pid, like=os.getpid(), scratch=room.scratch, marker=trial.marker
        )
        began = time.monotonic()
        try:
            _listen_naively(process, ours, trial)
        finally:
            trial.lasted_s = time.monotonic() - began
            lookout.close()
            # not by Popen: it would reap the process, and its figures with it
            os.kill(process.pid, signal.SIGKILL)
            _end(process, trial)
        _collect_naively(room, trial)
        trial.arena = os.pread(arena.reader, 100, 0)
        return has_worked(room, trial), trial
    finally:
        remove_processes(trial.marker)
        ours.close()
        arena.close()


def _end(process: subprocess.Popen[bytes], trial: Trial) -> None:
    assert process.stdout is not None  # noqa: S101
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    trial.cpu_s = usage.ru_utime + usage.ru_stime
    if not trial.answers and not trial.failure:
        trial.failure = f"it ended with code {process.returncode}"


def _listen_naively(process: subprocess.Popen[bytes], channel: socket.socket, trial: Trial) -> None:
    """Take all that it sends and prints, as a host does that trusts its plugins."""
    assert process.stdout is not None  # noqa: S101
    output = process.stdout.fileno()
    printed, heard, taken = bytearray(), bytearray(), 0
    open_ends = {channel.fileno(), output}
    deadline = time.monotonic() + _LONGEST_S
    while channel.fileno() in open_ends and time.monotonic() < deadline:
        ready, _, _ = select.select(list(open_ends), [], [], 0.02)
        _sample(process.pid, trial)
        for end in ready:
            data = os.read(end, 1 << 20)
            if not data:
                open_ends.discard(end)
            elif end == output:
                printed += data
            else:
                taken += len(data)
                heard += data if taken < _MOST_TAKEN else b""
        if taken < _MOST_TAKEN and _is_answer(heard, trial):
            break
    while output in open_ends and select.select([output], [], [], 0.1)[0]:
        if not (data := os.read(output, 1 << 20)):
            break
        printed += data
    trial.kept = len(printed)
    trial.output = bytes(printed[-8192:]).decode("utf-8", "replace")
    trial.believed = trial.believed or taken >= _MOST_TAKEN


def _is_answer(heard: bytearray, trial: Trial) -> bool:
    """Take a frame out of what was heard, if it is whole."""
    length = int.from_bytes(heard[:4], "big")
    if len(heard) < 4 or len(heard) < 4 + length:
        return False
    frame = bytes(heard[4 : 4 + length])
    del heard[: 4 + length]
    try:
        said: Any = json.loads(frame)
    except ValueError:
        trial.believed = True
        trial.answers.append(frame.decode("utf-8", "replace"))
        return False
    except RecursionError:
        trial.believed = True  # a naive host ends here
        return False
    if "loot" in said:
        trial.answers.append(said["loot"])
    trial.failure = said.get("error", "")
    return True


def _collect_naively(room: Room, trial: Trial) -> None:
    """Read what lies in its folder, as a host does that expects a report there."""
    for path in room.scratch.iterdir() if room.attack.evidence == "followed" else ():
        if path.is_file():
            trial.collected += path.read_text("utf-8", "replace")


def _sample(pid: int, trial: Trial) -> None:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                trial.peak_memory = max(trial.peak_memory, int(line.split()[1]) << 10)
