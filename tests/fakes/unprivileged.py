"""The tests of chosen files once more, as a user without any rights; for root, who can be one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.kernel import ROOT

SYSTEM_PYTHON = Path("/usr/bin/python3")
NOBODY = 65534
_RUN = """
import sys
sys.path[:0] = sys.argv[1:3]
import pytest
sys.exit(pytest.main(["-q", "--tb=short", "-p", "no:cacheprovider", "--basetemp", *sys.argv[3:]]))
"""
_PROGRESS = re.compile(r"([.sFE]+) *\[ *\d+%\]")

needs_root = pytest.mark.skipif(
    os.getuid() != 0 or not SYSTEM_PYTHON.exists(), reason="needs root, who can be somebody else"
)


def run_tests(files: Sequence[Path]) -> str:
    """Run the files' tests as an unprivileged user with the system's Python; return the dots."""
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    base = Path("/tmp") / f"tavo-unprivileged-{os.getpid()}"
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
         str(SYSTEM_PYTHON), "-c", _RUN, str(ROOT), packages[0], str(base), *map(str, files)],
        capture_output=True, text=True, check=False, cwd="/tmp",
        env={
            "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent",
            "PYTHONPATH": os.pathsep.join([str(ROOT), packages[0]]),
        },
    )  # fmt: skip
    subprocess.run(["rm", "-rf", str(base)], check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return "".join(_PROGRESS.findall(done.stdout))
