"""The worker's side of `tavo-worker/1`: one plugin, one process, one call at a time.

Rules this module keeps:
- it starts when the sandbox is on; `configure` is the first message that names plugin code;
- every request is answered exactly once, also after a cancel, in the order they came;
- a message out of turn ends the process: the host would not have sent it;
- nothing that the plugin raises ends the loop, except an exit of the whole process;
- standard library only.

What this module checks serves honest plugins. The host believes none of it and checks again.
Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tavo.plugins.errors import (
    BudgetError,
    ConfigError,
    HttpError,
    NotAvailableError,
    PluginError,
    ProgramError,
    ProjectFileError,
    TargetError,
)
from tavo.plugins.frames import (
    MOST_FROM_HOST,
    MOST_FROM_WORKER,
    FrameError,
    FrameReader,
    decode,
    encode,
)
from tavo.plugins.interfaces import BasePlugin, Context
from tavo.plugins.plain import clip, rule_to_plain
from tavo.plugins.raised import describe
from tavo.plugins.serve.calls import Calls, Served
from tavo.plugins.types import Rule

__all__ = ["PROTOCOL_EXIT", "Worker", "class_of"]

PROTOCOL_EXIT = 98
_BASES = {
    "static": "StaticAnalysisPlugin",
    "dynamic": "DynamicTestingPlugin",
    "proxy": "ProxyFilteringPlugin",
    "log": "LogAnalysisPlugin",
}
_REFUSALS: dict[str, type[PluginError]] = {
    "budget": BudgetError,
    "target": TargetError,
    "http": HttpError,
    "file": ProjectFileError,
    "program": ProgramError,
    "not_available": NotAvailableError,
}


_Plugin = TypeVar("_Plugin", bound=BasePlugin)


class Worker:
    """Serves one host over the file descriptor `channel`; content lies in `arena`."""

    def __init__(self, *, channel: int, arena: int) -> None:
        self._channel = channel
        self._arena = arena
        self._work_directory = Path()
        self._reader = FrameReader(MOST_FROM_HOST)
        self._waiting: deque[dict[str, Any]] = deque()
        self._plugin: BasePlugin | None = None
        self._served: Served | None = None
        self._calls = Calls()
        self._folder = ""
        self._asking = threading.Lock()
        self._asked = 0
        self._lending = False
        self._answered = 0

    def run(self, work_directory: Path) -> None:
        """Answer the host until it says shutdown or closes its end."""
        self._work_directory = work_directory
        while (message := self._next()) is not None:
            kind = message["type"]
            if kind == "shutdown":
                self._shutdown()
                return
            if kind == "configure" and self._served is None:
                if not self._configure(message):
                    return
            elif self._served is not None and kind in self._served.requests:
                if message["id"] != self._answered + 1:
                    _violation(f"request {message['id']} after {self._answered}")
                self._lending = True
                self._served.answer(message)
                self._lending = False
                self._answered = message["id"]
            elif kind == "cancel" and message["id"] <= self._answered:
                continue  # it crossed our answer on its way
            else:
                _violation(f"{kind} is out of turn")

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next message; None when the host has closed its end."""
        while (body := self._reader.take()) is None:
            data = os.read(self._channel, 1 << 20)
            if not data:
                return None
            self._reader.feed(data)
        return decode(body)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the host."""
        self._write(encode(message, limit=MOST_FROM_WORKER))

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Ask the host for something in the middle of a call, and wait for it.

        Raises what the host's refusal stands for, a PluginError.
        """
        if not self._lending:
            raise NotAvailableError("the host lends nothing outside of a call")
        with self._asking:
            self._asked += 1
            number = self._asked
            try:
                self.send({"type": "ask", "call": number, "kind": kind, "content": content})
            except FrameError as error:
                raise PluginError(f"too large for the host: {error}") from error
            while True:
                message = self._receive_interruptibly()
                if message["type"] != "reply":
                    # a request that was sent ahead, or a cancel: their turn is later
                    self._waiting.append(message)
                elif message["call"] == number:
                    break
                elif message["call"] > number:
                    _violation(f"reply {message['call']} to question {number}")
        if message["error"] is not None:
            kind = message["error"]["kind"]
            raise _REFUSALS.get(kind, PluginError)(message["error"]["message"])
        content = message["content"]
        return content if isinstance(content, dict) else {}

    def _next(self) -> dict[str, Any] | None:
        if self._waiting:
            return self._waiting.popleft()
        while (message := self.receive()) is not None and message["type"] == "reply":
            continue  # to a question whose call was cancelled
        return message

    def _receive_interruptibly(self) -> dict[str, Any]:
        """Wait for a message in the middle of a call; a cancel may end the wait, losing nothing."""
        while True:
            with self._calls.shielded():
                body = self._reader.take()
            if body is not None:
                return decode(body)
            select.select([self._channel], [], [])
            with self._calls.shielded():
                data = os.read(self._channel, 1 << 20)
                if not data:
                    os._exit(0)
                self._reader.feed(data)

    def _write(self, data: bytes) -> None:
        with self._calls.shielded():
            view = memoryview(data)
            while view:
                view = view[os.write(self._channel, view) :]

    def _configure(self, message: dict[str, Any]) -> bool:
        began = time.monotonic()
        try:
            plugin_type = message["plugin_type"]
            os.environ.update(message["environment"])  # the variables that the user granted
            # a filter's calls are sent ahead, so a cancel must name the call that it means
            self._folder = message["plugin_folder"]
            self._calls = Calls(self._arena if plugin_type == "proxy" else -1, self._folder)
            gc.enable()  # it was off while our own modules were made
            if hasattr(signal, "SIGUSR1"):
                signal.signal(signal.SIGUSR1, self._calls.interrupt)
            self._plugin = _load(
                message["entry_point"], self._folder, message["dependency_folders"],
                _BASES[plugin_type], message["needs"],
            )  # fmt: skip
            config = message["config"]
            context = Context(config=config, work_directory=self._work_directory, lend=self.lend)
            self._lending = True
            self._plugin.start(context)
            self._lending = False
            gc.freeze()  # what is here stays; it need not be looked at again
            served = self._serve(plugin_type, self._plugin, config)
            ready = {
                "type": "ready",
                "rules": [rule_to_plain(rule) for rule in self._plugin.rules],
                "start_ms": round((time.monotonic() - began) * 1000),
                **served.ready(),
            }
            self.send(ready)
            self._served = served
        except BaseException as error:  # noqa: BLE001
            kind = "config" if isinstance(error, ConfigError) else "start"
            self.send({"type": "failed", "kind": kind, **describe(error, self._folder)})
            return False
        return True

    def _serve(self, plugin_type: str, plugin: Any, config: Mapping[str, Any]) -> Served:
        if plugin_type == "static":
            from tavo.plugins.serve.static import ServedStatic

            return ServedStatic(plugin, arena=self._arena, calls=self._calls, write=self._write)
        if plugin_type == "dynamic":
            from tavo.plugins.serve.dynamic import ServedDynamic

            return ServedDynamic(
                plugin, config=config, calls=self._calls, send=self.send, lend=self.lend
            )
        if plugin_type == "proxy":
            from tavo.plugins.serve.proxy import ServedProxy

            return ServedProxy(plugin, calls=self._calls, send=self.send)
        from tavo.plugins.serve.log import ServedLog

        return ServedLog(plugin, calls=self._calls, send=self.send)

    def _shutdown(self) -> None:
        if self._plugin is not None:
            try:
                self._plugin.stop()
            except BaseException as error:  # noqa: BLE001
                sys.stderr.write(f"error: stop: {describe(error, self._folder)['message']}\n")
        self.send({"type": "bye"})


def _load(
    entry_point: str,
    folder: str,
    dependencies: Sequence[str],
    base: str,
    needs: Mapping[str, str],
) -> BasePlugin:
    from tavo.plugins import interfaces

    sys.path[:0] = [folder]
    sys.path += dependencies
    _offer(needs)
    plugin: BasePlugin = class_of(entry_point, getattr(interfaces, base))()
    return plugin


def class_of(entry_point: str, wanted: type[_Plugin]) -> type[_Plugin]:
    """Import the class of an entry point. Raises TypeError that says what is wrong with it."""
    module_name, _, class_name = entry_point.partition(":")
    module = importlib.import_module(module_name)
    value = getattr(module, class_name, None)
    if value is None:
        there = [
            name for name, one in vars(module).items()
            if isinstance(one, type) and one.__module__ == module.__name__
        ]  # fmt: skip
        raise TypeError(
            f"{module_name} has no class {class_name}, which entry_point names; it has"
            f" {', '.join(there) or 'none'}"
        )
    if not (isinstance(value, type) and issubclass(value, wanted)):
        raise TypeError(f"{entry_point} is not a subclass of tavo.plugins.{wanted.__name__}")
    rules: object = value.rules
    if not isinstance(rules, tuple | list | set | frozenset):
        raise TypeError(
            f"{class_name}.rules is {clip(repr(rules), 100)}, expected a tuple of Rules"
        )
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(
                f"{class_name}.rules holds {clip(repr(rule), 100)}, expected tavo.plugins.Rule"
            )
    missing = sorted(getattr(value, "__abstractmethods__", ()))
    if missing:
        raise TypeError(f"{class_name} does not define {', '.join(missing)}")
    return value


def _offer(needs: Mapping[str, str]) -> None:
    """Make the folders of other plugins importable, as `tavo_plugins.<publisher>.<id>`."""
    for full_id, folder in needs.items():
        publisher, _, plugin = full_id.replace("-", "_").partition("/")
        _package("tavo_plugins", [])
        _package(f"tavo_plugins.{publisher}", [])
        _package(f"tavo_plugins.{publisher}.{plugin}", [folder])


def _package(name: str, folders: list[str]) -> None:
    if name in sys.modules:
        return
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = folders
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)


def _violation(problem: str) -> NoReturn:
    sys.stderr.write(f"tavo-worker/1: {problem}\n")
    sys.stderr.flush()
    os._exit(PROTOCOL_EXIT)
