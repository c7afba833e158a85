"""The flawed MCP server of examples/ on a port of its own, and what it takes to attack it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

from tavo.attack.mcp.target import McpTarget
from tavo.attack.targets import TargetFile
from tests.fakes.flawed import module_of

SERVER = Path(__file__).parents[2] / "examples" / "flawed-mcp" / "server.py"
KEY = "Garnet-4471-kettle"


def server_module() -> ModuleType:
    """Return the example as a module."""
    return module_of(SERVER)


@contextlib.contextmanager
def served(module: ModuleType, *flaws: str) -> Iterator[str]:
    """Serve the example with these flaws; yield its address."""
    shop = module.Shop(frozenset(flaws))
    handler = type(
        "Handler", (module.Handler,),
        {"shop": shop, "key": KEY, "sessions": {}, "wbufsize": -1, "disable_nagle_algorithm": True},
    )  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        shop.database.close()


@contextlib.contextmanager
def attacked(module: ModuleType, *flaws: str, **more: object) -> Iterator[McpTarget]:
    """Yield the example as a target."""
    with served(module, *flaws) as url:
        described = TargetFile(kind="mcp", url=url, name="flawed", key="KEY", **more)  # type: ignore[arg-type]
        target = McpTarget(described, {"KEY": KEY})
        try:
            yield target
        finally:
            target.close()
