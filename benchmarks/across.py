"""What following data through calls and across files costs, beside semgrep, which does neither.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/across.py [--repeat 3]

All get the same rules as YAML files, one process, no network: tavo within functions, tavo with
`interfile`, and semgrep. Then with `interfile` on two processes, once more unchanged, and once
more with one file changed. CPU time is that of the whole command, the reading of rules included.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import yaml
from measure import PYZ, WORK, Cost, machine, peer, ready, reported, run, source
from scan_speed import SEMGREP, expanded_rules, semgrep

CODE = ("langchain-community==0.3.27", "pydantic-ai-slim==2.68.0")


def following(rules: Path, *, across: bool = True) -> Path:
    """Write the rules of a file or folder again with `interfile`, or with none of it."""
    folder = WORK / ("rules-across" if across else "rules-within")
    folder.mkdir(parents=True, exist_ok=True)
    for file in [rules] if rules.is_file() else rules.glob("*.yaml"):
        document = yaml.safe_load(file.read_text())
        for rule in document["rules"]:
            if rule.get("mode") == "taint":
                rule["options"] = {**(rule.get("options") or {}), "interfile": across}
        (folder / file.name).write_text(yaml.safe_dump(document, sort_keys=False))
    return folder / rules.name if rules.is_file() else folder


def tavo(target: Path, rules: Path, home: Path | None, *words: str) -> tuple[Cost, list[object]]:
    command = [sys.executable, PYZ, "--offline", "scan", target, "--no-default-rules", "--rules",
               rules, "--format", "json", *words]  # fmt: skip
    state = {} if home is None else {"HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
    cost = run([str(part) for part in command], env=state)
    return cost, reported(cost)["findings"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--code", nargs="*", default=CODE)
    asked = parser.parse_args()
    tool = peer(SEMGREP, "semgrep")
    plain = expanded_rules()
    across = following(plain)
    print(f"{machine()}; medians of {asked.repeat} runs; CPU s; load {os.getloadavg()[0]:.1f}\n")
    print("| code | semgrep | within functions | across files | across / semgrep | two processes:"
          " CPU s, gain | again | one file changed | findings within / across |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    for name in asked.code:
        target = source(name)
        if target is None:
            print(f"| {name} | not measured |")
            continue
        rows: list[list[float]] = []
        found = (0, 0)
        for _ in range(asked.repeat):
            with tempfile.TemporaryDirectory() as folder:
                home = Path(folder)
                (home / ".cache").symlink_to(cache)
                within, less = tavo(target, plain, None, "--no-cache", "--jobs", "1")
                two, same = tavo(target, across, None, "--no-cache", "--jobs", "2")
                first, more = tavo(target, across, home, "--jobs", "1")
                again, repeated = tavo(target, across, home, "--jobs", "1")
                victim = next(f for f in sorted(target.rglob("*.py")) if f.stat().st_size > 3_000)
                before = victim.read_bytes()
                victim.write_bytes(before + b"\n")
                changed, _ = tavo(target, across, home, "--jobs", "1")
                victim.write_bytes(before)
            if not more == repeated == same:
                print("they do not find the same")
                return 1
            theirs = semgrep(tool, target)[0].cpu_s if tool is not None else float("nan")
            rows.append([theirs, within.cpu_s, first.cpu_s, first.cpu_s / theirs, two.cpu_s,
                         first.wall_s / two.wall_s, again.cpu_s, changed.cpu_s])  # fmt: skip
            found = len(less), len(more)
        m = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(f"| {name} | {m[0]:.2f} | {m[1]:.2f} | {m[2]:.2f} | {m[3]:.2f} | {m[4]:.2f},"
              f" {m[5]:.2f} | {m[6]:.2f} | {m[7]:.2f} | {found[0]} / {found[1]} |",
              flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    ready()
    sys.exit(main())
