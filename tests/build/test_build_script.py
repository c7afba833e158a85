"""build.py says what is wrong in one sentence, before it does anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(*arguments: str, script: Path = ROOT / "build.py", python: str = sys.executable,
          env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:  # fmt: skip
    return subprocess.run(
        [python, str(script), *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, **(env or {})}, timeout=300,
    )  # fmt: skip


def test_no_command_prints_the_commands() -> None:
    done = build()
    assert done.returncode == 2
    assert "build.py run ARGS" in done.stdout


def test_an_unknown_command_is_named() -> None:
    done = build("tset")
    assert done.returncode == 2
    assert done.stderr == (
        "build: 'tset' is not a command; use one of run, test, check, pyz, plugins, lock.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "--fast"], "check does not know '--fast'; it takes --slow or nothing."),
        (["lock", "x"], "lock does not know 'x'; it takes --upgrade or nothing."),
        (["pyz", "--fast"], "pyz does not know '--fast'; see `python3 build.py --help`."),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], sentence: str) -> None:
    done = build(*arguments)
    assert (done.returncode, done.stderr) == (2, f"build: {sentence}\n")


def copy_of_the_script(folder: Path) -> Path:
    script = folder / "build.py"
    script.write_bytes((ROOT / "build.py").read_bytes())
    for name in ("requirements.lock", "requirements-dev.lock"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return script


def test_without_a_package_index_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    script = copy_of_the_script(tmp_path)
    done = build("test", script=script, env={
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull,
    })  # fmt: skip
    assert done.returncode == 3
    assert "installing requirements-dev.lock failed: " in done.stderr
    assert "put the wheels in a folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".venv" / f"cp3{sys.version_info[1]}" / ".lock-digest").exists()


def test_without_venv_one_sentence_names_the_package(tmp_path: Path) -> None:
    script = copy_of_the_script(tmp_path)
    hide = tmp_path / "hide.py"
    hide.write_text(
        "import importlib.util as u, runpy, sys\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'venv' else real(name, *a)\n"
        f"sys.argv = [{str(script)!r}, 'test']\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    done = build(script=hide)
    assert done.returncode == 3
    assert "this Python has no 'venv' module" in done.stderr
    assert "apt-get install python3." in done.stderr


def test_too_old_a_python_is_named(tmp_path: Path) -> None:
    script = copy_of_the_script(tmp_path)
    old = tmp_path / "old.py"
    old.write_text(
        "import runpy, sys\n"
        "sys.version_info = (3, 10, 13, 'final', 0)\n"
        f"sys.argv = [{str(script)!r}, 'test']\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    done = build(script=old)
    assert done.returncode == 2
    assert "tavo needs CPython 3.11 or newer; this is cpython" in done.stderr
