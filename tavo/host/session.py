"""One life of a worker: start, lock up, ask, stop or kill. The host's side of `tavo-worker/1`.

Rules this module keeps:
- the worker hears where the plugin lies only after it said that the sandbox is on;
- each state allows certain messages; anything else is a violation, and the worker is killed;
- a request is answered once: each file once, nothing that was not asked, nothing afterwards;
- a call that is over its limit is cancelled; 250 ms later the group is killed.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import enum
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tavo.errors import ConfigError
from tavo.host.answers import clean
from tavo.host.bounds import CANCEL_S, TICK_S, Cancel, Watch
from tavo.host.lending import Lender, LendError
from tavo.host.live_worker import LiveWorker
from tavo.host.messages import (
    Ask,
    Bye,
    Failed,
    Held,
    Hello,
    Listening,
    Message,
    Ready,
    Refused,
    ViolationError,
    parse,
)
from tavo.host.payload import payload
from tavo.host.process import Sample
from tavo.host.wire import GoneError, LateError
from tavo.host.worker_plan import WorkerPlan
from tavo.plugins.frames import MOST_FROM_HOST, PROTOCOL, FrameError, encode

__all__ = ["CrashError", "LayerRefusedError", "Session"]

_START_S = 30.0
_STOP_S = 2.0

_Kind = TypeVar("_Kind")


class CrashError(Exception):
    """The worker is dead. `kind` is one short word, the message a clause that says why."""

    def __init__(self, kind: str, reason: str, *, output: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.output = output


class LayerRefusedError(Exception):
    """A layer of the sandbox could not be had; the worker ended before it read plugin code."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer
        self.reason = reason


class _State(enum.Enum):
    NEW = enum.auto()
    LOCKED = enum.auto()
    READY = enum.auto()
    BUSY = enum.auto()
    DEAD = enum.auto()


class Session:
    """One worker process from its start to its end. `arena` is readable by it, and nobody else.

    `lender` serves what the plugin asks for in the middle of a call.
    """

    def __init__(self, plan: WorkerPlan, arena: int, lender: Lender | None = None) -> None:
        """Start the process; it knows nothing of the plugin yet. Raises OSError."""
        self._plan = plan
        self._lender = lender
        self._state = _State.NEW
        self._request = 0
        self._open: deque[int] = deque()
        self._worker = LiveWorker(plan, arena)

    @property
    def pid(self) -> int:
        """Return the number of the worker's process."""
        return self._worker.process.pid

    @property
    def scratch(self) -> Path:
        """Return the worker's scratch folder, as it lies on this machine."""
        return self._worker.folder.scratch

    @property
    def printed_tail(self) -> str:
        """Return the end of what the worker printed so far."""
        self._worker.wire.drain()
        return self._worker.wire.tail

    @property
    def cpu_s(self) -> float:
        """Return the processor time of the worker so far, or of its whole life."""
        return self._worker.cpu_s

    @property
    def starter_cpu_s(self) -> float:
        """Return the processor time that starting it took of a thread of ours."""
        return self._worker.starter_cpu_s

    @property
    def is_forked(self) -> bool:
        """Tell whether it came out of a process that was ready."""
        return self._worker.is_forked

    def cpu_now(self) -> float:
        """Return the processor time of its process so far, 0 if the system does not say."""
        return self._worker.process.cpu_now()

    @property
    def peak_memory(self) -> int:
        """Return the largest memory that the worker was seen with."""
        return self._worker.process.sample().peak_memory

    @property
    def printed(self) -> str:
        """Return the end of what the worker logged and printed, made safe for people."""
        return self._worker.printed

    @property
    def is_alive(self) -> bool:
        """Tell whether requests may be sent."""
        return self._state in {_State.READY, _State.BUSY}

    def lock_up(self) -> Held:
        """Send the worker its code and have it apply the sandbox; return what it says holds.

        Raises LayerRefusedError, CrashError.
        """
        deadline = time.monotonic() + _START_S
        nonce = secrets.token_hex(16)
        if not self.is_forked:
            self._send_raw(payload(self._plan.python), deadline)
        self._send(
            {
                "type": "hello",
                "protocol": [PROTOCOL],
                "nonce": nonce,
                "sandbox": self._plan.sandbox(self._worker.folder),
                "folder": str(self.scratch),
                "environment": self._worker.environment(),
            },
            deadline,
        )
        if self._plan.proxy_port:
            self._take_proxy(deadline)
        hello = self._expect(Hello, deadline, what="its greeting")
        if hello.nonce != nonce or hello.protocol != PROTOCOL:
            self.violation("it greets another host")
        if hello.held.level != self._plan.level:
            self.violation(f"it greets at level {hello.held.level}")
        self._state = _State.LOCKED
        return hello.held

    def start_plugin(self) -> Ready:
        """Have the locked worker load its plugin; return what that declares.

        Raises ConfigError for what the plugin's own start refuses, CrashError.
        """
        deadline = time.monotonic() + max(_START_S, self._plan.limits.wall_s_per_call)
        self._send(self._plan.configure(), deadline)
        ready = self._expect(Ready, deadline, what="its start")
        self._state = _State.READY
        self._worker.process.sample()
        return ready

    def ask(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        collect: Callable[[Message], bool],
        left_s: float,
    ) -> Cancel | None:
        """Send a request and hand each message that answers it to `collect`, as it comes.

        `collect` returns whether the request is answered, and raises ViolationError for what is no
        part of its answer. `left_s` is what the plugin has left of its total time; what it waits
        for us is not counted. Returns the cancel that the worker obeyed, if there was one. Raises
        CrashError, also when the worker had to be killed.
        """
        if self._state is not _State.READY:
            raise CrashError("crashed", "the worker is not running")
        self._check_quiet()
        # it was looked at after its last answer, and had nothing to do since
        watch = Watch(self._plan.limits, left_s, self._worker.process.last.cpu_s)
        self._request += 1
        self._send({"type": kind, "id": self._request, **content}, time.monotonic() + _START_S)
        self._state = _State.BUSY
        answered, before = 0, self._worker.wire.received
        look = watch.next_look()
        while True:
            try:
                message = self._receive(look)
            except LateError:
                self._judge(watch)
                look = watch.next_look()
                continue
            arrived, before = self._worker.wire.received - before, self._worker.wire.received
            if isinstance(message, Ask):
                watch.pause(self._lend(message))
            else:
                answered += arrived
                if answered > self._plan.limits.output_mb << 20:
                    most = self._plan.limits.output_mb
                    self._die("output", f"it answered with more than {most} MB")
                done = self._judged(message, self._request, collect)
                watch.progress(self._worker.process)
                if done:
                    self._state = _State.READY
                    kind, reason = self._worker.overfull()
                    if kind:
                        self._die(kind, reason)
                    return watch.cancelled
            if time.monotonic() >= look:  # one that never stops talking is looked at all the same
                self._judge(watch)
                look = watch.next_look()

    def post(self, kind: str, content: dict[str, Any]) -> int:
        """Send a request ahead, without waiting for its answer; return its number.

        Raises CrashError.
        """
        if self._state not in {_State.READY, _State.BUSY}:
            raise CrashError("crashed", "the worker is not running")
        self._request += 1
        message = {"type": kind, "id": self._request, **content}
        # of a worker that ended the answers are read first: its end belongs to the oldest without
        self._send(message, time.monotonic() + _STOP_S, may_be_gone=bool(self._open))
        self._open.append(self._request)
        self._state = _State.BUSY
        return self._request

    def next_answer(self, deadline: float) -> Message | None:
        """Return the answer to the oldest request that was sent ahead; None after a question.

        The caller looks at its clocks then: questions have no end of their own. Raises LateError,
        CrashError.
        """
        if not self._open:
            self._check_quiet()
            raise LateError
        message = self._receive(deadline)
        if isinstance(message, Ask):
            self._lend(message)
            return None
        answer = self._judged(message, self._open[0], lambda one: one)
        self._open.popleft()
        if not self._open:
            self._state = _State.READY
        return answer

    def interrupt(self) -> None:
        """Tell the worker to end the call that it is in."""
        self._worker.process.interrupt()

    def check_use(self) -> Sample:
        """Look at what the worker uses. Raises CrashError when it is over a limit."""
        sample = self._worker.process.sample()
        kind, reason = self._worker.overuse(sample)
        if kind:
            self._die(kind, reason)
        return sample

    def violation(self, reason: str) -> NoReturn:
        """Kill a worker whose answer cannot be one. Raises CrashError."""
        self._die("protocol", f"it broke the protocol: {reason}")

    @property
    def channel(self) -> int:
        """Return the descriptor that is readable when the worker has said something."""
        return self._worker.wire.descriptor

    def close(self) -> None:
        """Ask the worker to end, and kill it if it does not; delete its folder."""
        if self._state is _State.READY:
            deadline = time.monotonic() + _STOP_S
            with contextlib.suppress(CrashError, LateError):
                self._check_quiet()
                self._worker.process.sample()
                self._send({"type": "shutdown"}, deadline)
                self._expect(Bye, deadline, what="its end")
                self._worker.wire.drain()
        self._end()

    def kill(self) -> None:
        """Kill the worker at once and delete its folder."""
        self._end()

    def abort(self) -> None:
        """Kill the worker from any thread; the thread that asks it then sees that it is gone."""
        self._worker.process.abort()

    def _take_proxy(self, deadline: float) -> None:
        """Take the socket on which the worker's connections arrive."""
        self._worker.wire.expects_descriptors = True
        self._expect(Listening, deadline, what="its listening socket")
        if not self._worker.serve_connections():
            self.violation("it sent no socket, or more than one")

    def _expect(self, kind: type[_Kind], deadline: float, *, what: str) -> _Kind:
        """Return the next message, which must be of one type."""
        while True:
            try:
                message = self._receive(min(deadline, time.monotonic() + TICK_S))
                if not (isinstance(message, Ask) and self._state is _State.LOCKED):
                    break
                deadline += self._lend(message)
            except LateError:
                pass
            if time.monotonic() >= deadline:
                self._die("timeout", f"{what} took too long")
            self.check_use()
        if isinstance(message, Refused) and self._state is _State.NEW:
            self._end()
            raise LayerRefusedError(clean(message.layer, 40), clean(message.reason, 300))
        if isinstance(message, Failed) and self._state is _State.LOCKED:
            output = clean(message.traceback, 8192)
            reason = clean(message.message, 1000)
            if message.kind == "config":
                self._end()
                raise ConfigError(f"{self._plan.full_id}: {reason}")
            self._die("start", f"it cannot be started: {reason}", output=output)
        if not isinstance(message, kind):
            self.violation(f"it sent {_name(message)} instead of {what}")
        return message

    def _send(self, message: dict[str, Any], deadline: float, *, may_be_gone: bool = False) -> None:
        try:
            data = encode(message, limit=MOST_FROM_HOST)
        except FrameError as error:
            self._die("input", f"it was not asked: {error}")
        self._send_raw(data, deadline, may_be_gone=may_be_gone)

    def _send_raw(self, data: bytes, deadline: float, *, may_be_gone: bool = False) -> None:
        try:
            self._worker.wire.send(data, deadline=deadline)
        except GoneError:
            if not may_be_gone:
                self._gone()
        except LateError:
            self._die("timeout", "it did not take a request in time")

    def _receive(self, deadline: float) -> Message:
        try:
            return parse(self._worker.wire.receive(deadline=deadline))
        except GoneError:
            self._gone()
        except (FrameError, ViolationError) as error:
            self.violation(f"it sent {clean(str(error), 200)}")

    def _judged(self, message: Message, number: int, judge: Callable[[Message], _Kind]) -> _Kind:
        """Return the judgement of a message that must belong to a request; kill if it cannot be."""
        try:
            if getattr(message, "id", None) != number:
                raise ViolationError(f"{_name(message)} while request {number} was open")
            return judge(message)
        except ViolationError as error:
            self.violation(f"it sent {clean(str(error), 200)}")

    def _lend(self, ask: Ask) -> float:
        """Serve what the plugin asked for; return how long it waited for what it got.

        A refusal is nothing to wait for: who asks in vain without end pays with its own time.
        """
        began = time.monotonic()
        content: dict[str, Any] | None = None
        error: dict[str, str] | None = None
        try:
            if self._lender is None:
                raise LendError("not_available", f"{ask.kind} is not lent to this plugin")
            content = self._lender.lend(ask.kind, ask.content)
        except LendError as problem:
            error = {"kind": problem.kind, "message": clean(str(problem), 1000)}
        reply = {"type": "reply", "call": ask.call, "content": content, "error": error}
        self._send(reply, time.monotonic() + _START_S)
        in_vain = error is not None and error["kind"] in {"not_available", "budget"}
        return 0.0 if in_vain else time.monotonic() - began

    def _check_quiet(self) -> None:
        try:
            quiet = self._worker.wire.is_quiet()
            self._worker.wire.drain()
        except GoneError:
            self._gone()
        except FrameError as error:
            self.violation(f"it sent {clean(str(error), 200)}")
        if not quiet:
            self.violation("it sent something that nobody asked for")

    def _judge(self, watch: Watch) -> None:
        """Look at a worker that is silent: cancel it or kill it if it is over a limit."""
        if watch.must_die():
            cancel = watch.cancelled
            assert cancel is not None  # noqa: S101
            self._die(cancel.kind, f"{cancel.reason} and did not stop when it was told to")
        sample = self.check_use()
        if watch.is_over(sample.cpu_s):
            self._send({"type": "cancel", "id": self._request}, time.monotonic() + CANCEL_S)
            self._worker.process.interrupt()

    def _gone(self) -> NoReturn:
        self._die(*self._worker.why_gone())

    def _die(self, kind: str, reason: str, *, output: str = "") -> NoReturn:
        self._worker.wire.drain()
        printed = output or self._worker.wire.tail
        self._end()
        raise CrashError(kind, reason, output=clean(printed[-8192:], 8192))

    def _end(self) -> None:
        if self._state is _State.DEAD:
            return
        was_stopping = self._state is _State.READY
        self._state = _State.DEAD
        if was_stopping:
            self._worker.wait_for_end()
        self._worker.end()


def _name(message: object) -> str:
    return f"{type(message).__name__.lower()!r}"
