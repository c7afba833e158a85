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
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tavo.plugins.errors import (
    BudgetError,
    ConfigError,
    HttpError,
    NotAvailableError,
    PluginError,
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
from tavo.plugins.plain import rule_to_plain
from tavo.plugins.serve.calls import Calls, Served, describe
from tavo.plugins.types import Rule

__all__ = ["PROTOCOL_EXIT", "Worker"]

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
    "not_available": NotAvailableError,
}


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
            self._calls = Calls(self._arena if plugin_type == "proxy" else -1)
            gc.enable()  # it was off while our own modules were made
            if hasattr(signal, "SIGUSR1"):
                signal.signal(signal.SIGUSR1, self._calls.interrupt)
            self._plugin = _load(
                message["entry_point"], message["plugin_folder"], message["dependency_folders"],
                _BASES[plugin_type],
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
            self.send({"type": "failed", "kind": kind, **describe(error)})
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
                sys.stderr.write(f"error: stop: {describe(error)['message']}\n")
        self.send({"type": "bye"})


def _load(entry_point: str, folder: str, dependencies: Sequence[str], base: str) -> BasePlugin:
    from tavo.plugins import interfaces

    sys.path[:0] = [folder]
    sys.path += dependencies
    module_name, _, class_name = entry_point.partition(":")
    value = getattr(importlib.import_module(module_name), class_name, None)
    wanted: type[BasePlugin] = getattr(interfaces, base)
    if not (isinstance(value, type) and issubclass(value, wanted)):
        raise TypeError(f"{entry_point} is not a subclass of tavo.plugins.{base}")
    for rule in value.rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"{class_name}.rules holds {rule!r}, expected tavo.plugins.Rule")
    plugin: BasePlugin = value()
    return plugin


def _violation(problem: str) -> NoReturn:
    sys.stderr.write(f"tavo-worker/1: {problem}\n")
    sys.stderr.flush()
    os._exit(PROTOCOL_EXIT)
