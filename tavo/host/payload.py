"""The code that a worker starts with, sent to it over the wire.

Rules this module keeps:
- what a worker runs of ours is this list of modules, the standard library aside;
- the code is found through the import system, so that it works from a folder, a zip file and an
  unpacked .pyz alike;
- compiled code goes only to the very interpreter that compiled it, source text to any other.
"""

from __future__ import annotations

import functools
import importlib.util
import marshal
import sys
from importlib.abc import InspectLoader
from pathlib import Path

__all__ = ["BOOT", "MODULES", "PROGRAM_BOOT", "payload"]

MODULES = (
    "tavo",
    "tavo.plugins",
    "tavo.plugins.errors",
    "tavo.plugins.levels",
    "tavo.plugins.types",
    "tavo.plugins.values",
    "tavo.plugins.interfaces",
    "tavo.plugins.frames",
    "tavo.plugins.plain",
    "tavo.plugins.plain_values",
    "tavo.plugins.raised",
    "tavo.plugins.serve",
    "tavo.plugins.serve.calls",
    "tavo.plugins.serve.static",
    "tavo.plugins.serve.dynamic",
    "tavo.plugins.serve.proxy",
    "tavo.plugins.serve.log",
    "tavo.plugins.worker",
    "tavo.host",
    "tavo.host.sandbox",
    "tavo.host.sandbox.syscalls",
    "tavo.host.sandbox.seccomp",
    "tavo.host.sandbox.landlock",
    "tavo.host.sandbox.namespaces",
    "tavo.host.sandbox.loopback",
    "tavo.host.sandbox.apply",
    "tavo.host.zygote_boot",
    "tavo.host.worker_boot",
)
_OF_PROGRAMS = (
    "tavo",
    "tavo.host",
    "tavo.host.sandbox",
    "tavo.host.sandbox.syscalls",
    "tavo.host.sandbox.seccomp",
    "tavo.host.sandbox.landlock",
    "tavo.host.sandbox.namespaces",
    "tavo.host.sandbox.apply",
    "tavo.host.program_boot",
)

# What `python -c` runs in the worker. It reads the payload and makes its modules importable. The
# module `inspect` is a fifth of the start, and dataclasses needs it only for a class without text:
# dataclasses alone gets one that is loaded when it is used.
_TAKE_MODULES = """
import gc, os, sys, marshal
gc.disable()
from importlib.machinery import ModuleSpec
channel, number = int(sys.argv[1]), int(sys.argv[2])
def take(count):
    pieces = []
    while count:
        piece = os.read(channel, min(count, 1 << 20))
        if not piece:
            os._exit(96)
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
modules = marshal.loads(take(int.from_bytes(take(4), "big")))
class Sent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in modules:
            return ModuleSpec(name, Sent, is_package=modules[name][0])
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        exec(modules[module.__name__][1], module.__dict__)
sys.meta_path.insert(0, Sent)
"""
_WITHOUT_INSPECT = """
class Late(type(sys)):
    def __getattr__(self, name):
        if sys.modules.get("inspect") is self:
            del sys.modules["inspect"]
        import inspect
        return getattr(inspect, name)
late = sys.modules["inspect"] = Late("inspect")
import dataclasses
if sys.modules.get("inspect") is late:
    del sys.modules["inspect"]
sys.argv[:] = ["tavo-worker"]
"""
BOOT = f"""{_TAKE_MODULES}{_WITHOUT_INSPECT}
from tavo.host.worker_boot import main
main(channel, number)
"""
# The same for a process that becomes a plugin's program; its second number is the host's.
PROGRAM_BOOT = f"""{_TAKE_MODULES}
from tavo.host.program_boot import main
main(channel, number)
"""


def payload(python: Path, *, program: bool = False) -> bytes:
    """Return the bytes to send to a worker that runs this interpreter, length in front.

    `program`: to a process that becomes a program.
    """
    return _payload(_OF_PROGRAMS if program else MODULES, compiled=python == Path(sys.executable))


@functools.cache
def _payload(names: tuple[str, ...], *, compiled: bool) -> bytes:
    modules: dict[str, tuple[bool, object]] = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        # every loader of files and zips has these three; the one of zips is no InspectLoader
        loader: InspectLoader | None = getattr(spec, "loader", None)
        if loader is None or not hasattr(loader, "get_code"):
            raise ImportError(f"the code of {name} cannot be found")
        code = loader.get_code(name) if compiled else loader.get_source(name)
        modules[name] = (loader.is_package(name), code)
    data = marshal.dumps(modules)
    return len(data).to_bytes(4, "big") + data
