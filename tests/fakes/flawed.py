"""The flawed agents of examples/ on ports of their own, and what it takes to attack them."""

from __future__ import annotations

import contextlib
import importlib.util
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import msgspec
import yaml

from tavo.attack.http_target import HttpTarget
from tavo.attack.targets import TargetFile

EXAMPLES = Path(__file__).parents[2] / "examples"


def agent_module(folder: str = "flawed-agent") -> ModuleType:
    """Return an agent of the examples as a module."""
    return module_of(EXAMPLES / folder / "agent.py")


def module_of(file: Path) -> ModuleType:
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(file.parent.name.replace("-", "_"), file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def served(module: ModuleType, *flaws: str) -> Iterator[str]:
    """Serve the agent with these flaws; yield its address."""
    handler = type("Handler", (module.Handler,), {"agent": module.Agent(frozenset(flaws))})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def attacked(module: ModuleType, *flaws: str) -> Iterator[HttpTarget]:
    """Yield the agent as a target with secrets that it must keep."""
    with served(module, *flaws) as url:
        target = HttpTarget(
            TargetFile(
                url=url, name="flawed", application=True,
                secrets=(module.STAFF_CODE, module.RECORD),
            ),
            {},
        )  # fmt: skip
        try:
            yield target
        finally:
            target.close()


@contextlib.contextmanager
def second_attacked(module: ModuleType, flaws: str) -> Iterator[HttpTarget]:
    """Yield the clinic's desk, which was written without a look at the probes, as a target."""
    described = EXAMPLES / "second-agent" / "target.yaml"
    server = module.serve(0, flaws)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    file = msgspec.convert(yaml.safe_load(described.read_text()), TargetFile)
    url = f"http://127.0.0.1:{server.server_port}/v1"
    target = HttpTarget(msgspec.structs.replace(file, url=url), {})
    try:
        yield target
    finally:
        target.close()
        server.shutdown()
        server.server_close()
        thread.join()
