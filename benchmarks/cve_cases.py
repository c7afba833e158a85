"""Hits and remaining alarms of tavo on real vulnerabilities, each in its real package.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/cve_cases.py CASES.jsonl [--count]

`--count` prints the figures and no case: for a half of a set that nobody should look at.
A case names a package, a vulnerable and a fixed version, a file and lines. A hit is a finding of
low severity or more within two lines of a vulnerable line. An alarm that remains is a finding in
the fixed file within two lines of the lines given for it, or, where the sink is gone, of a rule
that hit before. Packages come from PyPI, those in JavaScript and TypeScript from npm; where a
package does not hold the file or is not there, from the repository that the case names under
`obtain`. A case whose file cannot be had is "not measured".
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from measure import PYZ, git_source, machine, npm_source, ready, reported, run, source

REACH = 2
_REPOSITORY = re.compile(r"github:([\w.-]+/[\w.-]+)")


def findings(path: Path) -> list[tuple[str, int, int]]:
    cost = run([sys.executable, str(PYZ), "--offline", "scan", str(path), "--format", "json"])
    return [
        (f["rule_id"], f["location"]["region"]["start_line"], f["location"]["region"]["end_line"])
        for f in reported(cost)["findings"]
    ]


def near(found: tuple[str, int, int], lines: list[int]) -> bool:
    return any(found[1] - REACH <= line <= found[2] + REACH for line in lines)


def folder_of(case: dict[str, Any], version: str, file: str) -> Path | None:
    """Return the unpacked package of a version; None if no source has it with that file in it."""
    if case["language"] == "py":
        return source(f"{case['package']}=={version}")
    folder = npm_source(case["package"], version.removeprefix("v"))
    if folder is not None and (folder / file).exists():
        return folder
    named = _REPOSITORY.search(case.get("obtain", ""))
    found = git_source(f"https://github.com/{named.group(1)}", version) if named else None
    return found or folder


def judge(case: dict[str, Any]) -> tuple[str, str, str]:
    """Return the verdict on the vulnerable file, on the fixed file, and the rules that hit."""
    before = folder_of(case, case["vulnerable_version"], case["file"])
    after = (
        folder_of(case, case["fixed_version"], case["fixed_file"])
        if case["fixed_version"]
        else None
    )
    vulnerable = before / case["file"] if before else None
    if vulnerable is None or not vulnerable.exists():
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
    arguments = [word for word in sys.argv[1:] if word != "--count"]
    if len(arguments) != 1:
        print(__doc__)
        return 2
    only_count = "--count" in sys.argv
    cases = [json.loads(line) for line in Path(arguments[0]).read_text().splitlines()]
    tally: Counter[tuple[str, str]] = Counter()
    print(machine())
    if not only_count:
        print("| case | kind | vulnerable | fixed | rules |")
        print("|---|---|---|---|---|")
    for case in cases:
        verdict, after, rules = judge(case)
        tally[(case["detectability"], verdict)] += 1
        tally[("fixed" if case["fixed_sink_lines"] else "fixed, sink gone", after)] += 1
        if not only_count:
            advisory = case["advisory"].split(",")[0]
            print(f"| {advisory} | {case['detectability']} | {verdict} | {after} | {rules} |")
    print()
    for (kind, verdict), count in sorted(tally.items()):
        print(f"{kind}: {verdict} {count}")
    return 0


if __name__ == "__main__":
    ready()
    sys.exit(main())
