"""Interpreters with libraries that tavo does not depend on, for tests that only run with --slow.

Each is made once, below .build/environments, in a folder that is named by what it holds and has a
mark when it is whole: an installation that was cut short is made again. Where it cannot be made,
because there is no package index, the tests that want it are skipped and say so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / ".build" / "environments"
LIMIT_S = 900


def python_with(name: str, *requirements: str) -> str:
    """Return an interpreter with these packages: TAVO_TEST_<NAME>_PYTHON, or one that is made."""
    variable = f"TAVO_TEST_{name.upper()}_PYTHON"
    if given := os.environ.get(variable):
        return given
    wanted = "\n".join((sys.version, *sorted(requirements)))
    folder = PLACE / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "complete").exists():
        reason = _make(folder, python, requirements)
        if reason:
            pytest.skip(f"{', '.join(requirements)} cannot be installed ({reason}); {variable} may"
                        " name an interpreter that has them")  # fmt: skip
    return str(python)


def _make(folder: Path, python: Path, requirements: tuple[str, ...]) -> str:
    """Make the environment; return why that could not be done, or nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                [str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:",
                 "--disable-pip-version-check", *requirements],
                stdout=said, stderr=subprocess.STDOUT, check=False, timeout=LIMIT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"it took longer than {LIMIT_S} s"
        if done.returncode == 0:
            (folder / "complete").touch()
            return ""
        said.seek(0)
        lines = [line for line in said.read().decode("utf-8", "replace").splitlines() if line]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip gave no reason"])[0].removeprefix("ERROR: ")[:200]
