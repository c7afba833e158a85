"""What typer imports and nobody uses is not loaded; who uses it gets the real module."""

from __future__ import annotations

import subprocess
import sys

HIDDEN = "('bz2', 'lzma', 'platform', 'shellingham', 'subprocess')"


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_typer_is_imported_without_what_it_does_not_use() -> None:
    code = "{}import typer\nimport sys\nprint([n for n in " + HIDDEN + " if n in sys.modules])"
    for name in ("app", "context"):
        start = (
            "from tavo.cli.deferred import OF_TYPER, deferred\n"
            f"with deferred(OF_TYPER):\n    import tavo.cli.{name}\n"
        )
        assert python(code.format(start)) == "[]"
    assert python(code.format("")) == str(sorted(eval(HIDDEN))), "control: typer alone loads them"


def test_a_stand_in_becomes_the_real_module() -> None:
    found = python(
        "from tavo.cli.deferred import deferred\n"
        "with deferred(('subprocess', 'platform')):\n"
        "    import platform as p, subprocess as s, uuid\n"
        "    print(p.system(), p.machine() != '', s.run(['true']).returncode)\n"
        "import subprocess, platform, sys\n"
        "print(s is subprocess, s.run is subprocess.run, type(subprocess).__name__)\n"
        "print(p.system() == platform.system())\n"
    )
    assert found.splitlines()[0].endswith(" True 0")
    assert found.splitlines()[1:] == ["False True module", "True"]


def test_what_was_loaded_before_stays() -> None:
    assert python(
        "import subprocess, sys\n"
        "from tavo.cli.deferred import deferred\n"
        "with deferred(('subprocess',)):\n    import subprocess as inside\n"
        "print(inside is subprocess is sys.modules['subprocess'])\n"
    ) == "True"  # fmt: skip
