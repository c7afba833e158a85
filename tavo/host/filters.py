"""Proxy filters at work: messages in from any thread, decisions out, each within its deadline.

Rules this module keeps:
- calls are sent ahead and answered in their order; the deadline of a call begins when it is
  handed in, because that is how long its message waits;
- a call that is late fails at its deadline; the worker is told to end it, and killed 250 ms later;
- when a worker dies, the call that it was in fails, and those behind it go to the next worker;
- a failure is never a decision: what it means for the message is the policy of whoever asks;
- the filter's own thread owns the worker; nothing else touches it.

Units: deadlines in milliseconds where the name says so, otherwise times in seconds of the
monotonic clock.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tavo.errors import TavoError
from tavo.host.batches import Failure
from tavo.host.bounds import CANCEL_S, TICK_S
from tavo.host.hosted import BY_ITSELF, HostedPlugin
from tavo.host.judgements import check_filter
from tavo.host.messages import Filtered, Message, Ready
from tavo.host.session import CrashError
from tavo.host.wire import LateError
from tavo.plugins.plain_values import request_to_plain, response_to_plain
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse, FilterResult

__all__ = ["FilterFailedError", "FilterWorker"]

_MOST_AHEAD = 8
_MOST_WAITING = 1024


class FilterFailedError(Exception):
    """A filter gave no decision. `failure` says why; `kind` is `deadline` where it was late."""

    def __init__(self, full_id: str, failure: Failure) -> None:
        super().__init__(f"{full_id}: {failure.reason}")
        self.full_id = full_id
        self.failure = failure


@dataclass(slots=True, eq=False)
class _Call:
    content: dict[str, Any]
    messages: Sequence[ChatMessage]
    deadline: float
    future: Future[FilterResult] = field(default_factory=Future)
    number: int = 0
    is_late: bool = False


class FilterWorker(HostedPlugin):
    """Runs one proxy filter. Unlike the other types it may be called from any thread."""

    plugin_type: ClassVar[str] = "proxy"

    def __init__(self, *arguments: Any, deadline_ms: int | None = None, **options: Any) -> None:
        """Prepare; `deadline_ms` replaces what the plugin asks for. Raises as `HostedPlugin`."""
        super().__init__(*arguments, **options)
        self.deadline_ms = deadline_ms or 0
        self._waiting: deque[_Call] = deque()
        self._ahead: deque[_Call] = deque()
        self._lock = threading.Lock()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._dies_at = 0.0

    def __exit__(self, *_: object) -> None:
        self.close()  # only the filter's own thread may touch the worker before it has ended

    def filter_request(self, request: ChatRequest) -> FilterResult:
        """Have a request judged, and wait for it. Raises FilterFailedError."""
        return self.submit(request).result()

    def filter_response(self, response: ChatResponse) -> FilterResult:
        """Have a response judged, and wait for it. Raises FilterFailedError."""
        return self.submit(response).result()

    def submit(self, message: ChatRequest | ChatResponse) -> Future[FilterResult]:
        """Hand a message in; the future has the decision, or raises FilterFailedError.

        Call `start` before: the first message must not wait for a process to start. Raises
        RuntimeError where the filter was not started.
        """
        if self._thread is None:
            raise RuntimeError(f"{self.full_id}: submit before start")
        if isinstance(message, ChatRequest):
            content = {"phase": "request", "request": request_to_plain(message)}
            judged = message.messages
        else:
            content = {
                "phase": "response",
                "request": request_to_plain(message.request),
                "response": response_to_plain(message),
            }
            judged = message.messages
        call = _Call(content, judged, time.monotonic() + self.deadline_ms / 1000)
        with self._lock:
            full = len(self._waiting) >= _MOST_WAITING
            if not full and not self._is_closing:
                self._waiting.append(call)
        if full or self._is_closing:
            reason = "too many messages wait for it" if full else "it is being stopped"
            self._fail(call, Failure(kind="disabled", reason=reason))
        else:
            self._wake()
        return call.future

    def start(self) -> None:
        """Start the plugin and the thread that serves it.

        Raises SandboxUnavailableError, ConfigError; a plugin that does not start is `disabled`.
        """
        super().start()
        if self._thread is None:
            name = f"tavo-filter-{self.full_id}"
            self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Answer nothing more, stop the worker. What still waits fails."""
        self._is_closing = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._fail_all()
        super().close()
        for descriptor in (self._wake_reader, self._wake_writer):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _serve(self) -> None:
        began = time.thread_time()
        try:
            while not self._is_closing:
                self._expire()
                self._send_ahead()
                self._wait()
                self._take_answers()
        finally:  # also when a defect of ours ends this thread: nobody may wait for ever
            self._is_closing = True
            self.statistics.host_cpu_s += time.thread_time() - began
            self._fail_all()

    def _wait(self) -> None:
        """Wait until a message was handed in, the worker answered, or a deadline is there."""
        poll = select.poll()
        poll.register(self._wake_reader, select.POLLIN)
        if self._session is not None and self._ahead:
            poll.register(self._session.channel, select.POLLIN)
        now = time.monotonic()
        ends = [call.deadline for call in (*self._ahead, *self._waiting) if not call.is_late]
        if self._dies_at:
            ends.append(self._dies_at)
        if self._ahead:
            ends.append(now + TICK_S)
        timeout = max(min(ends) - now, 0.0) * 1000 if ends else None
        poll.poll(timeout)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_reader, 4096)

    def _expire(self) -> None:
        """Fail what is late; have the worker end or kill it where it is in such a call."""
        now = time.monotonic()
        with self._lock:
            late = [call for call in self._waiting if call.deadline <= now]
            for call in late:
                self._waiting.remove(call)
        for call in (*late, *(call for call in self._ahead if call.deadline <= now)):
            if not call.is_late:
                call.is_late = True
                reason = f"it took longer than {self.deadline_ms} ms"
                self._fail(call, Failure(kind="deadline", reason=reason))
        if self._ahead and self._ahead[0].is_late and self._session is not None:
            if not self._dies_at:
                self._dies_at = now + CANCEL_S
                self._cancel(self._ahead[0].number)
            elif now >= self._dies_at:
                self._died(CrashError("deadline", "it did not stop when it was told to"))

    def _cancel(self, number: int) -> None:
        assert self._arena is not None  # noqa: S101
        assert self._session is not None  # noqa: S101
        self._arena.fill([number.to_bytes(8, "little")])
        self._session.interrupt()

    def _send_ahead(self) -> None:
        while len(self._ahead) < _MOST_AHEAD:
            with self._lock:
                if not self._waiting:
                    return
                call = self._waiting.popleft()
            if not self._runs():
                self._fail(call, Failure(kind="disabled", reason=self.disabled))
                continue
            assert self._session is not None  # noqa: S101
            self.statistics.calls += 1
            self._ahead.append(call)
            try:
                call.number = self._session.post("filter", call.content)
            except CrashError as error:
                self._died(error)

    def _runs(self) -> bool:
        try:
            return self._can_go_on()
        except (TavoError, OSError) as error:  # it ran before: the system changed under us
            self.disabled = str(error)
            return False

    def _take_answers(self) -> None:
        while self._ahead and self._session is not None:
            call = self._ahead[0]
            try:
                answer = self._session.next_answer(time.monotonic())
                if answer is None:
                    self._expire()
                else:
                    self._answered(call, answer)
            except LateError:
                try:
                    self._session.check_use()
                except CrashError as error:
                    self._died(error)
                return
            except CrashError as error:
                self._died(error)
                return

    def _answered(self, call: _Call, message: Message) -> None:
        assert self._session is not None  # noqa: S101
        if not isinstance(message, Filtered) or (message.result is None) == (message.error is None):
            self._session.violation("it sent something else than a decision or an error")
        self._ahead.popleft()
        self._dies_at = 0.0
        if call.is_late:
            return
        if message.result is None:
            error = message.error
            assert error is not None  # noqa: S101
            if error.kind == "raised":
                self._fail(call, self._failure(error))
            else:
                self._fail(call, BY_ITSELF)
            return
        try:
            call.future.set_result(check_filter(message.result, call.messages))
        except ValueError as problem:
            reason = f"its answer is not valid: {problem}"
            self._fail(call, Failure(kind="invalid", reason=reason))

    def _died(self, crash: CrashError) -> None:
        """Fail the call that the worker died in; hand the others to the next worker."""
        self._dies_at = 0.0
        self._count_crash(crash)
        self._end_session()
        if self._ahead:
            guilty = self._ahead.popleft()
            failure = Failure(kind=crash.kind, reason=crash.reason, output=crash.output)
            self._fail(guilty, failure)
        with self._lock:
            self._waiting.extendleft(call for call in reversed(self._ahead) if not call.is_late)
        self._ahead.clear()

    def _count_crash(self, crash: CrashError) -> None:
        """Count, and go on: who sends a message must not be able to switch the filter off."""
        self.statistics.crashes += 1

    def _fail(self, call: _Call, failure: Failure) -> None:
        if not call.future.done():
            self.statistics.skipped += 1
            call.future.set_exception(FilterFailedError(self.full_id, failure))

    def _fail_all(self) -> None:
        with self._lock:
            left = [*self._ahead, *self._waiting]
            self._ahead.clear()
            self._waiting.clear()
        for call in left:
            self._fail(call, Failure(kind="disabled", reason="it is being stopped"))

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_writer, b"!")

    def _take(self, ready: Ready) -> None:
        self.deadline_ms = self.deadline_ms or ready.deadline_ms
