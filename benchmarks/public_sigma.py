"""Which of SigmaHQ's public rules for web, proxy and cloud sources compile here, and which do not.

    .venv/cp311/bin/python benchmarks/public_sigma.py CHECKOUT

CHECKOUT is one of https://github.com/SigmaHQ/sigma, fetched by you: its rules are under the
Detection Rule License, and none of them is stored here or taken over.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tavo.logs.mapping import readers
from tavo.logs.sigma.rules import load_rules

FOLDERS = ("rules/web", "rules/cloud", "rules/application", "rules/identity", "rules/network",
           "rules-emerging-threats", "rules-threat-hunting/web", "rules-threat-hunting/cloud",
           "rules-placeholder/cloud")  # fmt: skip
WANTED = {"webserver", "proxy"}


def main() -> None:
    """Print a table, and why rules were refused."""
    checkout = Path(sys.argv[1])
    tables = readers().values()
    reasons: Counter[str] = Counter()
    print("| rules | files | compile | refused | have a reader | need every record |")
    print("|---|---|---|---|---|---|")
    for folder in FOLDERS:
        path = checkout / folder
        if not path.is_dir():
            continue
        loaded = load_rules([path])
        rules = [one for one in loaded.rules.values() if one.matches is not None]
        if folder == "rules-emerging-threats":
            rules = [one for one in rules if one.logsource.get("category") in WANTED]
        known = [one for one in rules if any(table.fits(one.logsource) for table in tables)]
        opened = sum(one.gate is not None and one.gate.open for one in rules)
        refused = [one for one in loaded.problems if folder != "rules-emerging-threats"
                   or any(word in str(one.file) for word in ("web", "proxy"))]  # fmt: skip
        for one in refused:
            reasons[one.reason.split(":")[-1].strip()[:80]] += 1
        print(f"| {folder}{' (web, proxy)' if 'emerging' in folder else ''} |"
              f" {len(rules) + len(refused)} | {len(rules)} | {len(refused)} | {len(known)} |"
              f" {opened} |")  # fmt: skip
    for reason, count in reasons.most_common(12):
        print(f"- refused {count}: {reason}")


if __name__ == "__main__":
    main()
