"""Marshalled code of modules, made by each interpreter that the file serves.

Rules this module keeps:
- the same source and interpreter give the same bytes: each module is compiled in a copy of one
  fresh process, because what was compiled before leaves traces in marshalled code;
- names in tracebacks are relative, so the folder of the build does not matter;
- lines are kept and columns are not: they are a fifth of all code, and serve only the marks below
  a line of a traceback;
- a module that was compiled once is not compiled again: results are kept by content.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tavo.operator.pack.targets import PackError

__all__ = ["Interpreter", "compile_all", "find_interpreters"]

_OPTIONS = ("-S", "-s", "-P", "-B", "-X", "no_debug_ranges")
_COMPILE = """
import json, marshal, os, sys
requests = json.load(sys.stdin)
fork = getattr(os, "fork", None)  # without it the bytes may differ between builds
for source, relative, out in requests:
    child = fork() if fork else 0
    if child:
        if os.waitpid(child, 0)[1]:
            sys.exit(f"cannot compile {relative}")
        continue
    try:
        with open(source, "rb") as stream:
            code = compile(stream.read(), relative, "exec", 0, True)
        partial = f"{out}.{os.getpid()}.new"  # another build may compile the same
        with open(partial, "wb") as stream:
            stream.write(marshal.dumps(code))
        os.replace(partial, out)
    except BaseException as error:
        print(f"{relative}: {error}", file=sys.stderr)
        os._exit(1)
    if fork:
        os._exit(0)
"""


class Interpreter:
    """One CPython on this machine."""

    def __init__(self, path: Path, minor: str, version: str) -> None:
        self.path = path
        self.minor = minor
        self.version = version


def find_interpreters(minors: Sequence[str]) -> dict[str, Interpreter]:
    """Return an interpreter for each minor version (such as `311`) that is at hand.

    This one, those on the path by name, and those of pyenv are looked at.
    """
    found: dict[str, Interpreter] = {}
    for minor in minors:
        for path in _candidates(minor):
            version = _version(path, minor)
            if version:
                found[minor] = Interpreter(path, minor, version)
                break
    return found


def compile_all(
    interpreter: Interpreter, sources: Mapping[str, Path], cache: Path
) -> dict[str, bytes]:
    """Return the marshalled code of each source (relative path to file).

    Raises PackError naming the file that does not compile.
    """
    folder = cache / f"cp{interpreter.minor}-{interpreter.version}-lines"
    folder.mkdir(parents=True, exist_ok=True)
    places = {
        relative: folder / hashlib.sha256(f"{relative}\0".encode() + path.read_bytes()).hexdigest()
        for relative, path in sources.items()
    }
    requests = [
        (str(path), relative, str(places[relative]))
        for relative, path in sorted(sources.items())
        if not places[relative].exists()
    ]
    if requests:
        done = subprocess.run(
            [str(interpreter.path), *_OPTIONS, "-c", _COMPILE],
            input=json.dumps(requests), env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise PackError(f"CPython {interpreter.version}: {done.stderr.strip()[-300:]}")
    return {relative: place.read_bytes() for relative, place in places.items()}


def _candidates(minor: str) -> list[Path]:
    name = f"python{minor[0]}.{minor[1:]}"
    paths = [Path(sys.executable)]
    if on_path := shutil.which(name):
        paths.append(Path(on_path))
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    paths += sorted(pyenv.glob(f"versions/{minor[0]}.{minor[1:]}.*/bin/{name}"), reverse=True)
    return paths


def _version(path: Path, minor: str) -> str:
    """Return the full version if this is a CPython of the minor version, else nothing."""
    probe = "import sys; print(sys.implementation.cache_tag, sys.version.split()[0])"
    try:
        done = subprocess.run(
            [str(path), "-I", "-c", probe], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    tag, _, version = done.stdout.strip().partition(" ")
    return version if done.returncode == 0 and tag == f"cpython-{minor}" else ""
