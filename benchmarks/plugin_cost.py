"""What a static plugin costs a scan, by counters around those paths.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/plugin_cost.py [--repeat 5]

Cost = (host CPU spent for the plugin + worker CPU) / CPU of the whole scan, median of the runs. The
counters begin with the verification of the installation and end with the last answer: loading what
runs plugins, starting, reading, the arena, kept answers, judging. They are checked in the same
run: two scans of the same few files, with and without a plugin, must differ by what was counted.

Cases: 5,000 files of real code with a plugin that does nothing, with one that finds something, and
with one whose literals no file holds, each on a fresh cache, the second also again; the official
plugin on the example, and on real code beside 1,000 small model files.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import statistics
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import PYZ, ROOT, WORK, machine, run, source

sys.path.insert(0, str(ROOT))

from tavo.host.installations import Installations
from tavo.host.state import State
from tests.fakes.plugins import PluginMachine

CODE = "langchain-community==0.3.27"
PACKAGES = (CODE, "langchain==0.3.26", "litellm==1.74.0", "openai==1.97.0",
            "llama-index-core==0.12.52", "transformers==4.46.3")  # fmt: skip
FILES = 5_000

HEAD = "from tavo.plugins import Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin\n"
NOTHING = (
    HEAD
    + """
class Plugin(StaticAnalysisPlugin):
    def analyze_file(self, file_path, content):
        return ()
"""
)
# A rule as people write them: a parse of every file, and a walk over its tree.
RULE = (
    HEAD
    + """
import ast

NAMES = {"eval", "exec", "compile"}

class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="dynamic-code", title="Code from text", severity=Severity.LOW),)

    def analyze_file(self, file_path, content):
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                    and node.func.id in NAMES):
                yield Finding(
                    rule_id="dynamic-code", message="Code is made from text.",
                    severity=Severity.LOW,
                    location=Location(path=file_path, region=Region(
                        start_line=node.lineno, start_column=1,
                        end_line=node.lineno, end_column=2)),
                )
"""
)
# name, code, more of the manifest, whether a second scan is measured: what is answered faster than
# it is kept is asked again
PLUGINS = (
    ("does nothing", NOTHING, "", False),
    ("parses and walks", RULE, "", True),
    ("parses and walks, no file has its literals", RULE, 'literals: ["no_such_call("]\n', False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scan with one plugin."""

    scan_s: float
    host_s: float
    worker_s: float
    peak_mb: float
    cached: int

    @property
    def plugin_s(self) -> float:
        return self.host_s + self.worker_s


def make_models(folder: Path, count: int) -> None:
    data = pickle.dumps({"weights": list(range(200))})
    for number in range(count):
        (folder / f"model_{number:04}.pkl").write_bytes(data)


def make_code() -> Path | None:
    """Put the first 5,000 files of the packages into one folder, in the order of their names."""
    folder = WORK / f"code-{FILES}"
    if folder.exists():
        return folder
    partial = WORK / "code.partial"
    shutil.rmtree(partial, ignore_errors=True)
    left = FILES
    for package in PACKAGES:
        root = source(package)
        if root is None:
            return None
        for path in sorted(root.rglob("*.py"))[:left]:
            copy = partial / package.partition("==")[0] / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            left -= 1
    partial.rename(folder)
    return folder if not left else None


def scan(home: Path, targets: Sequence[Path], plugin: str) -> Row:
    """Scan with a plugin, or without one where it is empty."""
    command = [sys.executable, str(PYZ), "scan", *map(str, targets), "--format", "json",
               "--jobs", "1", "--exit-zero"]  # fmt: skip
    command += ["--static-plugins", plugin] if plugin else []
    cost = run(command, env={"HOME": str(home)})
    if cost.code != 0:
        raise SystemExit(f"the scan ended with {cost.code}: {cost.output[:300]}")
    row = json.loads(cost.output)["plugins"][0] if plugin else dict.fromkeys(
        ("host_cpu_s", "worker_cpu_s", "peak_bytes", "cached"), 0
    )  # fmt: skip
    return Row(scan_s=cost.cpu_s, host_s=row["host_cpu_s"], worker_s=row["worker_cpu_s"],
               peak_mb=row["peak_bytes"] / 1e6, cached=row["cached"])  # fmt: skip


def forget(home: Path) -> None:
    """Let the next scan know nothing from before: neither what plugins nor what rules said."""
    for kept in ("answers", "scans"):
        shutil.rmtree(home / ".local" / "state" / "tavo" / kept, ignore_errors=True)


def install(home: Path, main: str, more: str, count: int) -> str:
    """Install a plugin the real way for the user with this home."""
    user = PluginMachine(home / f"made-{count}")
    user.state = State(home / ".local" / "state" / "tavo" / "state.db")
    user.installations = Installations(user.state, home / ".local" / "share" / "tavo" / "plugins")
    user.install(main, version=f"1.{count}.0", more=more)
    user.state.close()
    return "acme/sample"


def show(name: str, rows: Sequence[Row]) -> None:
    middle = {
        field: statistics.median(getattr(row, field) for row in rows)
        for field in ("scan_s", "host_s", "worker_s", "peak_mb")
    }
    ratio = statistics.median(row.plugin_s / row.scan_s for row in rows)
    print(
        f"| {name} | {middle['scan_s']:.2f} | {middle['host_s']:.3f} | {middle['worker_s']:.3f}"
        f" | {ratio:.2%} | {middle['peak_mb']:.0f} |",
        flush=True,
    )


def five_thousand(home: Path, code: Path, repeat: int, chosen: Collection[int]) -> Iterator[str]:
    """Print the rows of the 5,000 files; yield what is to be said about kept answers."""
    for count, (name, main, more, twice) in enumerate(PLUGINS, start=1):
        if count - 1 not in chosen:
            continue
        plugin = install(home, main, more, count)
        cold, again = [], []
        for _ in range(repeat):
            forget(home)
            cold.append(scan(home, [code], plugin))
            if twice:
                again.append(scan(home, [code], plugin))
        show(f"{FILES} files; {name}", cold)
        if not again:
            continue
        show(f"the same again, {again[0].cached} answers kept", again)
        plugin_ratio = statistics.median(
            b.plugin_s / a.plugin_s for a, b in zip(cold, again, strict=True)
        )
        scan_ratio = statistics.median(
            b.scan_s / a.scan_s for a, b in zip(cold, again, strict=True)
        )
        yield (
            f"{name}: plugin again / cold {plugin_ratio:.1%}, scan again / cold {scan_ratio:.1%}"
        )


def check_counters(home: Path, repeat: int) -> str:
    """Compare what was counted with two whole processes, on few files: nearly all is the start."""
    target = [ROOT / "examples" / "shop-agent"]
    install(home, NOTHING, "", len(PLUGINS) + 1)
    forget(home)
    pairs = []
    for _ in range(repeat):
        forget(home)
        first = scan(home, target, "acme/sample")
        forget(home)
        pairs.append((first, scan(home, target, "").scan_s))
    differ = statistics.median(row.scan_s - plain for row, plain in pairs)
    counted = statistics.median(row.plugin_s for row, _ in pairs)
    return (
        f"few files: with the plugin {differ * 1000:.0f} ms more CPU than without,"
        f" {counted * 1000:.0f} ms counted"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--plugins", type=int, nargs="*", default=range(len(PLUGINS) + 1))
    given = parser.parse_args()
    repeat = given.repeat
    print(f"{machine()}; medians of {repeat} runs\n")
    print("| code | scan CPU s | host CPU s | worker CPU s | plugin / scan | peak MB |")
    print("|---|---|---|---|---|---|")
    notes = []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        run([sys.executable, str(PYZ), "registry", "install", "model-files", "--yes"],
            env={"HOME": name})  # fmt: skip
        code = make_code()
        if code is None:
            print(f"| {FILES} files | not measured | | | | |")
        else:
            notes += five_thousand(home, code, repeat, given.plugins)
            if 0 in given.plugins:
                notes.append(check_counters(home, max(repeat, 9)))
        models = home / "models"
        models.mkdir()
        make_models(models, 1_000)
        real = source(CODE)
        cases = [
            ("examples/shop-agent; model-files", [ROOT / "examples" / "shop-agent"]),
            (f"{CODE} and 1,000 model files; model-files", [real, models] if real else None),
        ]
        for title, targets in cases if len(PLUGINS) in given.plugins else ():
            if targets is None:
                print(f"| {title} | not measured | | | | |")
                continue
            rows = []
            for _ in range(repeat):
                forget(home)
                rows.append(scan(home, targets, "model-files"))
            show(title, rows)
    print("\n" + "\n".join(f"- {note}" for note in notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
