"""Agreement of tavo and semgrep, rule by rule, on real code with rules that you bring.

    python3 build.py pyz
    .venv/cp311/bin/python benchmarks/agreement.py RULES CODE [CODE ...] [--most 50,200] [--across]
    .venv/cp311/bin/python benchmarks/agreement.py --fixtures RULES [--languages python]

RULES is a folder of rule files in Semgrep's syntax, which is read and neither shipped nor copied;
CODE is a folder, or a package of PyPI such as `llama-index-core==0.12.0`. Semgrep is installed
from PyPI when the script runs. Both get the rules that tavo can load, in one process, without a
network. Findings are compared by rule, file and start line; recall and precision are averaged over
the rules that either of them reported. With --across, every taint rule is run once more following
data through calls and across files, which semgrep does not do; the first run is then without that,
whatever a rule says. With --fixtures, the code is the annotated samples that
stand beside the rules (fixtures.py). What cannot be had is "not measured".
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import fixtures
import yaml
from across import following
from measure import PYZ, WORK, Cost, machine, peer, reported, run, source

from tavo.errors import ConfigError
from tavo.scan.rule_files import read_rule_file
from tavo.scan.rules import load_rules

SEMGREP = "semgrep==1.185.0"
Key = tuple[str, str, int]
Found = dict[str, tuple[set[Key], set[Key]]]


def usable_rules(
    folder: Path, most: int, languages: frozenset[str], category: str = ""
) -> tuple[Path, int, int]:
    """Write the rules that tavo loads into one file; return it, their number and that of others.

    Rules for several files with one name are told apart by a number, as both tools then see them.
    """
    chosen: list[dict[str, object]] = []
    refused = 0
    for file in sorted(folder.rglob("*.y*ml")):
        if file.name.endswith((".test.yaml", ".test.yml")):
            continue
        try:
            usable, entries = load_rules([file]).rules, read_rule_file(file)
        except (ConfigError, ValueError):
            continue  # not a rule file
        for entry in entries:
            known = {str(name).lower() for name in entry.get("languages") or ()}
            if languages and not known & languages:
                continue
            if category and (entry.get("metadata") or {}).get("category") != category:
                continue
            if entry.get("id") not in usable:
                refused += 1
            elif len(chosen) < most:
                chosen.append({**entry, "id": f"r{len(chosen)}-{entry['id']}"})
    out = WORK / f"agreement-{os.getpid()}.yaml"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(yaml.safe_dump({"rules": chosen}, sort_keys=False))
    return out, len(chosen), refused


def ours(rules: Path, target: Path) -> tuple[Cost, set[Key]]:
    words = [PYZ, "--offline", "scan", target, "--rules", rules, "--no-default-rules", "--format"]
    cost = run([sys.executable, *map(str, words), "json", "--jobs", "1", "--exit-zero"])
    report = reported(cost)
    root = Path(report["run"]["root"])
    found = {
        (f["rule_id"], str(root / f["location"]["path"]), f["location"]["region"]["start_line"])
        for f in report["findings"]
    }
    return cost, found


def theirs(tool: Path, rules: Path, target: Path) -> tuple[Cost, set[Key]]:
    out = rules.with_suffix(".json")
    cost = run(
        [str(tool), "scan", "--config", str(rules), "--metrics", "off", "--disable-version-check",
         "--no-git-ignore", "--x-ignore-semgrepignore-files", "--disable-nosem", "--timeout", "60",
         "-j", "1", "--max-target-bytes", str(2 << 20), "--json", "-o", str(out), "--quiet",
         str(target)],
        env={"PATH": f"{tool.parent}:/usr/bin:/bin"},
    )  # fmt: skip
    found = {
        (r["check_id"].split(".")[-1], str(Path(r["path"]).resolve()), r["start"]["line"])
        for r in json.loads(out.read_text())["results"]
    }
    return cost, found


def by_rule(mine: set[Key], peers: set[Key]) -> Found:
    """Return the findings of both by rule, for the rules that either of them reported."""
    rules: Found = defaultdict(lambda: (set(), set()))
    for key in mine:
        rules[key[0]][0].add(key)
    for key in peers:
        rules[key[0]][1].add(key)
    return rules


def summary(rules: Found) -> str:
    """Return the macro averages and how many rules are identical, as cells of a table."""
    recalls = [len(a & b) / len(b) for a, b in rules.values() if b]
    precisions = [len(a & b) / len(a) for a, b in rules.values() if a]
    same = sum(a == b for a, b in rules.values())
    if not recalls or not precisions:
        return "no findings | | "
    return (
        f"{statistics.mean(recalls):.3f} | {statistics.mean(precisions):.3f} |"
        f" {same} of {len(rules)}"
    )


def worst(rules: Found, rows: int) -> None:
    """Print the rules on which the two differ most, with an example of each kind."""
    differing = sorted(
        ((len(a ^ b), rule) for rule, (a, b) in rules.items() if a != b), reverse=True
    )
    for count, rule in differing[:rows]:
        mine, peers = rules[rule]
        more = [f"{path}:{line}" for _, path, line in sorted(mine - peers)[:2]]
        less = [f"{path}:{line}" for _, path, line in sorted(peers - mine)[:2]]
        print(f"  {rule}: {count} differ; only tavo {more}; only semgrep {less}", file=sys.stderr)


def row(
    name: str,
    target: Path | None,
    rules: Path,
    count: int,
    tool: Path | None,
    given: argparse.Namespace,
) -> str:
    """Measure one code base with one set of rules; return the row of the table."""
    if target is None or tool is None or not count:
        return f"| {name} | {count} | not measured |" + " |" * (8 if given.across else 6)
    cost, mine = ours(following(rules, across=False) if given.across else rules, target)
    wide = ours(following(rules), target)[0] if given.across else None
    peer_cost, peers = theirs(tool, rules, target)
    more = f" {wide.cpu_s:.2f} | {wide.cpu_s / peer_cost.cpu_s:.3f} |" if wide is not None else ""
    rules_of = by_rule(mine, peers)
    worst(rules_of, given.rows)
    return (
        f"| {name} | {count} | {cost.cpu_s:.2f} | {peer_cost.cpu_s:.2f} |"
        f" {cost.cpu_s / peer_cost.cpu_s:.3f} |{more} {len(mine)} / {len(peers)} |"
        f" {summary(rules_of)} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", type=Path)
    parser.add_argument("code", nargs="*")
    parser.add_argument("--fixtures", action="store_true", help="compare on the rules' own samples")
    parser.add_argument("--most", default="200", help="use so many rules at most: 50,200 both")
    parser.add_argument("--across", action="store_true", help="also follow data across files")
    parser.add_argument("--rows", type=int, default=15, help="name so many differing rules")
    parser.add_argument("--languages", default="", help="only rules for these, such as js,ts")
    parser.add_argument("--category", default="", help="only rules of this metadata.category")
    given = parser.parse_intermixed_args(arguments)
    if not given.rules.is_dir():
        print(f"not measured: {given.rules} is no folder of rules")
        return 0
    wanted = frozenset(filter(None, given.languages.split(",")))
    if given.fixtures:
        if other := wanted - set(fixtures.ENDINGS):
            parser.error(
                f"--languages: {sorted(other)[0]} is not one of {', '.join(fixtures.ENDINGS)}"
            )
        print(f"{machine()}; {SEMGREP}")
        tool = peer(SEMGREP, "semgrep")
        fixtures.compare(given.rules, tool, wanted or frozenset(fixtures.ENDINGS), given.rows)
        return 0
    if not given.code:
        parser.error("name CODE, or --fixtures")
    tool = peer(SEMGREP, "semgrep")
    print(f"{machine()}; {SEMGREP}; load {os.getloadavg()[0]:.1f}\n")
    more = " across files CPU s | across / semgrep |" if given.across else ""
    print("| code | rules | tavo CPU s | semgrep CPU s | ratio |" + more
          + " findings | recall | precision | identical |")  # fmt: skip
    print("|---" * (11 if given.across else 9) + "|")
    run([sys.executable, str(PYZ), "rules", "list"])  # the first run of a new file unpacks it
    for most in given.most.split(","):
        rules, count, refused = usable_rules(given.rules, int(most), wanted, given.category)
        print(f"{count} rules, {refused} more that tavo refuses", file=sys.stderr)
        for name in given.code:
            target = Path(name).resolve() if Path(name).exists() else source(name)
            print(row(name, target, rules, count, tool, given), flush=True)
        for file in (rules, rules.with_suffix(".json")):
            file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
