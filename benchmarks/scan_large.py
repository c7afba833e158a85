"""A scan of more than a million lines: memory, CPU time, and what the second processor brings.

Rules this script keeps:
- the tree is made of packages of the index, fetched when it runs;
- memory is the largest sum over the processes of the scan of what is theirs alone plus the
  shared part once (PSS), sampled while it runs; on a system without /proc it is not measured;
- the gain of two processes is the wall time of one divided by that of two, and beside it the most
  that the machine gave: CPU seconds per wall second of the run with two.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from measure import PYZ, WORK, machine, ready, source

PACKAGES = (
    "transformers==4.46.3", "sympy==1.13.3", "langchain-community==0.3.27", "litellm==1.74.0",
    "llama-index-core==0.12.52", "openai==1.97.0",
)  # fmt: skip
_LINES = 1_000_000


@dataclass
class Measured:
    cpu_s: float
    wall_s: float
    peak_mb: float
    findings: list[object]


def tree() -> tuple[Path, int] | None:
    """Link the packages into one folder, as many as make a million lines."""
    folder = WORK / "trees" / "large"
    folder.mkdir(parents=True, exist_ok=True)
    lines = 0
    for name in PACKAGES:
        package = source(name) if lines < _LINES else None
        if package is None:
            continue
        for file in sorted(package.rglob("*.py")):
            lines += file.read_bytes().count(b"\n")
            copy = folder / package.name / file.relative_to(package)
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                os.link(file, copy)
    return (folder, lines) if lines >= _LINES else None


def family(process: int) -> list[int]:
    """Return a process and all below it."""
    found, todo = [], [process]
    while todo:
        one = todo.pop()
        found.append(one)
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def memory_mb(process: int) -> float:
    total = 0
    for one in family(process):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += int(found.group(1)) if found else 0
    return total / 1024


def scan(target: Path, jobs: int) -> Measured:
    command = [sys.executable, str(PYZ), "--offline", "scan", str(target), "--format", "json",
               "--no-cache", "--jobs", str(jobs)]  # fmt: skip
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        peak = [0.0]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.5):
                peak[0] = max(peak[0], memory_mb(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, _, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = 0
        done.set()
        watcher.join()
        out.seek(0)
        report = json.load(out)
    return Measured(usage.ru_utime + usage.ru_stime, wall, peak[0], report["findings"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=1)
    repeat = parser.parse_args().repeat
    made = tree()
    print(f"{machine()}; {repeat} pairs; load {os.getloadavg()[0]:.1f} at the start")
    if made is None:
        print("not measured: the packages cannot be had")
        return 0
    target, lines = made
    print(f"{lines:,} lines in {len(list(target.rglob('*.py'))):,} files\n", flush=True)
    pairs = [(scan(target, 1), scan(target, 2)) for _ in range(repeat)]
    if any(one.findings != two.findings for one, two in pairs):
        print("one and two processes find something else")
        return 1
    print("| processes | CPU s | wall s | CPU s / wall s | peak MB |")
    print("|---|---|---|---|---|")
    for number, runs in (("1", [one for one, _ in pairs]), ("2", [two for _, two in pairs])):
        print(
            f"| {number} | {statistics.median(r.cpu_s for r in runs):.1f} |"
            f" {statistics.median(r.wall_s for r in runs):.1f} |"
            f" {statistics.median(r.cpu_s / r.wall_s for r in runs):.2f} |"
            f" {max(r.peak_mb for r in runs):.0f} |"
        )
    gain = statistics.median(one.wall_s / two.wall_s for one, two in pairs)
    extra = statistics.median(two.cpu_s / one.cpu_s for one, two in pairs)
    print(f"\ngain of two processes: {gain:.2f} in wall time; CPU of two / of one: {extra:.2f};")
    print(f"so at most {2 / extra:.2f} on two processors that are free")
    return 0


if __name__ == "__main__":
    ready()
    sys.exit(main())
