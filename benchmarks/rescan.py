"""The second scan of a tree that did not change, beside the first: CPU time of the whole command.

Rules this script keeps:
- each pair starts without anything kept; the bar is 5 % of the first scan's CPU time;
- the trees are a package of the index and 5,000 of the files of several, fetched when it runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from measure import PYZ, WORK, Cost, machine, ready, reported, run, source

COMMUNITY = "langchain-community==0.3.27"
OTHERS = ("transformers==4.46.3", "sympy==1.13.3", "llama-index-core==0.12.52", "litellm==1.74.0")
_FILES = 5_000


def tree() -> Path | None:
    """Copy the first 5,000 Python files of some packages into one folder, once."""
    folder = WORK / "trees" / "5000"
    if folder.exists():
        return folder
    found: list[tuple[Path, Path]] = []
    for name in (COMMUNITY, *OTHERS):
        package = source(name)
        if package is None:
            return None
        found += [(package, file) for file in sorted(package.rglob("*.py"))]
    if len(found) < _FILES:
        return None
    partial = folder.with_name("5000.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for package, file in found[:_FILES]:
        copy = partial / package.name / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    partial.rename(folder)
    return folder


def scan(target: Path, home: Path, *words: str) -> tuple[Cost, list[object]]:
    command = [sys.executable, PYZ, "--offline", "scan", target, "--format", "json", *words]
    cost = run(
        [str(part) for part in command],
        env={"HOME": str(home), "XDG_STATE_HOME": str(home / "state")},
    )
    return cost, reported(cost)["findings"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    print(f"{machine()}; medians of {repeat} pairs, one process\n")
    print("| tree | files | first CPU s | second CPU s | second / first | one file changed CPU s |")
    print("|---|---|---|---|---|---|")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    for name, target in ((COMMUNITY, source(COMMUNITY)), ("5,000 files of five packages", tree())):
        if target is None:
            print(f"| {name} | | not measured | not measured | | |")
            continue
        firsts, seconds, changed = [], [], []
        files = len(list(target.rglob("*.py")))
        for _ in range(repeat):
            with tempfile.TemporaryDirectory() as folder:
                home = Path(folder)
                (home / ".cache").symlink_to(cache)  # the unpacked program, not what is kept
                first, found = scan(target, home, "--jobs", "1")
                again, same = scan(target, home, "--jobs", "1")
                if found != same:
                    print("the second scan says something else")
                    return 1
                victim = next(iter(sorted(target.rglob("*.py"))))
                before = victim.read_bytes()
                victim.write_bytes(before + b"\n")
                third, _ = scan(target, home, "--jobs", "1")
                victim.write_bytes(before)
                firsts.append(first.cpu_s)
                seconds.append(again.cpu_s)
                changed.append(third.cpu_s)
        ratio = statistics.median(b / a for a, b in zip(firsts, seconds, strict=True))
        print(
            f"| {name} | {files} | {statistics.median(firsts):.2f} |"
            f" {statistics.median(seconds):.2f} | {ratio:.1%} |"
            f" {statistics.median(changed):.2f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    ready()
    sys.exit(main())
