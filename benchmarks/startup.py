"""Start-up cost of the single file, as a ratio to a bare interpreter in the same run.

python3 build.py pyz && .venv/cp311/bin/python benchmarks/startup.py [--repeat 15]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from measure import PYZ, ROOT, machine, peer, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "HOME": home, "SHIV_ROOT": str(Path(home) / "shiv"),
            "SEMGREP_ENABLE_VERSION_CHECK": "0", "SEMGREP_SEND_METRICS": "off",
        }  # fmt: skip
        tool = [sys.executable, str(PYZ)]
        bare = [sys.executable, "-I", "-c", "pass"]
        first = run([*tool, "--version"], env=environment)
        small = ROOT / "examples" / "shop-agent" / "assistant.py"
        semgrep = peer("semgrep==1.185.0", "semgrep")
        commands: list[tuple[str, list[str] | None]] = [
            ("--version", [*tool, "--version"]),
            ("--help", [*tool, "--help"]),
            ("registry browse", [*tool, "registry", "browse"]),
            ("scan of one file", [*tool, "scan", str(small), "--exit-zero"]),
            (
                "semgrep --version",
                [str(semgrep), "--version", "--disable-version-check"] if semgrep else None,
            ),
        ]
        print(f"{machine()}; medians of {repeat} paired runs; {PYZ.stat().st_size / 1e6:.1f} MB")
        print(f"first run: {first.cpu_s:.2f} s CPU, {first.wall_s:.2f} s wall")
        print("| command | CPU ms | ratio to `python3 -I -c pass` |")
        print("|---|---|---|")
        for name, command in commands:
            if command is None:
                print(f"| {name} | not measured | |")
                continue
            run(command, env=environment)
            pairs = [(run(command, env=environment), run(bare)) for _ in range(repeat)]
            cpu = statistics.median(a.cpu_s for a, _ in pairs)
            ratio = statistics.median(a.cpu_s / b.cpu_s for a, b in pairs)
            print(f"| {name} | {cpu * 1000:.0f} | {ratio:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
