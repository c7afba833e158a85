"""Start-up of the single file and of its peers, as ratios to a bare interpreter in the same run.

python3 build.py pyz && .venv/cp311/bin/python benchmarks/startup.py [--repeat 15] [--file FILE]

Peers, all of the same packages: an ordinary shiv file, a pex file, the console script of
`pip install .`; and `semgrep --version`. Every figure is the median of paired runs: the command and
`python3 -I -c pass`, one after the other, on an interpreter without site-packages.
The cost of checking the cache is measured inside: CPU time of everything below `Finder.checked`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import big_catalog
from measure import PYZ, ROOT, WORK, Cost, machine, peer, run

COUNTED = """
import sys, time, zipimport
archive = sys.argv[1]
start = {"__name__": "start", "__file__": archive + "/__main__.py"}
exec(zipimport.zipimporter(archive).get_code("__main__"), start)
start["attach"]()
from tavo.onefile import running
kind = type(running())
real, spent, depth = kind.checked, [0.0], [0]
def counted(self, *file):
    if depth[0]:
        return real(self, *file)
    self.home  # finding or filling the folder is not checking it
    depth[0] = 1
    began = time.process_time()
    try:
        return real(self, *file)
    finally:
        spent[0] += time.process_time() - began
        depth[0] = 0
kind.checked = counted
sys.argv[:] = [archive, *sys.argv[2:]]
from tavo.cli import main
try:
    main()
except SystemExit:
    pass
print(f"\\nSPENT {spent[0]}")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--file", type=Path, default=PYZ)
    given = parser.parse_args()
    bare = clean_python()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        big = big_catalog.write(WORK / "big-catalog")
        settings = home / ".config" / "tavo" / "tavo.toml"
        environment = {
            "HOME": name, "SHIV_ROOT": str(home / "shiv"), "PEX_ROOT": str(home / "pex"),
            "SEMGREP_ENABLE_VERSION_CHECK": "0", "SEMGREP_SEND_METRICS": "off",
            "PYTHONDONTWRITEBYTECODE": "",
        }  # fmt: skip
        file = [bare, str(given.file)]
        print(f"{machine()}; medians of {given.repeat} paired runs; ratio to `python3 -I -c pass`")
        print()
        first_run(file, environment, home)
        project = home / "project"
        project.mkdir()
        shutil.copy(ROOT / "examples" / "shop-agent" / "assistant.py", project)
        scan = ["scan", str(project), "--exit-zero"]
        table("tavo.pyz", file, environment, bare, given.repeat, [
            ["--version"], ["--help"], ["registry", "list"], ["registry", "browse"], scan,
        ])  # fmt: skip
        with_big(file, environment, bare, given.repeat, settings, big)
        checking(file, environment, scan)
        shiv, pex, console = ROOT / "dist" / "tavo-shiv.pyz", build_pex(), build_console()
        for label, command in (
            ("plain shiv", [bare, str(shiv)] if shiv.exists() else None),
            ("pex", [bare, str(pex)] if pex else None),
            ("pip console script", [str(console)] if console else None),
        ):
            table(label, command, environment, bare, given.repeat,
                  [["--version"], ["--help"], ["registry", "list"], scan])  # fmt: skip
        semgrep = peer("semgrep==1.185.0", "semgrep")
        table("semgrep 1.185.0", [str(semgrep)] if semgrep else None, environment, bare,
              max(3, given.repeat // 3), [["--version", "--disable-version-check"]])  # fmt: skip
    return 0


def clean_python() -> str:
    """Return an interpreter without site-packages, so that its own start is all there is."""
    folder = WORK / f"clean-{sys.version_info[0]}{sys.version_info[1]}"
    if not (folder / "bin" / "python").exists():
        subprocess.run(
            [sys.base_prefix + "/bin/python3", "-m", "venv", "--without-pip", str(folder)],
            check=True,
        )
    return str(folder / "bin" / "python")


def first_run(file: Sequence[str], environment: dict[str, str], home: Path) -> None:
    """Print size and cost of the first command that needs what is unpacked."""
    cost = run([*file, "rules", "list"], env=environment)
    unpacked = sum(p.stat().st_size for p in (home / ".cache").rglob("*") if p.is_file())
    print(f"file: {Path(file[1]).stat().st_size / 1e6:.1f} MB; unpacked {unpacked / 1e6:.1f} MB")
    print(f"first run: {cost.cpu_s:.2f} s CPU, {cost.wall_s:.2f} s wall, {cost.peak_mb:.0f} MB")
    print()


def table(
    label: str,
    tool: Sequence[str] | None,
    environment: dict[str, str],
    bare: str,
    repeat: int,
    commands: Sequence[Sequence[str]],
) -> None:
    """Print the cost of some commands of a tool."""
    for words in commands:
        shown = " ".join(Path(w).name if os.sep in w else w for w in words)
        if tool is None:
            print(f"{label:20} {shown:42} not measured")
            continue
        measured = paired([*tool, *words], environment, bare, repeat)
        if measured is None:
            print(f"{label:20} {shown:42} failed")
            continue
        cost, ratio = measured
        print(f"{label:20} {shown:42} {cost * 1000:7.1f} ms CPU {ratio:6.2f}x")


def paired(
    command: Sequence[str], environment: dict[str, str], bare: str, repeat: int
) -> tuple[float, float] | None:
    """Return CPU seconds and the ratio to a bare interpreter, None if the command fails."""
    warm: Cost = run(command, env=environment)
    if warm.code != 0:
        return None
    pairs = [
        (run(command, env=environment).cpu_s, run([bare, "-I", "-c", "pass"]).cpu_s)
        for _ in range(repeat)
    ]
    return statistics.median(a for a, _ in pairs), statistics.median(a / b for a, b in pairs)


def with_big(
    file: Sequence[str], environment: dict[str, str], bare: str, repeat: int, settings: Path,
    big: Path,
) -> None:  # fmt: skip
    """Measure a command that opens a verified catalog of 10,000 plugins."""
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[registry]\nroot = "{big.parent / "root.json"}"\n')
    run([*file, "registry", "update", "--mirror", str(big)], env=environment)
    size = next(big.glob("targets/catalog/*.db")).stat().st_size / 1e6
    table(f"10k catalog, {size:.0f} MB", file, environment, bare, repeat,
          [["registry", "show", "acme/prompt-1"], ["registry", "search", "agent-5"]])  # fmt: skip
    settings.unlink()


def checking(file: Sequence[str], environment: dict[str, str], scan: Sequence[str]) -> None:
    """Print the CPU time of checking the cache, inside single commands."""
    print()
    for words in (scan, ["registry", "list"], ["registry", "browse"], ["self", "verify"]):
        spent = []
        for _ in range(5):
            cost = run([file[0], "-c", COUNTED, file[1], *words], env=environment)
            spent.append(float(cost.output.rpartition("SPENT ")[2] or "nan"))
        print(f"checking the cache in {words[0]} {words[1] if words[0] != 'scan' else ''}:"
              f" {statistics.median(spent) * 1000:.1f} ms CPU")  # fmt: skip
    crypto = "import cryptography.hazmat.bindings._rust"
    code = COUNTED.partition("sys.argv[:]")[0] + f"{crypto}\nprint(f'SPENT {{spent[0]}}')"
    cost = [run([file[0], "-c", code, file[1]], env=environment) for _ in range(5)]
    spent = [float(one.output.rpartition("SPENT ")[2] or "nan") for one in cost]
    print(f"checking the cache for cryptography: {statistics.median(spent) * 1000:.1f} ms CPU")
    print()


def build_pex() -> Path | None:
    """Make a pex file of the same packages, once for each build."""
    out = WORK / "tavo.pex"
    tool, tree = peer("pex", "pex"), ROOT / ".build" / "tree"
    if tool is None or not tree.exists():
        return None
    if not out.exists():
        done = subprocess.run(
            [str(tool), "-D", str(tree), "-e", "tavo.cli:main", "-o", str(out), "--python",
             sys.executable],
            check=False, capture_output=True,
        )  # fmt: skip
        if done.returncode != 0:
            return None
    return out


def build_console() -> Path | None:
    """Install the checkout with pip into an environment of its own."""
    folder = WORK / "console"
    tool = folder / "bin" / "tavo"
    if not tool.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        done = subprocess.run(
            [str(folder / "bin" / "pip"), "install", "-q", str(ROOT)], check=False,
            capture_output=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        )  # fmt: skip
        if done.returncode != 0:
            return None
    return tool


if __name__ == "__main__":
    sys.exit(main())
