"""What the start of workers costs, as a ratio to a bare interpreter in the same run.

.venv/cp311/bin/python benchmarks/worker_start.py [--repeat 11]

Every figure is the median of runs in turn. First table: `python3 -I -S -c pass`, then one worker at
each level, from the start of its process to the answer that it is locked up, without a plugin; by
itself, and forked from a zygote that is there. Second table: all the workers of a run, each started
by itself, and forked, the start of the zygote included. CPU time is what the kernel says of the
processes; the host's own part is counted beside it.
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
from tavo.host.zygotes import ZYGOTES

Figures = tuple[float, float, float]  # CPU of the process, CPU of the host, wall; in ms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=11)
    repeat = parser.parse_args().repeat
    levels = [SandboxLevel(number) for number in range(probe().level + 1)]
    runs: dict[str, list[Figures]] = {"python3 -I -S -c pass": []}
    runs |= {f"worker, {level.label}": [] for level in levels}
    runs |= {f"worker, {level.label}, forked": [] for level in levels}
    counts = [(level, count) for level in levels[-2:] for count in (1, 2, 8)]
    alone: dict[tuple[SandboxLevel, int], list[Figures]] = {one: [] for one in counts}
    forked: dict[tuple[SandboxLevel, int], list[Figures]] = {one: [] for one in counts}
    for _ in range(repeat + 1):
        runs["python3 -I -S -c pass"].append(_bare())
        for level in levels:
            ZYGOTES.close()
            runs[f"worker, {level.label}"].append(_worker(level))
            ZYGOTES.expect(3)
            _worker(level)  # this one starts the zygote
            runs[f"worker, {level.label}, forked"].append(_worker(level))
        for level, count in counts:
            alone[level, count].append(_workers(level, count, forks=False))
            forked[level, count].append(_workers(level, count, forks=True))
    print(f"{machine()}; medians of {repeat} runs in turn\n")
    print("| start of | CPU ms | CPU ratio | host CPU ms | wall ms | wall ratio |")
    print("|---|---|---|---|---|---|")
    cpu, _, wall = _median(runs["python3 -I -S -c pass"])
    for name, rows in runs.items():
        figures = _median(rows)
        print(
            f"| {name} | {figures[0]:.1f} | {figures[0] / cpu:.2f} | {figures[1]:.1f}"
            f" | {figures[2]:.1f} | {figures[2] / wall:.2f} |"
        )
    print(
        "\n| workers | each by itself: CPU ms | forked: CPU ms | less | wall ms | forked: wall ms |"
    )
    print("|---|---|---|---|---|---|")
    for level, count in counts:
        own, shared = _median(alone[level, count]), _median(forked[level, count])
        before, after = own[0] + own[1], shared[0] + shared[1]
        less = statistics.median(
            1 - sum(f[:2]) / sum(o[:2])
            for o, f in zip(alone[level, count][1:], forked[level, count][1:], strict=True)
        )
        print(
            f"| {count} at {level.label} | {before:.1f} | {after:.1f} | {less:.0%}"
            f" | {own[2]:.1f} | {shared[2]:.1f} |"
        )
    return 0


def _median(rows: list[Figures]) -> Figures:
    """Return the medians of the columns; the first row filled caches."""
    cpu, host, wall = (statistics.median(column) for column in zip(*rows[1:], strict=True))
    return cpu, host, wall


def _workers(level: SandboxLevel, count: int, *, forks: bool) -> Figures:
    """Start workers one after the other, as a run that knows their number; add them up."""
    ZYGOTES.close()
    ZYGOTES.expect(count)
    rows = []
    for _ in range(count):
        if not forks:
            ZYGOTES.close()
        rows.append(_worker(level))
    cpu, host, wall = (sum(column) for column in zip(*rows, strict=True))
    return cpu, host, wall


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
