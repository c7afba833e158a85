"""The whole pack against the reference targets: what is found, requests, time, and whether two runs
write the same bytes.

    python benchmarks/attack.py

The targets are those of examples/, started for each run, with all flaws and with none. What is run
is `tavo attack TARGET --report FILE`, as a user does, from the sources. Requests are those that
tavo counts: a session with a server of tools is one, and so is each thing asked in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "examples" / "flawed-agent"
SERVER = ROOT / "examples" / "flawed-mcp"
KEY = "shop-key"


def main() -> None:
    """Print one line for each target."""
    print(f"{os.cpu_count()} cores, {time.strftime('%d %B %Y')}, `tavo attack`, default options\n")
    print(
        "| target | flaws | probes | found | requests | seconds | CPU of tavo | same bytes twice |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, flaws in (
            ("agent", "all"), ("agent", "none"), ("mcp", "all"), ("mcp", "none"),
            ("mcp, stdio", "all"), ("mcp, stdio", "none"),
        ):  # fmt: skip
            runs = [measured(Path(folder), name, flaws, number) for number in range(2)]
            report, seconds, cpu, requests = runs[0]
            found = sum(one["worked"] > 0 for one in report["probes"])
            tried = sum(one["tried"] > 0 for one in report["probes"])
            same = "yes" if runs[0][0] == runs[1][0] else "NO"
            print(
                f"| {name} | {flaws} | {tried} | {found} | {requests} | {seconds:.1f} | {cpu:.1f} s"
                f" | {same} |"
            )


def measured(folder: Path, name: str, flaws: str, number: int) -> tuple[dict, float, float, str]:
    """Attack a target once; return the report, the time, the CPU time and the requests."""
    file, report = folder / "target.yaml", folder / f"report-{number}.json"
    prices = folder / "prices.yaml"
    prices.write_text("prices: {scripted: {input: 1}}\n")
    with target(file, name, flaws):
        before, began = os.times(), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tavo", "attack", str(file), "--report", str(report), "--prices",
             str(prices), "--max-requests", "5000"],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "FLAWED_MCP_KEY": KEY},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds, after = time.monotonic() - began, os.times()
    if done.returncode not in {0, 1}:
        raise SystemExit(f"{name}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    spent = re.search(r"spent: (\d+) requests", done.stderr)
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return json.loads(report.read_bytes()), seconds, cpu, spent.group(1) if spent else "?"


@contextlib.contextmanager
def target(file: Path, name: str, flaws: str) -> Iterator[None]:
    """Start a target and write its file."""
    if name == "mcp, stdio":
        words = [sys.executable, str(SERVER / "server.py"), "--stdio", "--flaws", flaws]
        file.write_text(json.dumps({"kind": "mcp", "command": words, "name": "flawed"}))
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder, program = (AGENT, "agent.py") if name == "agent" else (SERVER, "server.py")
    file.write_text(
        re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", (folder / "target.yaml").read_text())
    )
    process = subprocess.Popen(
        [sys.executable, str(folder / program), "--port", str(port), "--flaws", flaws],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
