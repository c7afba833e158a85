"""The single file as a stranger uses it: an empty account, and every interpreter here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYZ = ROOT / "dist" / "tavo.pyz"
SHOP = ROOT / "examples" / "shop-agent"


class Machine:
    """A user's account with nothing in it, and the single file, on one interpreter."""

    def __init__(
        self, home: Path, *, python: str = sys.executable, pyz: Path = PYZ, **variables: str
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.python = python
        self.pyz = pyz
        self.environment = {
            "HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
            # Any attempt to reach the network ends at a closed port.
            "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", **variables,
        }  # fmt: skip

    def command(self, *words: object) -> list[str]:
        return [self.python, str(self.pyz), *map(str, words)]

    def run(
        self, *words: object, code: int | None = 0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*words), env=self.environment, cwd=self.home, capture_output=True,
            text=True, check=False, stdin=subprocess.DEVNULL, timeout=300, **options,
        )  # fmt: skip
        if code is not None:
            said = f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == code, said
        assert "Traceback" not in done.stderr, done.stderr
        return done

    @property
    def place(self) -> Path:
        return self.home / ".cache" / "tavo" / "app"

    @property
    def unpacked(self) -> Path:
        """Return the one folder of unpacked files of this account."""
        (found,) = (path for path in self.place.iterdir() if not path.name.startswith("."))
        return found


def manifest(pyz: Path = PYZ) -> Mapping[str, Any]:
    with zipfile.ZipFile(pyz) as opened:
        found: Mapping[str, Any] = json.loads(opened.read("manifest.json"))
    return found


def target(minor: str = f"3{sys.version_info[1]}") -> str:
    """Return this machine's name for the build, such as `linux-x86_64-cp311`."""
    from tavo.onefile.finder import platform

    return f"{platform()}-cp{minor}"


@cache
def interpreters() -> list[str]:
    """Return an interpreter on this machine for each minor version that the file serves."""
    from tavo.operator.pack.code import find_interpreters

    minors = manifest()["interpreters"] if PYZ.exists() else [f"3{sys.version_info[1]}"]
    return [str(found.path) for found in find_interpreters(list(minors)).values()]


def for_other_users(python: str) -> str | None:
    """Return this interpreter, or one of its minor version, that an unprivileged user can start."""
    name = Path(python).name if Path(python).name.startswith("python3.") else "python3"
    for path in (python, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        try:
            subprocess.run([path, "-V"], user=65534, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    return None


def attached(code: str, pyz: Path = PYZ) -> str:
    """Return a program that makes the file importable as its start does, then runs the code."""
    return (
        "import sys, zipimport\n"
        f"archive = {str(pyz)!r}\n"
        "start = {'__name__': 'start', '__file__': archive + '/__main__.py'}\n"
        "exec(zipimport.zipimporter(archive).get_code('__main__'), start)\n"
        "start['attach']()\n"
        "from tavo.onefile import running\n"
        "finder = running()\n" + code
    )
