"""Programs that come with a plugin: found in its locked wheels, run locked up as the plugin is.

Rules this module keeps:
- a program is the one compiled file of that name in the wheels of the installation, whose digests
  were compared just before; no other file of a plugin may ever be executed;
- it runs at the level of its plugin's worker, in a process of its own that applies the same layers
  before it becomes the program: it can read the wheels, the files that the plugin gives it and the
  system's libraries, write to an empty folder that is deleted afterwards, and nothing else; it has
  no network, also where its plugin has one, starts no process, and becomes no other program;
- what the kernel does not count is looked at while it runs; time and output are bounded, and it
  ends with the run.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from marketplace_db.manifest import Limits
from tavo.host.answers import clean
from tavo.host.bounds import (
    TICK_S,
    environment,
    resource_limits,
    sandbox_order,
    too_full,
    too_much,
)
from tavo.host.lending import Lender, LendError
from tavo.host.payload import PROGRAM_BOOT, payload
from tavo.host.process import Sample, sample_of, signal_name
from tavo.host.program_orders import (
    MOST_OUTPUT,
    Allowance,
    Order,
    answered,
    read_order,
    write_files,
)
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.stopping import Stopper
from tavo.host.work_folder import LockedUpFolder
from tavo.host.zygotes import interpreter
from tavo.programs import run_program

__all__ = ["OwnProgramLender"]

_MOST_SAID = 4096
# libraries that start as many threads as there are processors unless they are told otherwise
_THREADS = ("TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS")


class _Place(LockedUpFolder):
    """The folders and files of one run, which is deleted afterwards."""

    @property
    def given(self) -> Path:
        return self.path / "given"

    @property
    def not_program(self) -> Path:
        return self.path / "not-a-program"

    def _furnish(self) -> None:
        super()._furnish()
        self.given.mkdir(mode=0o700)
        self.not_program.write_bytes(b"\0 not a program, and not to be tried\n")
        self.not_program.chmod(0o700)


class OwnProgramLender:
    """Serves `context.run` of one plugin, for the programs that come with it.

    `level` is that of its worker, set before the worker can ask; `used` are the programs that were
    asked for. What is no program of its own is asked of the lender behind it.
    """

    def __init__(
        self,
        programs: Mapping[str, Path],
        *,
        python: Path,
        readable: Iterable[Path],
        limits: Limits,
        stopper: Stopper,
        behind: Lender | None = None,
    ) -> None:
        """`readable` are the folders of the wheels; the limits hold for each program."""
        self.level: SandboxLevel | None = None
        self._programs = dict(programs)
        self._python = python
        self._readable = list(readable)
        self._limits = limits
        self._stopper = stopper
        self._behind = behind
        self._allowance = Allowance(limits.wall_s_total)
        self.used: set[str] = set()

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Run a program to its end, or hand the question on. Raises LendError."""
        name = content.get("program")
        if self._behind is not None and (kind != "run" or name not in self._programs):
            return self._behind.lend(kind, content)
        order = read_order(kind, content, self._programs)
        self.used.add(order.program)
        if self.level is None:
            raise LendError("not_available", "its plugin is not locked up yet")
        path = self._programs[order.program]
        if not os.access(path, os.X_OK):
            raise LendError(
                "program",
                f"{order.program}: {path.parent} is in a place where nothing may be executed"
                " (mounted noexec), or its mode was changed; install the plugin again elsewhere",
            )
        with self._allowance.run(order.timeout_s) as seconds, _Place() as place:
            try:
                write_files(place.given, order.files)
                return self._run(order, place, self.level, seconds)
            except (OSError, ValueError) as error:
                raise LendError("program", f"{order.program}: does not start: {error}") from None

    def _run(
        self, order: Order, place: _Place, level: SandboxLevel, seconds: float
    ) -> dict[str, Any]:
        ours, theirs = socket.socketpair()
        refusals: list[str] = []

        @contextlib.contextmanager
        def beside(pid: int, stop: Callable[[str], None]) -> Iterator[None]:
            theirs.close()
            with self._stopper.ending(stop), self._watched(pid, place.scratch, stop):
                refusals.append(self._begin(ours, self._order(order, place, level)))
                yield

        with ours, theirs:
            answer = run_program(
                [
                    *interpreter(self._python), PROGRAM_BOOT,
                    str(theirs.fileno()), str(os.getpid()),
                ],
                extra={}, passed=(), seconds=seconds, most=MOST_OUTPUT, folder=place.scratch,
                given=order.given, beside=beside, keep=(theirs.fileno(),),
            )  # fmt: skip
        if refusals and refusals[0] and not answer.stopped:
            raise LendError("program", f"{order.program}: {refusals[0]}")
        if answer.code < 0 and not answer.stopped:
            raise LendError("program", f"{order.program}: {_ended_by(-answer.code)}")
        return answered(order.program, answer)

    def _order(self, order: Order, place: _Place, level: SandboxLevel) -> dict[str, Any]:
        limits = self._limits
        # of each kind: a program may have several such libraries, and threads of its own
        threads = str(max(1, min(limits.threads // 4, os.cpu_count() or 1)))
        return {
            "folder": str(place.given),
            "called": order.called or str(self._programs[order.program]),
            "arguments": order.arguments,
            "environment": {
                **environment(place.scratch, limits),
                **dict.fromkeys(_THREADS, threads),
                # where there is no /proc, the loader asks this for what lies beside the program
                "LD_ORIGIN_PATH": str(self._programs[order.program].parent),
                **order.variables,
            },
            "sandbox": {
                **sandbox_order(
                    level, limits, place,
                    kernel=resource_limits(limits), readable=[*self._readable, place.given],
                    program=self._programs[order.program],
                ),
                "not_program": str(place.not_program),
            },
        }  # fmt: skip

    def _begin(self, channel: socket.socket, order: Mapping[str, Any]) -> str:
        """Send the order; return why it was not begun, nothing once the program runs."""
        data = json.dumps(order).encode()
        said = b""
        with contextlib.suppress(OSError):  # it is gone, and its end says why
            channel.sendall(payload(self._python, program=True))
            channel.sendall(len(data).to_bytes(4, "big") + data)
            channel.shutdown(socket.SHUT_WR)
            while len(said) < _MOST_SAID and (piece := channel.recv(_MOST_SAID)):
                said += piece
        if not said:
            return ""
        try:
            told = json.loads(said)
            layer, reason = clean(str(told["layer"]), 40), clean(str(told["reason"]), 300)
        except (ValueError, TypeError, KeyError):
            return "does not start, and does not say why"
        if layer:
            return f"is not started: the layer {layer} of the sandbox cannot be had here: {reason}"
        return f"does not start: {reason}"

    @contextlib.contextmanager
    def _watched(self, pid: int, scratch: Path, stop: Callable[[str], None]) -> Iterator[None]:
        """Look at what the kernel does not count for us, while the program runs."""
        over = threading.Event()

        def watch() -> None:
            sample = Sample()
            while not over.wait(TICK_S):
                sample = sample_of(pid, sample)
                _, reason = too_much(sample, self._limits)
                if not reason and (full := too_full(scratch, self._limits)):
                    reason = f"it filled its folder with {full}"
                if reason:
                    stop(reason)
                    return

        watcher = threading.Thread(target=watch, name="tavo-program", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def _ended_by(number: int) -> str:
    name = signal_name(number)
    why = {
        "SIGSYS": "for something that the sandbox kills for",
        "SIGXCPU": "because its processor time was used up",
        "SIGXFSZ": "because a file became larger than its folder may be",
    }.get(name, "")
    return f"it was ended by {name}{' ' + why if why else ''}"
