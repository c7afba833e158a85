"""The plugin `bandit` and the command `bandit -r` on the same folder: are the findings the same?

    python benchmarks/bandit_agreement.py FOLDER --bandit PYTHON

`PYTHON` is an interpreter of the same version in which bandit 1.9.4 is installed. The plugin runs
in its sandbox, as `tavo scan --static-plugins` does it. Compared are file, line, test, severity and
confidence of each finding. Exit code 1 where they differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "examples" / "plugins" / "bandit"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bandit", required=True)
    given = parser.parse_args()
    folder = given.folder.resolve()
    command = subprocess.run(
        [given.bandit, "-m", "bandit", "-q", "-r", ".", "-f", "json"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    theirs = Counter(
        (
            one["filename"].removeprefix("./"), one["line_number"], one["test_id"],
            one["issue_severity"].lower(), one["issue_confidence"].lower(),
        )
        for one in json.loads(command.stdout)["results"]
    )  # fmt: skip
    tavo = [sys.executable, "-m", "tavo"]
    digest = json.loads(_said([*tavo, "plugin", "validate", str(PLUGIN), "--json"], ROOT))[
        "package"
    ]
    report = json.loads(_said(
        [*tavo, "scan", str(folder), "--static-plugins", str(PLUGIN), "--accept-local", digest,
         "--format", "json"], ROOT,
    ))  # fmt: skip
    ours = Counter(
        (
            one["location"]["path"], one["location"]["region"]["start_line"], one["rule_id"],
            one["severity"], one["confidence"],
        )
        for one in report["findings"]
        if one["tool"] == "tavo/bandit"
    )  # fmt: skip
    for name, only in (("the command", theirs - ours), ("the plugin", ours - theirs)):
        for key in sorted(only)[:10]:
            print(f"only {name}: {key}")
    same = (theirs & ours).total()
    print(
        f"{theirs.total()} findings of the command, {ours.total()} of the plugin, {same} the same"
    )
    return int(theirs != ours)


def _said(words: list[str], folder: Path) -> str:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    sys.exit(main())
