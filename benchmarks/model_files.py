"""What picklescan, fickling and the two plugins find in hostile model files, and in harmless ones.

    python3 -m venv SCRATCH && SCRATCH/bin/pip install picklescan==1.0.5 fickling==0.1.12 \\
        joblib numpy pandas scikit-learn torch
    git clone https://github.com/mmaitre314/picklescan
    git clone https://github.com/promptfoo/modelaudit
    .venv/cp311/bin/python benchmarks/model_files.py SCRATCH/bin/python \\
        --cloned picklescan --cloned modelaudit [--missed] [--write]

Sets: our own, which SCRATCH's Python makes (model_files_corpus.py says what; each hostile file is
loaded once and stays only if its payload ran), and the test files of the clones, which count as
hostile or harmless by the words in their names; others are left out. The plugins were made with our
own set at hand, so only the others are held-out data, and only they go into scores.json (--write).
picklescan is tuned on its own test files.

Found is what is said at medium or above: picklescan's "dangerous", fickling's "likely unsafe" and
worse, a plugin's findings of medium severity or more; "any" counts all that is said. --missed names
the files.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import ROOT, machine

PLUGINS = ROOT / "examples" / "plugins"
_WALK = """
import json, logging, os, sys, warnings
from pathlib import Path, PurePosixPath
answer, sys.stdout = sys.stdout, open(os.devnull, "w")
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
{setup}
found = {{}}
for path in sorted(Path(sys.argv[1]).glob("h*-*")):
    try:
        found[path.name] = look(path)
    except Exception as error:
        found[path.name] = [-1, type(error).__name__]
json.dump(found, answer)
"""
_PICKLESCAN = """
from picklescan import scanner
def look(path):
    r = scanner.scan_file_path(path)
    return [r.issues_count, r.suspicious_count + r.scan_err]
"""
_FICKLING = """
import zipfile
from fickling import loader
from fickling.analysis import Severity
def look(path):
    if zipfile.is_zipfile(path):
        results = list(loader.scan_zip_archive(str(path), graceful=True).values())
    else:
        results = [loader.scan_file(str(path), graceful=True)]
    worst = max((r.severity.severity for r in results), default=0)
    return [int(worst >= 3), int(worst > 0)]
"""
_PLUGIN = """
from main import {name} as Plugin
def look(path):
    with path.open("rb") as file:
        found = [f.severity.value for f in Plugin().analyze_binary(PurePosixPath(path.name), file)]
    return [sum(s in ("medium", "high", "critical") for s in found), len(found)]
"""
SCANNERS = {
    "picklescan 1.0.5": (_PICKLESCAN, ""),
    "tavo/model-files": (_PLUGIN.format(name="ModelFiles"), "model-files"),
    "fickling 0.1.12": (_FICKLING, ""),
    "tavo/model-files-deep": (_PLUGIN.format(name="ModelFilesDeep"), "model-files-deep"),
}


_SUFFIXES = {
    ".bin", ".h5", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".zip", ".7z",
}  # fmt: skip
_HOSTILE = re.compile(
    r"malicious|GHSA|exploit|sploit|attack|evil|bypass|nested_pickle|exec|traversal"
)
_HARMLESS = re.compile(r"benign|safe|int_array|object_array|pytorch_model|not_a_pickle")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the files, look at them, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python")
    parser.add_argument("--cloned", action="append", default=[], type=Path, metavar="FOLDER")
    parser.add_argument("--missed", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    print(f"{machine()}\n")
    scores: dict[str, list[dict[str, object]]] = {}
    with tempfile.TemporaryDirectory(prefix="tavo-model-files-") as folder:
        own = Path(folder) / "own"
        maker = ROOT / "benchmarks" / "model_files_corpus.py"
        subprocess.run([given.python, "-W", "ignore", maker, own], check=True)
        sets = [own, *(taken(clone, Path(folder) / clone.name) for clone in given.cloned)]
        print("| set | scanner | hostile found | any | harmless called bad | any | errors |")
        print("|---|---|---|---|---|---|---|")
        for files in sets:
            for scanner, (setup, plugin) in SCANNERS.items():
                said = look(given.python, setup, plugin, files)
                print(row(files.name, scanner, said))
                if given.missed:
                    print(missed(said), file=sys.stderr)
                if plugin and files is not own:
                    scores.setdefault(plugin, []).extend(figures(files.name, said))
    if given.write:
        for plugin, rows in scores.items():
            write_scores(PLUGINS / plugin, rows)
    return 0


def taken(clone: Path, folder: Path) -> Path:
    """Copy the test files of a clone whose names say what they are."""
    folder.mkdir()
    for number, path in enumerate(sorted((clone / "tests").rglob("*"))):
        if path.suffix not in _SUFFIXES or not path.is_file():
            continue
        if _HOSTILE.search(path.name):
            shutil.copy(path, folder / f"hostile-{number}-{path.name}")
        elif _HARMLESS.search(path.name):
            shutil.copy(path, folder / f"harmless-{number}-{path.name}")
    return folder


def look(python: str, setup: str, plugin: str, files: Path) -> Mapping[str, list[int]]:
    """Return by file: how many findings count, and how many there are; -1 for an error."""
    path = os.pathsep.join(map(str, (PLUGINS / plugin, ROOT))) if plugin else ""
    done = subprocess.run(
        [python, "-c", _WALK.format(setup=setup), files],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def is_hostile(name: str) -> bool:
    """Tell what a file is by the name that it has here."""
    return name.startswith("hostile-")


def row(source: str, scanner: str, said: Mapping[str, list[int]]) -> str:
    """Return a row of the table."""
    cells = []
    for kind in (True, False):
        of = [said[name] for name in said if is_hostile(name) == kind]
        bad = sum(count > 0 for count, _ in of)
        more = sum(count == 0 and rest > 0 for count, rest in of)
        cells += [f"{bad} of {len(of)}", f"{bad + more}"]
    errors = sum(count < 0 for count, _ in said.values())
    return f"| {source} | {scanner} | {' | '.join(cells)} | {errors} |"


def missed(said: Mapping[str, list[int]]) -> str:
    """Return the names of what went wrong."""
    wrong = [
        f"{name}{' (error)' if bad < 0 else ' (low)' if more and is_hostile(name) else ''}"
        for name, (bad, more) in said.items()
        if (bad > 0) != is_hostile(name)
    ]
    return "  " + "\n  ".join(wrong)


def figures(source: str, said: Mapping[str, list[int]]) -> list[dict[str, object]]:
    """Return the figures of a set for scores.json; they are of medium severity or above."""
    rows: list[dict[str, object]] = []
    for kind, metric in ((True, "recall"), (False, "false alarms")):
        of = [said[name][0] > 0 for name in said if is_hostile(name) == kind]
        name = f"test files of {source}, {'hostile' if kind else 'harmless'} by their names"
        value = round(sum(of) / len(of), 3)
        rows.append({"data": name, "metric": metric, "value": value, "rows": len(of)})
    return rows


def write_scores(plugin: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the scores.json of a plugin."""
    lines = ",\n".join(f"  {json.dumps(one)}" for one in rows)
    text = f'{{"format": 1, "held_out": [\n{lines}\n]}}\n'
    (plugin / "scores.json").write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
