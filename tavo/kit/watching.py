"""What a plugin does in a rehearsal that its manifest must ask for, and what it prints.

Rules this module keeps:
- it is telemetry for honest authors, no boundary: the interpreter's audit hook does not see what
  compiled code does, and a hostile plugin can lie to it. The sandbox is the boundary;
- what Python's library and the plugin's dependencies do for themselves is not the plugin's.

Standard library only: it runs beside the plugin.
"""

from __future__ import annotations

import inspect
import io
import os
import sys
from pathlib import Path
from typing import Any

from tavo.plugins.errors import NotAvailableError
from tavo.plugins.plain import permission_asked

__all__ = ["NOTHING_LENT", "Printed", "Seen"]

NOTHING_LENT = "nothing is lent in a rehearsal"
_MOST_SEEN = 20
_MOST_PRINTED = 200


class Seen:
    """What the interpreter reported that needs a permission: in `names`, by permission.

    `folder` holds the plugin's files, `work` is its scratch folder. It watches from when it is made
    until the process ends.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self.names: dict[str, set[str]] = {}
        needed = [
            place
            for name, module in list(sys.modules.items())
            if name.startswith("tavo_plugins.")
            for place in module.__path__
        ]
        inside = [
            str(folder.parent),
            str(work),
            os.getcwd(),
            "/dev/",
            "/usr/share/zoneinfo",
            "/etc/localtime",
            f"{sys.base_prefix}/lib",
            *filter(None, sys.path),
            *needed,
        ]
        self._inside = tuple(dict.fromkeys(os.path.realpath(path) for path in inside))
        self._own = os.path.realpath(folder.parent)  # its files, and its dependencies beside them
        self._code = (str(folder) + os.sep, os.path.realpath(folder) + os.sep)
        sys.addaudithook(self._hook)
        self._watch_environment()

    def add(self, kind: str, name: object) -> None:
        """Note one thing, up to a bound."""
        names = self.names.setdefault(kind, set())
        if len(names) < _MOST_SEEN:
            names.add(ascii(name)[1:-1][:200] if isinstance(name, str) else ascii(name)[:200])

    def ask(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Note what a plugin asks the host for; it gets nothing in a rehearsal."""
        self.add(*permission_asked(kind, content))
        raise NotAvailableError(NOTHING_LENT)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in {"open", "os.listdir", "os.scandir"}:
            self._path(arguments[0])
        elif event in {"socket.connect", "socket.sendto"}:
            address = arguments[1]
            self.add("network", address[0] if isinstance(address, tuple) else address)
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            if arguments[0]:
                self.add("network", arguments[0])
        elif event == "urllib.Request":
            self.add("network", str(arguments[0]).partition("://")[2].partition("/")[0])
        elif event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn"}:
            name = arguments[0] if event != "os.spawn" else arguments[1]
            self.add("subprocess", os.path.basename(os.fsdecode(name)) if name else "?")
        elif event == "os.system":
            self.add("subprocess", str(arguments[0]).split(" ")[0])
        elif event in {"os.fork", "os.forkpty"}:
            self.add("subprocess", event)
        elif event == "ctypes.dlopen" and arguments[0]:
            self.add("native_code", arguments[0])
        elif event == "import" and arguments[1]:
            place = str(arguments[1])
            if place.startswith(self._own) or not self._is_inside(place):
                self.add("native_code", arguments[0])

    def _path(self, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            text = os.path.abspath(os.fsdecode(path))
            if not self._is_inside(text):
                self.add("files", text)

    def _is_inside(self, path: str) -> bool:
        return os.path.realpath(path).startswith(self._inside)

    def _watch_environment(self) -> None:
        """Note which variables the plugin's own code asks for.

        What Python's library and the dependencies look up is theirs: nearly all ask for HOME or
        LANG, and get what the worker has, which is nothing of the user's.
        """
        kind = type(os.environ)
        original = kind.__getitem__

        def watched(environment: Any, name: Any) -> Any:
            frame = inspect.currentframe()
            while frame is not None and (
                frame.f_code.co_filename == __file__
                or os.path.basename(frame.f_code.co_filename) in {"os.py", "_collections_abc.py"}
                or frame.f_code.co_filename.startswith("<frozen")
            ):
                frame = frame.f_back
            if frame is not None and frame.f_code.co_filename.startswith(self._code):
                self.add("env", name)
            return original(environment, name)

        kind.__getitem__ = watched  # type: ignore[method-assign]


class Printed(io.TextIOBase):
    """Takes what the plugin prints, and keeps its beginning."""

    def __init__(self) -> None:
        self.text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if len(self.text) < _MOST_PRINTED:
            self.text += text[:_MOST_PRINTED]
        return len(text)
