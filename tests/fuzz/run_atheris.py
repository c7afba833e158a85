"""Fuzz the parsers, guided by coverage.

    python tests/fuzz/run_atheris.py [--seconds N] [TARGET ...]

Needs atheris, which is no dependency of this project, in an environment that also has ours; says
"not measured" where it is missing. Each target runs alone for the given processor time, starting
from its seeds. What breaks a target is kept in the folder that is named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=int, default=120)
    options.add_argument("--one", help=argparse.SUPPRESS)
    options.add_argument("targets", nargs="*")
    told, libfuzzer = options.parse_known_args()
    try:
        import atheris
    except ImportError:
        print("not measured: atheris is not installed in this environment")
        return 0
    sys.path.insert(0, str(ROOT))
    if told.one:
        return _fuzz(atheris, told.one, [*told.targets, *libfuzzer])
    from tests.fuzz.targets import SEEDS, TARGETS

    names = told.targets or sorted(TARGETS)
    if unknown := set(names) - TARGETS.keys():
        options.error(f"no target is called {sorted(unknown)[0]}; there are {', '.join(TARGETS)}")
    found = 0
    print(f"{'target':<12} {'executions':>11} {'CPU s':>6} {'corpus':>7} {'findings':>9}")
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(SEEDS[name]):
            (corpus / f"seed-{number}").write_bytes(seed)
        before = os.times()
        done = subprocess.run(
            [
                sys.executable, str(HERE), "--one", name, f"-max_total_time={told.seconds}",
                "-print_final_stats=1", "-max_len=65536", "-rss_limit_mb=1500", "-timeout=20",
                f"-artifact_prefix={folder}/", str(corpus),
            ],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        after = os.times()
        cpu_s = after.children_user + after.children_system
        cpu_s -= before.children_user + before.children_system
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
        broken = [one for one in folder.iterdir() if one.is_file()]
        found += len(broken) or int(done.returncode != 0)
        print(
            f"{name:<12} {runs[1] if runs else '?':>11} {cpu_s:>6.0f}"
            f" {len(list(corpus.iterdir())):>7} {len(broken):>9}",
            flush=True,
        )
        if broken or done.returncode:
            print(f"  see {folder}\n{done.stderr[-3000:]}", file=sys.stderr, flush=True)
    return 1 if found else 0


def _fuzz(atheris: object, name: str, arguments: list[str]) -> int:
    """Run one target in this process; libFuzzer ends it."""
    with atheris.instrument_imports(include=["marketplace_db", "tavo", "yaml", "tests.fuzz"]):  # type: ignore[attr-defined]
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]

    def once(data: bytes) -> None:
        target(data)

    atheris.Setup([sys.argv[0], *arguments], once)  # type: ignore[attr-defined]
    atheris.Fuzz()  # type: ignore[attr-defined]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
