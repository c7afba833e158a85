"""Findings on well-kept AI libraries, for each 10,000 lines: tavo's own rules beside Bandit.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/false_alarms.py

The bar of part 4 is 0.2 findings of medium severity or more. Lines are those of the files that are
scanned, blank ones included. Packages come from PyPI and npm, with their own tests where they ship
them. What is found is listed, so that somebody can look whether it is right.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from measure import PYZ, machine, npm_source, peer, run, source

PYTHON = ("openai==3.57.0", "anthropic==2.14.0", "mcp==2.3.0", "pydantic-ai-slim==2.68.0",
          "instructor==1.17.0", "langgraph==1.2.24")  # fmt: skip
NPM = (("openai", "7.59.0"), ("@anthropic-ai/sdk", "1.14.0"), ("ai", "7.0.173"),
       ("@modelcontextprotocol/sdk", "1.32.2"))  # fmt: skip
BANDIT = "bandit==1.9.4"
COUNTED = frozenset({"medium", "high", "critical"})


def lines_of(folder: Path, suffixes: Sequence[str]) -> int:
    files = [path for path in folder.rglob("*") if path.suffix in suffixes and path.is_file()]
    return sum(path.read_bytes().count(b"\n") for path in files)


def ours(folder: Path, lost: list[str]) -> Counter[str]:
    """Count findings by rule; note in `lost` what was not looked at, or not in full."""
    cost = run([sys.executable, str(PYZ), "--offline", "scan", str(folder), "--format", "json",
                "--exit-zero"])  # fmt: skip
    told = json.loads(cost.output)
    failed = [f"{one['subject']}: {one['reason']}" for one in told["not_done"] if one["incomplete"]]
    lost.extend(failed)
    if any("defect" in one or "died" in one for one in failed):
        raise SystemExit(f"no figure: {failed[0]}")
    return Counter(one["rule_id"] for one in told["findings"] if one["severity"] in COUNTED)


def bandits(tool: Path, folder: Path) -> Counter[str]:
    cost = run([str(tool), "-r", str(folder), "-f", "json", "-q"])
    found = json.loads(cost.output)["results"]
    return Counter(one["test_id"] for one in found if one["issue_severity"].lower() in COUNTED)


def main() -> int:
    print(f"{machine()}; findings of medium severity or more\n")
    print("| package | lines | tavo | for 10,000 | Bandit | for 10,000 |")
    print("|---|---|---|---|---|---|")
    bandit = peer(BANDIT, "bandit")
    packages = [(name, source(name), (".py",)) for name in PYTHON]
    packages += [
        (f"{name} {version} (npm)", npm_source(name, version), (".js", ".ts", ".mjs", ".tsx"))
        for name, version in NPM
    ]
    rules: Counter[str] = Counter()
    lost: list[str] = []
    sums = [0, 0, 0, 0]  # lines and findings of ours; lines and findings where Bandit ran
    for name, folder, suffixes in packages:
        if folder is None:
            print(f"| {name} | not measured | | | | |")
            continue
        lines, found = lines_of(folder, suffixes), ours(folder, lost)
        rules += found
        sums[0] += lines
        sums[1] += found.total()
        theirs = "not measured | "
        if bandit is not None and suffixes == (".py",):
            alarms = bandits(bandit, folder).total()
            sums[2] += lines
            sums[3] += alarms
            theirs = f"{alarms} | {alarms / lines * 1e4:.2f}"
        rate = f"{found.total() / lines * 1e4:.2f}"
        print(f"| {name} | {lines:,} | {found.total()} | {rate} | {theirs} |", flush=True)
    last = f"{sums[3]} | {sums[3] / sums[2] * 1e4:.2f}" if sums[2] else "not measured | "
    print(f"| all | {sums[0]:,} | {sums[1]} | {sums[1] / max(sums[0], 1) * 1e4:.2f} | {last} |\n")
    for rule, count in rules.most_common():
        print(f"- {rule}: {count}")
    print(f"- not looked at in full: {len(lost)} {'; '.join(lost)[:600]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
