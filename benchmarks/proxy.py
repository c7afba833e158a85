"""What the proxy costs: CPU time per request beside nginx, memory per stream, many idle clients.

    python3 benchmarks/proxy.py [--rounds N] [--seconds S] [--python PYTHON] [--before PYZ]

One processor for the proxy that is measured, another one for the load and the upstream; CPU time is
that of all threads of the proxy's processes, from /proc/*/task/*/schedstat; rounds are paired (each
proxy in turn) and the figure is the median. nginx and wrk are taken where they are installed; what
is missing prints "not measured".

`--python` is the interpreter that runs tavo and the least, this one by default. Which build it is
matters: CPython without profile-guided optimisation, as pyenv makes it, is slower than that of a
distribution. A loop is timed, so that it can be seen.

`--before` is another tavo.pyz, such as that of an older version, measured in the same rounds: two
runs on the same machine may differ by a third, because what else its processors do differs.

"The least that asyncio needs" is a proxy of forty lines: it reads HTTP on both sides with httptools
and sends on what came, as it came; no head is changed, nothing is counted, nobody is asked who he
is. It runs where this script can import httptools, and the interpreter can, too.

Two loads: as fast as the load generator can (64 connections, 32 for streams), and the same load for
all, at which nobody is short of processors. A reply has 1 kB; a stream has 50 events, each sent on
its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from measure import PYZ, ROOT, machine

with suppress(ImportError):
    import httptools

EVENT = (
    b'data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":'
    b'"gpt-4o-mini","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":'
    b'"hello "},"finish_reason":null}]}\n\n'
)
LAST = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":50}}\n\n'
REPLY = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "a word of an answer " * 33}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 50, "total_tokens": 59},
}).encode()  # fmt: skip
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Sat, 28 Nov 2026 12:00:00 GMT\r\n"
    b"server: upstream\r\nx-request-id: %%016x\r\ncontent-length: %d\r\n\r\n" % len(REPLY)
)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ASKED = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Tell me something nice about the weather in Berlin today."},
    ],
    "temperature": 0.7,
}
KEY = "virtual-key-of-the-benchmark"


YARDSTICK = """
import platform, time
class A:
    __slots__ = ("x", "y")
    def __init__(self, x): self.x = x; self.y = []
    def m(self, z): self.y.append(z); return self.x + z
def loop():
    t = 0
    for i in range(20_000):
        a = A(i); t += a.m(3); d = {"a": i, "b": t}; t ^= len(b"%d %b" % (i, b"xx")) + len(d)
spent = []
for _ in range(50):
    start = time.thread_time(); loop(); spent.append(time.thread_time() - start)
print(f"{platform.python_version()}, {min(spent) * 1000:.1f}")
"""


# -- the upstream


class Upstream(asyncio.Protocol):
    """Answers with one reply, or a stream; `hold` in the body leaves the stream open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.data = transport, b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            found = re.search(rb"content-length: (\d+)", self.data[:end].lower())
            size = int(found.group(1)) if found else 0
            if len(self.data) < end + 4 + size:
                return
            body, self.data = self.data[end + 4 : end + 4 + size], self.data[end + 4 + size :]
            if b'"stream"' not in body:
                self.transport.write(ANSWER % next(NUMBERS) + REPLY)
            else:
                self.transport.write(STREAM)
                task = asyncio.ensure_future(self.stream(b'"hold"' in body))
                TASKS.add(task)
                task.add_done_callback(TASKS.discard)

    async def stream(self, hold: bool) -> None:
        for _ in range(5 if hold else 50):
            if self.transport.is_closing():
                return
            self.transport.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
            await asyncio.sleep(0)
        if not hold:
            self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(LAST), LAST))


TASKS: set[asyncio.Task[None]] = set()
NUMBERS = itertools.count()


async def upstream(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        Upstream, "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


# -- the least that asyncio needs


class LeastClient(asyncio.Protocol):
    """Passes each request on to an upstream that is idle."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.parser = transport, httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.data = data
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        if IDLE:
            self.send(IDLE.pop())
        else:
            task = asyncio.ensure_future(self.connect())
            TASKS.add(task)
            task.add_done_callback(TASKS.discard)

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, up = await loop.create_connection(LeastUpstream, "127.0.0.1", BEHIND[0])
        self.send(up)

    def send(self, up: LeastUpstream) -> None:
        up.client = self
        up.transport.write(self.data)


class LeastUpstream(asyncio.Protocol):
    """Passes each answer back."""

    client: LeastClient

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.parser = transport, httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self.client.transport.write(data)
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        IDLE.append(self)


IDLE: list[LeastUpstream] = []
BEHIND: list[int] = []


async def least(port: int, behind: int) -> None:
    BEHIND.append(behind)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(LeastClient, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


# -- processes


@contextmanager
def running(command: list[str], port: int, core: int, **env: str) -> Iterator[int]:
    pinned = [*(("taskset", "-c", str(core)) if shutil.which("taskset") else ()), *command]
    process = subprocess.Popen(
        pinned, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **env},
    )  # fmt: skip
    try:
        for _ in range(600):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise SystemExit(f"{command[0]} does not listen")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def cpu_ns(pid: int) -> int:
    """CPU time of a process's threads and its children's, in nanoseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
        total += sum(cpu_ns(int(child)) for child in (task / "children").read_text().split())
    return total


def memory_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Pss:\s+(\d+)", text).group(1))  # type: ignore[union-attr]


# -- loads


def script(folder: Path, *, stream: bool, paced: bool) -> Path:
    body = {**ASKED, **({"stream": True} if stream else {})}
    path = folder / f"load-{stream}-{paced}.lua"
    headers = {
        "Content-Type": "application/json", "Accept": "application/json",
        "Authorization": f"Bearer {KEY}", "User-Agent": "OpenAI/Python 3.54.0",
        "X-Stainless-Lang": "python", "X-Stainless-Package-Version": "3.54.0",
    }  # fmt: skip
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(json.dumps(body))}"]
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    if paced:
        low, high = (60, 100) if stream else (15, 35)
        lines.append(f"function delay() return math.random({low}, {high}) end")
    path.write_text("\n".join(lines))
    return path


def per_request(pid: int, port: int, load: Path, connections: int, seconds: int) -> float | None:
    """CPU time per request in microseconds; None if not all were answered with 200."""
    before = cpu_ns(pid)
    done = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(load),
         f"http://127.0.0.1:{port}/v1/chat/completions"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    spent = cpu_ns(pid) - before
    found = re.search(r"(\d+) requests in", done.stdout)
    if found is None or int(found.group(1)) == 0 or "Non-2xx" in done.stdout:
        return None
    return spent / int(found.group(1)) / 1000


async def open_streams(port: int, pid: int, count: int) -> float | None:
    """Memory in kB per open stream."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    body = json.dumps({**ASKED, "stream": True, "user": "hold"})
    data = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    before = memory_kb(pid)
    writers = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            writer.write(data)
            await reader.readuntil(b"\n\n")
        await asyncio.sleep(0.5)
        after = memory_kb(pid)
        return (after - before) / count
    except (OSError, asyncio.IncompleteReadError):
        return None
    finally:
        for writer in writers:
            writer.close()


async def idle_clients(port: int, count: int) -> float | None:
    """p50 in ms of a request beside so many connections that say nothing."""
    writers = []
    try:
        writers += [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(count)]
        body = json.dumps(ASKED)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        data = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        spans = []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        for _ in range(600):
            start = time.perf_counter()
            writer.write(data)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(REPLY))
            spans.append(time.perf_counter() - start)
        return statistics.median(spans) * 1000
    except (OSError, asyncio.IncompleteReadError):
        return None
    finally:
        for writer in writers:
            writer.close()


# -- what is measured


@contextmanager
def nginx(folder: Path, behind: int) -> Iterator[tuple[int, int] | None]:
    if shutil.which("nginx") is None:
        yield None
        return
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null; daemon off;\n"
        "master_process off; worker_rlimit_nofile 30000;\n"
        "events { worker_connections 20000; }\n"
        f"http {{ access_log off; upstream up {{ server 127.0.0.1:{behind}; keepalive 128; }}\n"
        f"  server {{ listen 127.0.0.1:{port} backlog=4096;\n"
        "  location / { proxy_pass http://up; proxy_http_version 1.1;\n"
        '  proxy_set_header Connection ""; proxy_buffering off; } } }\n'
    )
    with running(["nginx", "-c", str(folder / "nginx.conf")], port, 0) as pid:
        yield pid, port


@contextmanager
def least_of(behind: int, python: str) -> Iterator[tuple[int, int] | None]:
    beside = str(Path(httptools.__file__).parents[1]) if "httptools" in sys.modules else ""
    can = [python, "-c", "import httptools"]
    env = {"PYTHONPATH": beside}
    if not beside or subprocess.run(can, capture_output=True, env=env, check=False).returncode:
        yield None
        return
    port = free_port()
    command = [python, __file__, "--least", str(port), "--upstream", str(behind)]
    with running(command, port, 0, **env) as pid:
        yield pid, port


@contextmanager
def tavo(
    folder: Path,
    behind: int,
    name: str,
    python: str = sys.executable,
    file: Path | None = PYZ,
    **sections: object,
) -> Iterator[tuple[int, int] | None]:
    if file is None:
        yield None
        return
    port = free_port()
    config = {
        "proxy": 1, "listen": {"port": port}, "admin": {"token_file": str(folder / name)},
        "upstreams": {"back": {"url": f"http://127.0.0.1:{behind}", "credential": {"env": "REAL"}}},
        "keys": {"team": {"env": "TEAM", "budget": {
            "requests_per_minute": 10**9, "tokens_per_day": 10**12, "cost_per_day": 1e9}}},
        "prices": {"gpt-*": {"input": 2.5, "output": 10}}, **sections,
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(json.dumps(config))
    start = [str(file)] if file.exists() else ["-m", "tavo"]
    command = [python, *start, "proxy", "serve", "--config", str(folder / f"{name}.yaml")]
    with running(command, port, 0, REAL="sk-real", TEAM=KEY, PYTHONPATH=str(ROOT)) as pid:
        yield pid, port


def told(value: float | None, form: str = ".0f") -> str:
    return "not measured" if value is None else format(value, form)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--least", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.least:
        asyncio.run(least(options.least, options.upstream))
        return
    if options.upstream:
        asyncio.run(upstream(options.upstream))
        return
    if sys.platform != "linux":
        raise SystemExit("not measured: CPU time is read from Linux's /proc")
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    python = options.python
    print(machine())
    for one in dict.fromkeys((python, sys.executable)):
        done = subprocess.run([one, "-c", YARDSTICK], capture_output=True, text=True, check=True)
        print(f"{one}: CPython {done.stdout.strip()} ms for the loop")
    with tempfile.TemporaryDirectory() as name:
        folder, behind = Path(name), free_port()
        command = [sys.executable, __file__, "--upstream", str(behind)]
        with (
            running(command, behind, 1),
            nginx(folder, behind) as reference,
            least_of(behind, python) as bare,
            tavo(folder, behind, "pass-through", python) as passing,
            tavo(folder, behind, "audit", python, audit={"file": str(folder / "audit.jsonl")})
            as audited,
            tavo(folder, behind, "filters", python, audit={"file": str(folder / "filters.jsonl")},
                 filters=[{"filter": "pii"}, {"filter": "secrets"}]) as filtering,
            tavo(folder, behind, "before", python, options.before) as before,
            tavo(folder, behind, "before-filters", python, options.before,
                 audit={"file": str(folder / "before.jsonl")},
                 filters=[{"filter": "pii"}, {"filter": "secrets"}]) as before_filtering,
        ):  # fmt: skip
            names = {
                "nginx": reference, "the least that asyncio needs": bare,
                "tavo, metrics and budgets": passing,
                "tavo, and audit": audited, "tavo, and pii, secrets": filtering,
            }  # fmt: skip
            if options.before:
                names |= {"before, metrics and budgets": before, "before, all": before_filtering}
            costs(folder, names, options.rounds, options.seconds)
            memory(names)


def costs(
    folder: Path, names: dict[str, tuple[int, int] | None], rounds: int, seconds: int
) -> None:
    print("\n| CPU per request, us | load | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    for stream in (False, True):
        for paced in (False, True):
            load = script(folder, stream=stream, paced=paced)
            figures: dict[str, list[float]] = {name: [] for name in names}
            ratios: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(rounds):
                once: dict[str, float] = {}
                for name, where in names.items():
                    if where is None or shutil.which("wrk") is None:
                        continue
                    cost = per_request(*where, load, 32 if stream else 64, seconds)
                    if cost is not None:
                        once[name] = cost
                        figures[name].append(cost)
                for name, cost in once.items():
                    if "nginx" in once:
                        ratios[name].append(cost / once["nginx"])
            cells = []
            for name, values in figures.items():
                if not values:
                    cells.append("not measured")
                    continue
                ratio = f" (x{statistics.median(ratios[name]):.2f})" if ratios[name] else ""
                cells.append(f"{statistics.median(values):.0f}{ratio}")
            what = "50-event stream" if stream else "1 kB reply"
            print(f"| {what} | {'the same' if paced else 'most'} | {' | '.join(cells)} |")


def memory(names: dict[str, tuple[int, int] | None]) -> None:
    print("\n| | idle, MB | kB per open stream, at 1,000 | p50 beside 10,000 idle clients, ms |")
    print("|---|---|---|---|")
    for name, where in names.items():
        if where is None:
            print(f"| {name} | not measured | not measured | not measured |")
            continue
        pid, port = where
        idle = memory_kb(pid) / 1024
        per = asyncio.run(open_streams(port, pid, 1000))
        time.sleep(1)
        wait = asyncio.run(idle_clients(port, 10_000))
        time.sleep(1)
        kb = told(per, ".1f")
        print(f"| {name} | {idle:.0f} | {kb} | {told(wait, '.2f')} |")


if __name__ == "__main__":
    main()
