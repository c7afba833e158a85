"""What a command imports: nothing heavy that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"tuf", "datasette", "httpx", "cryptography", "sqlite_utils", "rich", "hypothesis"}
PROBE = (
    "import sys\n"
    "from tavo.cli import main\n"
    "main(sys.argv[1:])\n"
    "print('MODULES', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
)


def modules(folder: Path, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("MODULES"))
    return set(line.split()[1:])


def test_version_imports_no_command_line_library(tmp_path: Path) -> None:
    assert not modules(tmp_path, "--version") & (HEAVY | {"typer", "msgspec", "yaml", "sqlite3"})


@pytest.mark.parametrize("words", [["--help"], ["rules", "list"], ["scan", "--help"]])
def test_help_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    assert not modules(tmp_path, *words) & HEAVY


def test_a_scan_imports_nothing_of_the_marketplace(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print(1)\n")
    assert not modules(tmp_path, "scan", "a.py") & HEAVY


def test_the_probe_sees_what_is_imported(tmp_path: Path) -> None:
    assert {"tavo", "sys"} <= modules(tmp_path, "--version")
