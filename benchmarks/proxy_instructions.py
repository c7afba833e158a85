"""How many instructions the proxy needs for an exchange: a figure that no other program changes.

    .venv/cp311/bin/python benchmarks/proxy_instructions.py [--python PYTHON]

A reply of 1 kB goes through the worker of the proxy, without sockets: what a client and an upstream
would have sent is handed to their connections. That is done a few times and some times more under
valgrind's cachegrind, and the difference is divided. SHA-256 is counted far too high, because
valgrind does not know the processor's instructions for it; so compare the columns of two versions,
not with each other. `--python` has to be of this version, for it takes the libraries from here.
Where there is no valgrind it prints "not measured".
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import ROOT, machine
from proxy import ANSWER, ASKED, KEY, REPLY

MODES = {"metrics and budgets": (), "and audit": ("audit",), "and pii, secrets": ("audit", "pii")}
CONNECTIONS, FEW, MANY = 64, 2, 12
BODY = json.dumps(ASKED).encode()
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:1234\r\n"
    b"Content-Type: application/json\r\nAccept: application/json\r\nAuthorization: Bearer %b\r\n"
    b"User-Agent: OpenAI/Python 3.54.0\r\nX-Stainless-Lang: python\r\n"
    b"X-Stainless-Package-Version: 3.54.0\r\nContent-Length: %d\r\n\r\n%b"
    % (KEY.encode(), len(BODY), BODY)
)
WHOLE = ANSWER % 7 + REPLY


class Line(asyncio.Transport):
    """A connection without a socket; keeps what was written last."""

    last = b""
    closed = False

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.last = bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.protocol.connection_lost(None)

    abort = close


class Nobody:
    """Takes no connections."""

    async def listen(self, wire: Any) -> int:
        return 1

    def close(self) -> None:
        pass


async def exchanges(parts: list[str], rounds: int) -> None:
    """Carry out so many exchanges on each connection."""
    import msgspec

    from tavo.proxy.app import App
    from tavo.proxy.config import ProxyConfig
    from tavo.proxy.http.client import ClientConnection
    from tavo.proxy.http.upstream import UpstreamConnection
    from tavo.proxy.sharing import Shared

    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, Any] = {
            "proxy": 1, "listen": {"port": 1}, "admin": {"token_file": f"{folder}/token"},
            "upstreams": {"back": {"url": "http://127.0.0.1:9", "credential": {"env": "REAL"}}},
            "keys": {"team": {"env": "TEAM", "budget": {
                "requests_per_minute": 10**9, "tokens_per_day": 10**12, "cost_per_day": 1e9}}},
            "prices": {"gpt-*": {"input": 2.5, "output": 10}},
        }  # fmt: skip
        if "audit" in parts:
            config["audit"] = {"file": f"{folder}/audit.jsonl"}
        if "pii" in parts:
            config["filters"] = [{"filter": "pii"}, {"filter": "secrets"}]
        app = App(
            msgspec.convert(config, ProxyConfig), Shared(), front=Nobody(),
            environment={"REAL": "sk-real", "TEAM": KEY},
        )  # fmt: skip
        await app.start()
        (pool,) = app._pools.values()
        clients = [ClientConnection(app.wire) for _ in range(CONNECTIONS)]
        upstreams = [UpstreamConnection(pool) for _ in range(CONNECTIONS)]
        for one in (*clients, *upstreams):
            Line(one)
        for one in upstreams:
            one.keep_until = float("inf")
            pool.put(one)
        for _ in range(rounds):
            for client in clients:
                client.data_received(bytes(memoryview(REQUEST)))
            await asyncio.sleep(0)  # rows of the audit log are written once in a turn
            await asyncio.sleep(0)
            for one in upstreams:
                one.data_received(bytes(memoryview(WHOLE)))
            await asyncio.sleep(0)
        answered = clients[0].transport
        assert isinstance(answered, Line)
        if not answered.last.endswith(REPLY):
            raise SystemExit(f"no answer came: {answered.last[:200]!r}")
        await app.stop()


def counted(python: str, parts: tuple[str, ...], rounds: int) -> int:
    """Return the instructions of a process that carries out so many rounds."""
    beside = Path(sys.executable).parents[1] / "lib" / f"python{sys.version[:4]}" / "site-packages"
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command += [python, __file__, "--rounds", str(rounds), *parts]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{beside}", "PYTHONHASHSEED": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"a run failed:\n{done.stdout}{done.stderr[-2000:]}")
    return int(found.group(1).replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("parts", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds:
        asyncio.run(exchanges(options.parts, options.rounds))
        return
    print(machine())
    print(options.python)
    print("\n| instructions for one exchange | " + " | ".join(MODES) + " |")
    print("|---|" + "---|" * len(MODES))
    cells = []
    for parts in MODES.values():
        if shutil.which("valgrind") is None:
            cells.append("not measured")
            continue
        few, many = (counted(options.python, parts, rounds) for rounds in (FEW, MANY))
        cells.append(f"{(many - few) // (MANY - FEW) // CONNECTIONS:,}")
    print("| 1 kB reply | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
