"""The escape list as a table: each attack without a sandbox and at every level, for two users.

.venv/cp311/bin/python benchmarks/escape_list.py

Run as root it runs everything once more as an unprivileged user (65534), with the system's own
interpreter. A cell says `open` where the attack worked, `.` where it was stopped although it works
here without a sandbox, and `-` where it could not be tried. The table of docs/security.md is the
output of this script.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from measure import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tavo.host.escapes.listing import PARTS, attacks
from tavo.host.escapes.score import run_list
from tavo.host.probe import probe
from tavo.host.sandbox.levels import SandboxLevel

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"
SHOWN = {"stopped": ".", "worked": "open", "not_tried": "-"}

Rows = dict[str, dict[str, list[str]]]  # attack -> level -> state and reason


def main() -> int:
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(_run()))
        return 0
    users = {f"user {os.getuid()}" if os.getuid() else "root": _run()}
    if os.getuid() == 0 and Path(SYSTEM_PYTHON).exists():
        users["an unprivileged user"] = _run_as_nobody()
    release = ".".join(os.uname().release.split(".")[:2])
    print(f"{machine()}; Linux {release}, Landlock interface {probe().landlock}\n")
    for user, rows in users.items():
        _summary(user, rows)
    print()
    columns = [(user, level) for user, rows in users.items() for level in next(iter(rows.values()))]
    heads = [f"{_short(user)} {level}" for user, level in columns]
    print(f"| attack | what it tries | stopped by | {' | '.join(heads)} |")
    print("|---" * (3 + len(columns)) + "|")
    for attack in attacks():
        cells = [SHOWN[users[user][attack.name][level][0]] for user, level in columns]
        print(
            f"| {attack.name} | {attack.title.rstrip('.')} | {attack.stopped_by} |"
            f" {' | '.join(cells)} |"
        )
    print("\nstopped by: " + "; ".join(f"{name}: {what}" for name, (_, what) in PARTS.items()))
    for user, rows in users.items():
        missing: dict[str, list[str]] = {}
        for name, row in rows.items():
            state, reason = row["control"]
            if state == "not_tried":
                missing.setdefault(reason, []).append(name)
        for reason, names in missing.items():
            print(f"not tried as {user}: {', '.join(names)}: {reason}")
    return 0


def _run() -> Rows:
    levels = [level for level in SandboxLevel if 0 < level <= probe().level]
    rows: Rows = {}
    for one in run_list(attacks(), levels, python=Path(sys.executable)):
        row = rows.setdefault(one.attack.name, {})
        tried = one.state != "not_tried"
        row.setdefault("control", ["worked", ""] if tried else ["not_tried", one.reason])
        assert one.level is not None
        row[one.level.label] = [one.state, one.reason]
    return rows


def _run_as_nobody() -> Rows:
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks"), *packages])
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", SYSTEM_PYTHON,
         str(Path(__file__).resolve()), "--json"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": path,
             "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/tmp", stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    rows: Rows = json.loads(done.stdout)
    return rows


def _summary(user: str, rows: Rows) -> None:
    parts = []
    for level in next(iter(rows.values())):
        states = [row[level][0] for row in rows.values()]
        tried = len(states) - states.count("not_tried")
        parts.append(f"{level}: {states.count('worked')} of {tried} worked")
    print(f"as {user}: {'; '.join(parts)}")


def _short(user: str) -> str:
    return "root" if user == "root" else "user"


if __name__ == "__main__":
    raise SystemExit(main())
