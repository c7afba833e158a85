"""What the built tavo.pyz has: asked of the file itself, as the GitHub Action asks."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

from tests.fakes.single_file import PYZ

__all__ = ["has_format", "has_option"]


@cache
def has_option(name: str) -> bool:
    """Tell whether `tavo scan` takes this option."""
    return f"{name} " in _run("scan", "--help").stdout.replace("\n", " \n")


@cache
def has_format(name: str) -> bool:
    """Tell whether a run can be exported in this format."""
    return _run("results", "export", "--store", "no.db", "--format", name).returncode == 3


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PYZ), *words], capture_output=True, text=True, check=False, cwd="/",
        timeout=300,
    )  # fmt: skip
