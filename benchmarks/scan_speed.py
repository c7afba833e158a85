"""CPU time and findings of tavo and semgrep with the same rules on the same code.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/scan_speed.py [--repeat 3]

Both get tavo's own rule pack, one process, no network. Findings are compared by rule, file and
start line; recall and precision are averaged over the rules that either of them reported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import yaml
from measure import PYZ, ROOT, WORK, Cost, machine, peer, reported, run, source

from tavo.scan.rule_files import expand, read_rule_file
from tavo.scan.rules import PACK, load_rules

SEMGREP = "semgrep==1.185.0"
CODE = "langchain-community==0.3.27"
Key = tuple[str, str, int]


def expanded_rules() -> Path:
    """Write our pack without `use:`, which only tavo knows, for semgrep to read."""
    folder = WORK / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    for file in {rule.file for rule in load_rules([PACK]).rules.values()}:
        rules = [expand(entry, file.parent / "library") for entry in read_rule_file(file)]
        (folder / file.name).write_text(yaml.safe_dump({"rules": rules}, sort_keys=False))
    return folder


def tavo(target: Path) -> tuple[Cost, set[Key]]:
    command = [sys.executable, PYZ, "--offline", "scan", target, "--format", "json", "--jobs", "1"]
    cost = run([str(part) for part in command])
    report = reported(cost)
    root = Path(report["run"]["root"])
    found = {
        (f["rule_id"], str(root / f["location"]["path"]), f["location"]["region"]["start_line"])
        for f in report["findings"]
        if not f.get("suppression")
    }
    return cost, found


def semgrep(tool: Path, target: Path) -> tuple[Cost, set[Key]]:
    out = WORK / "semgrep.json"
    cost = run(
        [str(tool), "scan", "--config", str(WORK / "rules"), "--metrics", "off",
         "--disable-version-check",
         "--no-git-ignore", "-j", "1", "--json", "-o", str(out), "--quiet", str(target)],
        env={"PATH": f"{tool.parent}:/usr/bin:/bin"},
    )  # fmt: skip
    found = {
        (r["check_id"].split(".")[-1], str(Path(r["path"]).resolve()), r["start"]["line"])
        for r in json.loads(out.read_text())["results"]
    }
    return cost, found


def agreement(ours: set[Key], theirs: set[Key]) -> str:
    rules: dict[str, tuple[set[Key], set[Key]]] = defaultdict(lambda: (set(), set()))
    for key in ours:
        rules[key[0]][0].add(key)
    for key in theirs:
        rules[key[0]][1].add(key)
    recalls = [len(a & b) / len(b) for a, b in rules.values() if b]
    precisions = [len(a & b) / len(a) for a, b in rules.values() if a]
    if not recalls or not precisions:
        return "no findings"
    return (
        f"{len(ours)} / {len(theirs)} findings, macro recall {statistics.mean(recalls):.3f},"
        f" macro precision {statistics.mean(precisions):.3f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    print(f"{machine()}; {repeat} paired runs, medians")
    tool = peer(SEMGREP, "semgrep")
    big = source(CODE)
    expanded_rules()
    run([sys.executable, str(PYZ), "rules", "list"])  # the first run of a new file unpacks it
    targets = [("one small file", ROOT / "examples" / "shop-agent" / "assistant.py"), (CODE, big)]
    print("| code | tavo CPU s | semgrep CPU s | ratio | tavo MB | semgrep MB | agreement |")
    print("|---|---|---|---|---|---|---|")
    for name, target in targets:
        if target is None or not target.exists():
            print(f"| {name} | not measured | not measured | | | | |")
            continue
        pairs = []
        for _ in range(repeat):
            ours = tavo(target)
            pairs.append((ours, semgrep(tool, target) if tool else None))
        cpu = statistics.median(o[0].cpu_s for o, _ in pairs)
        memory = max(o[0].peak_mb for o, _ in pairs)
        if tool is None:
            print(f"| {name} | {cpu:.2f} | not measured | | {memory:.0f} | | |")
            continue
        peers = [p for _, p in pairs if p]
        ratio = statistics.median(o[0].cpu_s / p[0].cpu_s for o, p in pairs if p)
        print(
            f"| {name} | {cpu:.2f} | {statistics.median(p[0].cpu_s for p in peers):.2f} |"
            f" {ratio:.3f} | {memory:.0f} | {max(p[0].peak_mb for p in peers):.0f} |"
            f" {agreement(pairs[-1][0][1], peers[-1][1])} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
