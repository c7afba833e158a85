"""The processes of `tavo proxy serve`: one worker with its admin port, or several under a parent.

Rules this module keeps:
- SIGTERM and Ctrl-C drain, SIGHUP and a change of the file reload; a second SIGTERM or Ctrl-C cuts
  what is under way, and all the rest ends as it should; a third ends at once;
- the parent of several workers has no event loop and no threads, so that it can fork at any time;
  a worker that dies is forked again, with the configuration that all accepted last;
- workers and the admin process end when their parent is gone.

Units: times in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import msgspec

from tavo.errors import ConfigError, ExitCode, InputError, TavoError, about, exit_code_of
from tavo.proxy.admin import AdminServer, Fleet
from tavo.proxy.app import App, event_loop_factory, raise_file_limit
from tavo.proxy.audit import file_of_worker
from tavo.proxy.config import ProxyConfig, read_config
from tavo.proxy.fleet import ACCEPTED, CANDIDATE, Local, Remote, WorkerSocket, socket_of
from tavo.proxy.judging import WorkerOf
from tavo.proxy.sharing import Shared

__all__ = ["Serving", "serve"]

_LOOK_S = 1.0
_AGAIN_S = 0.5
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD} if sys.platform != "win32" else set()


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What is served: a configuration, the file that it came from, and where the token goes.

    `read` makes the bytes of that file into a configuration, with what the command line changes.
    `told` is called once with the ports when clients can come; `say` with each sentence after that.
    `worker_of` makes the workers of plugins, in the process that serves. `secret` see `Shared`.
    """

    config: ProxyConfig
    file: Path | None
    read: Callable[[bytes], ProxyConfig]
    token_file: Path
    told: Callable[[int, int], None]
    say: Callable[[str], None]
    worker_of: WorkerOf | None = None
    secret: bytes | None = None


def serve(serving: Serving) -> ExitCode:
    """Serve until a signal; return 0 after a clean end, 4 if exchanges had to be cut."""
    raise_file_limit()
    with about(serving.file):
        return _served(serving)


def _served(serving: Serving) -> ExitCode:
    if serving.config.workers == 1:
        return _run(_alone(serving))
    if not hasattr(os, "fork") or not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError(
            f"workers is {serving.config.workers}, and this system serves with one only",
            hint="Leave workers out, or run the proxy on Linux or macOS.",
        )
    return _Parent(serving).run()


# -- one process


async def _alone(serving: Serving) -> ExitCode:
    config = serving.config
    app = App(config, Shared(key=serving.secret), worker_of=serving.worker_of)
    await app.start()
    fleet = Local(app, _loader(serving.file, serving))
    admin = None
    try:
        admin = await _admin(serving, fleet)
        serving.told(app.port, admin.port if admin is not None else 0)
        await _until_signal(serving, fleet, app.hurry)
    finally:
        cut = await app.stop()
        if admin is not None:
            await admin.stop()
    return _ended(serving, cut)


async def _admin(serving: Serving, fleet: Fleet) -> AdminServer | None:
    if serving.config.admin.off:
        return None
    config = serving.config
    files = [] if config.audit is None else [
        file_of_worker(Path(config.audit.file), number) for number in range(config.workers)
    ]  # fmt: skip
    admin = AdminServer(fleet, serving.token_file, audit_files=files)
    await admin.start(serving.config.admin.port)
    return admin


async def _until_signal(serving: Serving, fleet: Fleet, hurry: Callable[[], None]) -> None:
    """Reload on SIGHUP and on a change of the file, until a signal says to end."""
    loop = asyncio.get_running_loop()
    ending, again = asyncio.Event(), asyncio.Event()
    _on(loop, _asked_to_end(ending, hurry), again.set)
    seen = changed = _state(serving.file)
    while not ending.is_set():
        waiting = asyncio.ensure_future(_first(ending, again))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waiting, _LOOK_S)
        now = _state(serving.file)
        settled, changed = now != seen and now == changed, now
        if again.is_set() or (settled and now is not None):
            again.clear()
            seen = now
            await _reload(serving, fleet)


def _asked_to_end(ending: asyncio.Event, hurry: Callable[[], None]) -> Callable[[], None]:
    """Return what a signal does: ask to end, then to hurry, then end whatever is under way."""
    count = 0

    def end() -> None:
        nonlocal count
        count += 1
        if count == 1:
            ending.set()
        elif count == 2:
            hurry()
        else:
            os._exit(int(ExitCode.INTERRUPTED))

    return end


async def _first(*events: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _on(
    loop: asyncio.AbstractEventLoop, end: Callable[[], None], again: Callable[[], None] | None
) -> None:
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(end))
        return
    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_signal_handler(signal.SIGINT, end)
    if again is not None:
        loop.add_signal_handler(signal.SIGHUP, again)


async def _reload(serving: Serving, fleet: Fleet) -> None:
    try:
        notes = await fleet.reload()
    except TavoError as error:
        serving.say(f"kept the old configuration: {error}")
        if error.hint:
            serving.say(f"  {error.hint}")
        return
    serving.say("reloaded the configuration")
    for note in notes:
        serving.say(f"  {note}")


def _ended(serving: Serving, cut: int) -> ExitCode:
    if cut:
        serving.say(f"ended; {cut} exchanges were cut off after {serving.config.limits.drain_s} s")
        return ExitCode.INCOMPLETE
    serving.say("ended; every exchange was complete")
    return ExitCode.OK


def _loader(source: Path | None, serving: Serving) -> Callable[[], ProxyConfig] | None:
    """Return what reads the configuration again; None where there is no file."""
    if source is None or serving.file is None:
        return None
    where = source
    return lambda: serving.read(read_config(where))


def _state(file: Path | None) -> tuple[int, int, int] | None:
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _run(main: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        return runner.run(main)


# -- several


class _Parent:
    """Forks the workers and the admin process, and looks after them."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._folder = Path(tempfile.mkdtemp(prefix="tavo-proxy-"))
        self._listener = _reserved(serving.config)
        port = self._listener.getsockname()[1]
        self._shared = Shared(serving.config.workers, port, serving.secret)
        self._port = port
        self._children: dict[int, int] = {}  # process to worker, -1 for the admin process
        self._admin_port = 0
        self._cut = 0

    def run(self) -> ExitCode:
        """Serve until a signal. Raises TavoError, with signals as they were, if that cannot be."""
        wanted = _ENDING | {signal.SIGHUP}
        handler = signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it is not discarded
        before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
        try:
            return self._served(wanted)
        except TavoError:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            signal.signal(signal.SIGCHLD, handler)
            raise

    def _served(self, wanted: set[signal.Signals]) -> ExitCode:
        try:
            for number in range(self._serving.config.workers):
                self._fork(number, first=True)
            self._fork(-1, first=True)  # it reads the file again, also without a port
            self._serving.told(self._port, self._admin_port)
            return self._look_after(wanted)
        finally:
            self._end()
            self._listener.close()
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
            self._folder.rmdir()

    def _look_after(self, wanted: set[signal.Signals]) -> ExitCode:
        while True:
            came = signal.sigwait(wanted)
            if came in (signal.SIGTERM, signal.SIGINT):
                self._end()
                return _ended(self._serving, self._cut)
            if came == signal.SIGHUP:
                for process, number in self._children.items():
                    if number < 0:
                        os.kill(process, signal.SIGHUP)
                continue
            self._reap()

    def _reap(self) -> None:
        """Fork again what has died."""
        for process, code in _reaped(self._children):
            number = self._children.pop(process)
            what = f"worker {number}" if number >= 0 else "the admin process"
            self._serving.say(f"{what} died ({code}) and is started again")
            if code > 0:
                time.sleep(_AGAIN_S)  # it could not start; do not try it all the time
            self._fork(number, first=False)

    def _fork(self, number: int, *, first: bool) -> None:
        readable, writable = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            os.close(readable)
            self._child(number, writable)
        os.close(writable)
        self._children[process] = number
        with os.fdopen(readable, "rb") as stream:
            if not first:
                return
            answer = stream.read()
        value: dict[str, Any] = msgspec.json.decode(answer) if answer else {"error": "it died"}
        if "error" in value:
            kind = ConfigError if value.get("code") == ExitCode.USAGE else InputError
            raise kind(str(value["error"]), hint=str(value.get("hint", "")))
        if number < 0:
            self._admin_port = value["port"]

    def _child(self, number: int, writable: int) -> None:
        """Be a worker, or the admin process, and never return."""
        code = int(ExitCode.DEFECT)
        try:
            for one in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
                signal.signal(one, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.Signals)
            main = self._worker(number, writable) if number >= 0 else self._asked(writable)
            code = int(_run(main))
        except TavoError as error:
            code = int(exit_code_of(error))
            _report(writable, {"error": str(error), "hint": error.hint, "code": code})
        finally:
            sys.stderr.flush()
            os._exit(code)

    async def _worker(self, number: int, writable: int) -> ExitCode:
        serving = self._serving
        accepted = self._folder / ACCEPTED
        load = _loader(accepted, serving)
        config = load() if load is not None and accepted.exists() else serving.config
        app = App(config, self._shared, worker=number, worker_of=serving.worker_of)
        await app.start()
        asked = WorkerSocket(app, _loader(self._folder / CANDIDATE, serving))
        await asked.start(socket_of(self._folder, number))
        _report(writable, {"ready": number})
        await _until_orphaned(app.hurry)
        asked.stop()
        cut = await app.stop()
        return ExitCode.INCOMPLETE if cut else ExitCode.OK

    async def _asked(self, writable: int) -> ExitCode:
        serving = self._serving
        fleet = Remote(
            self._folder, serving.config.workers, serving.file, serving.read,
            observes=serving.config.observe,
        )  # fmt: skip
        admin = await _admin(serving, fleet)
        _report(writable, {"port": admin.port if admin is not None else 0})
        try:
            orphaned = asyncio.ensure_future(_gone())
            ended = asyncio.ensure_future(_until_signal(serving, fleet, lambda: None))
            await asyncio.wait({orphaned, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if admin is not None:
                await admin.stop()
        return ExitCode.OK

    def _end(self) -> None:
        children, self._children = self._children, {}
        _tell(children, signal.SIGTERM)
        while children:
            for process, code in _reaped(children):
                number = children.pop(process)
                self._cut += number >= 0 and code != 0
            if children and signal.sigwait(_ENDING) != signal.SIGCHLD:
                _tell(children, signal.SIGTERM)  # whoever tells us to hurry, tells them


def _reaped(children: Iterable[int]) -> list[tuple[int, int]]:
    """Return which of these processes have ended, with their codes.

    Nobody else's: other rooms wait for children of this process, too.
    """
    ended = [(process, *os.waitpid(process, os.WNOHANG)) for process in children]
    return [(process, os.waitstatus_to_exitcode(code)) for process, found, code in ended if found]


def _tell(children: Iterable[int], what: signal.Signals) -> None:
    for process in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, what)


def _reserved(config: ProxyConfig) -> socket.socket:
    """Take the port for the workers, so that it is one that is free. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in config.listen.address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((config.listen.address, config.listen.port))
    except OSError as error:
        one.close()
        raise ConfigError(
            f"{config.listen.address}:{config.listen.port}: cannot listen there:"
            f" {error.strerror or error}",
            hint="Another program has the port; choose one with --port.",
        ) from error
    return one


def _report(writable: int, value: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(writable, msgspec.json.encode(value))
        os.close(writable)


async def _until_orphaned(hurry: Callable[[], None]) -> None:
    """Wait for SIGTERM, or for the end of the parent."""
    ending = asyncio.Event()
    _on(asyncio.get_running_loop(), _asked_to_end(ending, hurry), None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gone = asyncio.ensure_future(_gone())
    await asyncio.wait(
        {gone, asyncio.ensure_future(ending.wait())}, return_when=asyncio.FIRST_COMPLETED
    )


async def _gone() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(_LOOK_S)
