"""A worker's process and what belongs to it: its folder, its connection, its proxy.

Rules this module keeps:
- all of it is made together and gone together: nothing of it is left after `end`;
- what the worker uses, and why it has gone, is what the kernel says, never what it says itself;
- nothing is decided here: `tavo.host.session` says when a worker has broken a rule.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from tavo.host.answers import clean
from tavo.host.bounds import CANCEL_S, environment, too_full, too_much
from tavo.host.payload import BOOT
from tavo.host.process import Sample, WorkerProcess, signal_name
from tavo.host.wire import Wire
from tavo.host.work_folder import LockedUpFolder
from tavo.host.worker_plan import WorkerPlan
from tavo.host.zygotes import ZYGOTES, interpreter

if TYPE_CHECKING:
    from tavo.host.connect_proxy import ConnectProxy

__all__ = ["LiveWorker"]

_MOST_PRINTED = 64 << 20
_LONGEST_OUTPUT = 64 << 10


class LiveWorker:
    """The process of one plan. `is_forked` says that it has our code, from the one it came out of.

    `starter_cpu_s` is the processor time of our thread that started it, for it.
    """

    def __init__(self, plan: WorkerPlan, arena: int) -> None:
        """Start it, by itself or out of one that is ready. Raises OSError."""
        self._plan = plan
        self.folder = LockedUpFolder()
        self._proxy: ConnectProxy | None = None
        ours: socket.socket | None = None
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                self._start(theirs.fileno(), arena)
        except BaseException:
            self.folder.delete()
            if ours is not None:
                ours.close()
            raise
        self.wire = Wire(ours, self.process.output)

    @property
    def cpu_s(self) -> float:
        """Return its processor time so far, or of its whole life.

        It includes what the process that it was forked from has used for it.
        """
        return self._start_cpu_s + (self.process.cpu_s or self.process.sample().cpu_s)

    @property
    def printed(self) -> str:
        """Return the end of what it logged and printed, made safe for people."""
        return clean(self.wire.tail, _LONGEST_OUTPUT)

    def environment(self) -> dict[str, str]:
        """Return its whole environment."""
        return environment(self.folder.scratch, self._plan.limits, proxy=self._plan.proxy_port)

    def serve_connections(self) -> bool:
        """Serve what arrives at the socket that it just sent; tell whether it sent one, not more.

        `wire.expects_descriptors` must have been set before that.
        """
        from tavo.host.connect_proxy import ConnectProxy

        self.wire.expects_descriptors = False
        if len(self.wire.descriptors) != 1:
            return False
        self._proxy = ConnectProxy(self.wire.descriptors.pop(), self._plan.hosts)
        return True

    def overuse(self, sample: Sample) -> tuple[str, str]:
        """Say what it uses more of than it may, as a word and a clause; empty if nothing.

        These are the things that the kernel does not count for us.
        """
        kind, reason = too_much(sample, self._plan.limits)
        if kind:
            return kind, reason
        if self.wire.printed > _MOST_PRINTED:
            return "output", f"it printed more than {_MOST_PRINTED >> 20} MB"
        return self.overfull()

    def overfull(self) -> tuple[str, str]:
        """Say the same of its scratch folder alone."""
        full = too_full(self.folder.scratch, self._plan.limits)
        return ("scratch", f"it filled its scratch folder with {full}") if full else ("", "")

    def why_gone(self) -> tuple[str, str]:
        """Say why a worker has gone that closed its connection, as a word and a clause."""
        status = self.wait_for_end()
        if status is None:
            return "crashed", "it closed its connection"
        if status >= 0:
            return "crashed", f"it ended with exit code {status}"
        name = signal_name(-status)
        kinds = {"SIGSYS": "sandbox", "SIGXCPU": "cpu", "SIGXFSZ": "scratch"}
        return kinds.get(name, "crashed"), f"it was ended by {name}"

    def wait_for_end(self) -> int | None:
        """Give it a moment to end by itself; return its exit code, None if it did not."""
        deadline = time.monotonic() + CANCEL_S
        while time.monotonic() < deadline:
            if self.process.has_ended():
                return self.process.reap()
            time.sleep(0.005)
        return None

    def end(self) -> None:
        """Kill it with everything that it started, and delete its folder."""
        self.process.kill()
        self.process.close()
        self.wire.close()
        if self._proxy is not None:
            self._proxy.close()
        self.folder.delete()

    def _start(self, channel: int, arena: int) -> None:
        python = self._plan.python
        forked = None if self._plan.apart else ZYGOTES.fork(python, channel, arena)
        self.is_forked = forked is not None
        self._start_cpu_s = 0.0
        if forked is not None:
            self.process, self._start_cpu_s = forked.process, forked.zygote_cpu_s
            self.starter_cpu_s = forked.starter_cpu_s
            return
        self.process = WorkerProcess.start(
            [*interpreter(python), BOOT, str(channel), str(arena)],
            environment=self.environment(), folder=self.folder.scratch, keep=(channel, arena),
        )  # fmt: skip
        self.starter_cpu_s = self.process.starter_cpu_s
