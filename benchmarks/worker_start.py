"""What the start of a worker costs at each level, as a ratio to a bare interpreter in the same run.

.venv/cp311/bin/python benchmarks/worker_start.py [--repeat 11]

Every figure is the median of runs in turn: `python3 -I -S -c pass`, then a worker at each level,
from the start of its process to the answer that it is locked up, without a plugin. CPU time is what
wait4 reports of the process; the host's own part is counted beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tavo.host.probe import empty_plan, probe
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.session import Session

Figures = tuple[float, float, float]  # CPU of the process, CPU of the host, wall; in ms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=11)
    repeat = parser.parse_args().repeat
    levels = [SandboxLevel(number) for number in range(probe().level + 1)]
    runs: dict[str, list[Figures]] = {"python3 -I -S -c pass": []}
    runs |= {f"worker, {level.label}": [] for level in levels}
    for _ in range(repeat + 1):
        runs["python3 -I -S -c pass"].append(_bare())
        for level in levels:
            runs[f"worker, {level.label}"].append(_worker(level))
    print(f"{machine()}; medians of {repeat} runs in turn\n")
    print("| start of | CPU ms | CPU ratio | host CPU ms | wall ms | wall ratio |")
    print("|---|---|---|---|---|---|")
    # the first round fills caches
    medians = {
        name: tuple(map(statistics.median, zip(*figures[1:], strict=True)))
        for name, figures in runs.items()
    }
    cpu, _, wall = medians["python3 -I -S -c pass"]
    for name, figures in medians.items():
        print(
            f"| {name} | {figures[0]:.1f} | {figures[0] / cpu:.2f} | {figures[1]:.1f}"
            f" | {figures[2]:.1f} | {figures[2] / wall:.2f} |"
        )
    return 0


def _bare() -> Figures:
    began, before = time.perf_counter(), time.process_time()
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "pass"])
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    wall, host = time.perf_counter() - began, time.process_time() - before
    return (usage.ru_utime + usage.ru_stime) * 1000, host * 1000, wall * 1000


def _worker(level: SandboxLevel) -> Figures:
    reader = os.open(os.devnull, os.O_RDONLY)
    try:
        began, before = time.perf_counter(), time.process_time()
        session = Session(empty_plan(level, Path(sys.executable)), reader)
        session.lock_up()
        wall, host = time.perf_counter() - began, time.process_time() - before
        session.kill()
        return session.cpu_s * 1000, host * 1000, wall * 1000
    finally:
        os.close(reader)


if __name__ == "__main__":
    raise SystemExit(main())
