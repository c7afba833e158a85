"""How fast a served marketplace answers: 10,000 plugins with 10 versions, the server on one core.

    python benchmarks/service.py [--seconds 20]

First 50 requests a second (a third each lists, searches and details, all different), each timed
from when it was due; then as many details as 8 connections get. The client runs on another core of
the same machine, which takes from what is measured where others work on it, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import big_catalog  # noqa: E402
from benchmarks.measure import WORK  # noqa: E402

PLUGINS, VERSIONS, RATE = 10_000, 10, 50
_SERVE = """
import sys
from pathlib import Path
from tavo.operator.service import serve
serve(Path(sys.argv[1]), host="127.0.0.1", port=0, worker=None, version="0",
      ready=lambda url: print(url, flush=True))
"""
_LIMITS = "[service]\nreads_per_minute = 10000000\n"
_WORDS = ("scanner", "prompt", "agent", "secrets", "models", "filter", "logs", "attack", "policy")


class Connection:
    """One connection that is kept."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                await reader.readexactly(int(line.split(b":")[1]))
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


def paths(ids: list[str]) -> dict[str, Callable[[], str]]:
    """Return what makes an address of each kind, seldom the same one twice."""
    base = "/api/v1/plugins"
    draw = random.Random(7)
    return {
        "list": lambda: (
            f"{base}/marketplace?limit={draw.randint(20, 100)}"
            f"&sort={draw.choice(['name', 'updated', 'rating', 'downloads'])}"
        ),
        "search": lambda: f"{base}/marketplace?q={draw.choice(_WORDS)}+{draw.randint(0, 9999)}",
        "detail": lambda: f"{base}/{quote(draw.choice(ids), safe='')}",
    }


async def steady(host: str, port: int, ids: list[str], seconds: float) -> dict[str, list[float]]:
    """Ask at a steady rate; return how long each answer took from when it was due, in seconds."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    pool = [Connection(host, port) for _ in range(32)]
    for one in pool:
        free.put_nowait(one)
    made, took = paths(ids), {name: [] for name in ("list", "search", "detail")}
    begin = time.perf_counter() + 0.5

    async def one_request(number: int) -> None:
        due = begin + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        kind = ("list", "search", "detail")[number % 3]
        connection = await free.get()
        status = await connection.get(made[kind]())
        took[kind].append(time.perf_counter() - due)
        free.put_nowait(connection)
        if status != 200:
            raise SystemExit(f"{kind}: status {status}")

    await asyncio.gather(*(one_request(number) for number in range(int(RATE * seconds))))
    for one in pool:
        one.close()
    return took


async def flood(host: str, port: int, ids: list[str], seconds: float) -> float:
    """Ask for details without a pause on 8 connections; return the requests in a second."""
    end = time.perf_counter() + seconds
    make, done = paths(ids)["detail"], 0

    async def ask() -> None:
        nonlocal done
        connection = Connection(host, port)
        while time.perf_counter() < end:
            await connection.get(make())
            done += 1
        connection.close()

    await asyncio.gather(*(ask() for _ in range(8)))
    return done / seconds


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    seconds = parser.parse_args().seconds
    folder = WORK / f"service-{PLUGINS}-{VERSIONS}"
    with contextlib.suppress(FileNotFoundError):
        big_catalog.write(folder, PLUGINS, VERSIONS)
    (folder / "market.toml").write_text(_LIMITS)
    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(folder)], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        parts = urlsplit(server.stdout.readline().strip())
        host, port = str(parts.hostname), int(parts.port or 0)
        print(
            f"{PLUGINS} plugins x {VERSIONS} versions; ready after {time.monotonic() - began:.1f} s"
        )
        os.sched_setaffinity(server.pid, {0})
        for task in Path(f"/proc/{server.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {0})
        os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
        ids = [f"acme/{_WORDS[number % 9]}-{number}" for number in range(1, PLUGINS + 1)]
        asyncio.run(steady(host, port, ids, 2))
        before = cpu_s(server.pid)
        took = asyncio.run(steady(host, port, ids, seconds))
        used = cpu_s(server.pid) - before
        print(f"{RATE} requests/s for {seconds:g} s on one core, {used / seconds:.0%} of it used:")
        for kind, times in took.items():
            times.sort()
            middle, high = times[len(times) // 2], times[int(len(times) * 0.99)]
            print(f"  {kind:<7} p50 {middle * 1000:6.1f} ms   p99 {high * 1000:6.1f} ms")
        before = cpu_s(server.pid)
        rate = asyncio.run(flood(host, port, ids, seconds / 2))
        each = (cpu_s(server.pid) - before) / (rate * seconds / 2)
        print(f"details on 8 connections: {rate:.0f} requests/s, {each * 1000:.2f} ms of CPU each")
        print(f"peak memory of the server: {memory_mb(server.pid):.0f} MB")
        load = os.getloadavg()[0]
        print(f"load of the machine: {load:.1f} on {os.cpu_count()} cores")
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
