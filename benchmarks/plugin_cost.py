"""What a static plugin costs a scan, by counters around those paths.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/plugin_cost.py [--repeat 5]

Cost = (host CPU spent for the plugin + worker CPU) / CPU of the whole scan, median of the runs. Two
cases: the official plugin on the example, and on real code beside 1,000 small model files.
"""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import sys
import tempfile
from pathlib import Path

from measure import PYZ, ROOT, machine, run, source

CODE = "langchain-community==0.3.27"


def make_models(folder: Path, count: int) -> None:
    data = pickle.dumps({"weights": list(range(200))})
    for number in range(count):
        (folder / f"model_{number:04}.pkl").write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    print(f"{machine()}; medians of {repeat} runs")
    print("| code | scan CPU s | host CPU s | worker CPU s | plugin / scan | peak MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home}
        tool = [sys.executable, str(PYZ)]
        run([*tool, "registry", "install", "model-files", "--yes"], env=environment)
        models = Path(home) / "models"
        models.mkdir()
        make_models(models, 1_000)
        code = source(CODE)
        cases = [
            ("examples/shop-agent", [ROOT / "examples" / "shop-agent"]),
            (f"{CODE} and 1,000 model files", [code, models] if code else None),
        ]
        for name, targets in cases:
            if targets is None:
                print(f"| {name} | not measured | | | | |")
                continue
            command = [*tool, "scan", *map(str, targets), "--static-plugins", "model-files",
                       "--format", "json", "--jobs", "1", "--exit-zero"]  # fmt: skip
            rows = []
            for _ in range(repeat):
                cost = run(command, env=environment)
                plugin = json.loads(cost.output)["plugins"][0]
                rows.append((cost.cpu_s, plugin["host_cpu_s"], plugin["worker_cpu_s"],
                             plugin["peak_bytes"] / 1e6))  # fmt: skip
            scan, host, worker, peak = (
                statistics.median(column) for column in zip(*rows, strict=True)
            )
            ratio = statistics.median((h + w) / s for s, h, w, _ in rows)
            print(f"| {name} | {scan:.2f} | {host:.3f} | {worker:.3f} | {ratio:.1%} | {peak:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
