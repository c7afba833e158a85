"""A scan with one process keeps its report, whatever a file does to the process that reads it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copies here")

ONE_PROCESS = """
import ctypes, sys
from pathlib import Path, PurePosixPath
from tavo.scan import engine
from tavo.scan.files import SourceFile
from tavo.scan.rules import load_rules

folder, inline = Path(sys.argv[1]), int(sys.argv[2])
engine._INLINE = inline
read = engine.read

def crashing(file, **bounds):
    if file.relative.name == "f17.py":
        ctypes.string_at(0)  # what a parser in C does at its worst
    return read(file, **bounds)

engine.read = crashing
rules = [folder / "rules.yaml"]
files = [SourceFile(one, PurePosixPath(one.name)) for one in sorted(folder.glob('f*.py'))]
for result in engine.scan(files, load_rules(rules), rule_paths=rules, jobs=1):
    print(result.path, len(result.hits), *result.problems)
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_a_crash_costs_one_file_with_one_process_too(tmp_path: Path, guarded: bool) -> None:
    for number in range(60):
        (tmp_path / f"f{number:02}.py").write_text("eval(x)\n")
    (tmp_path / "rules.yaml").write_text(
        "rules:\n- {id: e, languages: [python], severity: LOW, message: e, pattern: eval(...)}\n"
    )
    inline = 40 if guarded else 1_000
    done = subprocess.run(
        [sys.executable, "-c", ONE_PROCESS, str(tmp_path), str(inline)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("f")]
    if not guarded:
        assert done.returncode == -signal.SIGSEGV
        return
    assert done.returncode == 0, done.stderr
    assert len(lines) == 60
    assert "f17.py 0 the scanner died on this file: it was ended by SIGSEGV" in lines
    assert sum(line.endswith(".py 1") for line in lines) == 59
