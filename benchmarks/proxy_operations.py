"""What operating the proxy costs: the page's figures, telemetry, the copy of the log, and a run.

    python3 benchmarks/proxy_operations.py [--rounds N]

CPU time of this process and its threads, medians of rounds; parts are measured on their own, with
values as an exchange leaves them, because beside a whole exchange they vanish in its spread. A run
is measured as `tavo.pyz proxy run -- true` beside `true`, in wall and CPU time.
"""

from __future__ import annotations

import argparse
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from measure import PYZ, ROOT, machine

sys.path.insert(0, str(ROOT))
from tavo.proxy.audit_chain import FIRST, sealed
from tavo.proxy.audit_copy import AuditCopy
from tavo.proxy.config import ProxyConfig, Telemetry, Upstream
from tavo.proxy.forward.authority import Authority
from tavo.proxy.live import Live
from tavo.proxy.messages import Finished, Record, Said
from tavo.proxy.otlp import span_of
from tavo.proxy.telemetry import Exporter

EXCHANGES = 20_000


def flow() -> Any:
    said = [Said(filter="pii", action="modify", where="request", detail="EMAIL")]
    record = Record(dialect="openai-chat", model="gpt-4o", tokens_in=900, tokens_out=120,
                    counted=True, verdict="modify", said=said)  # fmt: skip
    return SimpleNamespace(
        entry=SimpleNamespace(client="team", key="team"), exchange=SimpleNamespace(record=record),
        how=Finished.DONE, status=200, id=b"22270f7cc75f-0000000e", code="", ended=2.0, started=1.0,
        first_at=1.5, upstream="openai", method=b"POST", path=b"/v1/chat/completions", taken=900,
        sent=1200, header=lambda _: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )  # fmt: skip


def each(work: Callable[[], object], count: int, rounds: int) -> float:
    """Return the CPU microseconds of one call."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(count):
            work()
        found.append((time.process_time() - began) / count * 1e6)
    return statistics.median(found)


def log_of(path: Path) -> int:
    """Write an audit log; return its size."""
    head, lines = FIRST, []
    rows: list[dict[str, Any]] = [{"seq": 1, "kind": "start", "after": FIRST, "at": "2026-11-28T"}]
    for number in range(EXCHANGES):
        name, at = f"22270f7cc75f-{number:08x}", f"2026-11-28T20:{number // 60 % 60:02}:00.000Z"
        rows.append({"seq": len(rows) + 1, "at": at, "kind": "asked", "id": name, "client": "team",
                     "upstream": "openai", "method": "POST", "path": "/v1/chat/completions",
                     "dialect": "openai-chat", "model": "gpt-4o", "sha256": FIRST})  # fmt: skip
        rows.append({"seq": len(rows) + 1, "at": at, "kind": "done", "id": name, "status": 200,
                     "how": "done", "ms": 812.5, "first_ms": 301.0, "verdict": "modify",
                     "tokens_in": 900, "tokens_out": 120, "cost": 0.00345, "said": [
                         {"filter": "pii", "action": "modify", "where": "request",
                          "detail": "EMAIL"}]})  # fmt: skip
    for row in rows:
        line, head = sealed(msgspec.json.encode(row), head)
        lines.append(line)
    path.write_bytes(b"".join(lines))
    return path.stat().st_size


def child_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, live = flow(), Live()
        page = each(lambda: live.told(one, 0.1), 50_000, rounds)
        print(f"page, for each exchange            {page:8.2f} us")
        config = ProxyConfig(proxy=1, upstreams={"openai": Upstream(url="https://api.openai.com")})
        exporter = Exporter(
            config, Telemetry(endpoint="http://127.0.0.1:9", queue=1_000_000), environment={},
            snapshot=dict,
        )  # fmt: skip
        told = each(lambda: exporter.told(one), 20_000, rounds)
        print(f"telemetry, in the loop             {told:8.2f} us")
        ids = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "")
        seen = exporter._seen(one)
        made = each(lambda: msgspec.json.encode(span_of(seen, ids)), 20_000, rounds)
        print(f"telemetry, in its thread           {made:8.2f} us")
        size = log_of(folder / "audit.jsonl")
        found = []
        for number in range(rounds):
            began = time.process_time()
            with AuditCopy(folder / f"{number}.db") as copy:
                assert copy.take([folder / "audit.jsonl"]).rows == 2 * EXCHANGES + 1
            found.append(time.process_time() - began)
        cpu = statistics.median(found)
        print(f"copy of the log                    {EXCHANGES / cpu:8.0f} exchanges/CPU-s"
              f" ({size / cpu / 1e6:.0f} MB/CPU-s)")  # fmt: skip
        hosts = [f"host{number}.example" for number in range(200)]
        authority = Authority(hosts, folder)
        began = time.process_time()
        contexts: list[ssl.SSLContext] = [authority.context(host) for host in hosts]
        spent = (time.process_time() - began) / len(contexts) * 1e3
        print(f"a host's certificate, once         {spent:8.2f} ms")
        ours = [sys.executable, str(PYZ), "proxy", "run", "--filter", "pii", "--", "true"]
        for label, command in (("true", ["true"]), ("proxy run -- true", ours)):
            walls, cpus = [], []
            for _ in range(rounds):
                before, began = child_cpu(), time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                walls.append(time.perf_counter() - began)
                cpus.append(child_cpu() - before)
            print(f"{label:<34} {statistics.median(walls) * 1e3:8.0f} ms wall,"
                  f" {statistics.median(cpus) * 1e3:.0f} ms CPU")  # fmt: skip


if __name__ == "__main__":
    main()
