"""Hits and remaining alarms of tavo on real vulnerabilities, each in its real package.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/cve_cases.py CASES.jsonl

A case names a package, a vulnerable and a fixed version, a file and lines. A hit is a finding of
low severity or more within two lines of a vulnerable line. An alarm that remains is a finding in
the fixed file within two lines of the lines given for it, or, where the sink is gone, of a rule
that hit before. Cases whose package is not on the package index are "not measured".
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from measure import PYZ, machine, run, source

REACH = 2


def findings(path: Path) -> list[tuple[str, int, int]]:
    cost = run([sys.executable, str(PYZ), "--offline", "scan", str(path), "--format", "json"])
    return [
        (f["rule_id"], f["location"]["region"]["start_line"], f["location"]["region"]["end_line"])
        for f in json.loads(cost.output)["findings"]
    ]


def near(found: tuple[str, int, int], lines: list[int]) -> bool:
    return any(found[1] - REACH <= line <= found[2] + REACH for line in lines)


def judge(case: dict[str, Any]) -> tuple[str, str, str]:
    """Return the verdict on the vulnerable file, on the fixed file, and the rules that hit."""
    before = source(f"{case['package']}=={case['vulnerable_version']}")
    after = source(f"{case['package']}=={case['fixed_version']}")
    vulnerable = before / case["file"] if before else None
    if vulnerable is None or not vulnerable.exists() or case["language"] != "py":
        return "not measured", "not measured", ""
    hits = {f[0] for f in findings(vulnerable) if near(f, case["lines"])}
    verdict = "hit" if hits else "missed"
    fixed = after / case["fixed_file"] if after else None
    if fixed is None:
        return verdict, "not measured", " ".join(sorted(hits))
    if not fixed.exists():
        return verdict, "file removed", " ".join(sorted(hits))
    left = findings(fixed)
    if case["fixed_sink_lines"]:
        alarm = any(near(f, case["fixed_sink_lines"]) for f in left)
    else:
        alarm = any(f[0] in hits for f in left)
    return verdict, "alarm" if alarm else "quiet", " ".join(sorted(hits))


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    cases = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    tally: Counter[tuple[str, str]] = Counter()
    print(machine())
    print("| case | kind | vulnerable | fixed | rules |")
    print("|---|---|---|---|---|")
    for case in cases:
        verdict, after, rules = judge(case)
        tally[(case["detectability"], verdict)] += 1
        tally[("fixed", after)] += 1
        advisory = case["advisory"].split(",")[0]
        print(f"| {advisory} | {case['detectability']} | {verdict} | {after} | {rules} |")
    print()
    for (kind, verdict), count in sorted(tally.items()):
        print(f"{kind}: {verdict} {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
