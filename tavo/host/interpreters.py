"""The CPythons of this machine, and which of them runs a plugin.

Rules this module keeps:
- the running one comes first, and nothing is started to look at it;
- others are looked for in absolute folders of PATH and among those of pyenv: no current folder, no
  environment of a project, no setting and no manifest names a program to start;
- one that would load other wheels than this tavo can choose (another platform, a debug build, one
  without the global lock) is not taken;
- what an interpreter is, is asked from it, isolated and without its site packages.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tavo.errors import RefusedError

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = [
    "MINORS", "Interpreter", "NoInterpreterError", "choose", "fitting", "interpreters", "running",
    "tags_of", "why_none",
]  # fmt: skip

MINORS = ("3.14", "3.13", "3.12", "3.11")
_PROBE = (
    "import json, sys, sysconfig as s; print(json.dumps([list(sys.version_info[:3]),"
    " sys.implementation.cache_tag, s.get_platform(), sys.maxsize,"
    " bool(s.get_config_var('Py_GIL_DISABLED')), bool(s.get_config_var('Py_DEBUG')),"
    " sys.executable]))"
)
_PROBE_S = 20.0


class NoInterpreterError(RefusedError):
    """No CPython of this machine fits a plugin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One CPython: where it is, its full version, and `tag`, such as `cpython-312 on linux-…`."""

    path: Path
    version: str
    tag: str

    @property
    def minor(self) -> tuple[int, int]:
        """Return its version without the last part."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)


@functools.cache
def running() -> Interpreter:
    """Return the interpreter that runs this tavo."""
    import sysconfig

    version = ".".join(map(str, sys.version_info[:3]))
    tag = f"{sys.implementation.cache_tag} on {sysconfig.get_platform()}"
    return Interpreter(path=Path(sys.executable), version=version, tag=tag)


@functools.cache
def interpreters() -> tuple[Interpreter, ...]:
    """Return one interpreter for each minor version at hand, the running one first."""
    found = {running().minor: running()}
    for minor, path in _candidates():
        if minor not in found and (one := _probed(path)) is not None:
            found.setdefault(one.minor, one)
    first, *others = found.values()
    return (first, *sorted(others, key=lambda one: one.minor, reverse=True))


def choose(full_id: str, ranges: Iterable[tuple[str, str]], *, tag: str = "") -> Interpreter:
    """Return the interpreter for a plugin, the running one if it fits.

    `ranges` are the versions that it and the plugins in its process take, each with whose they are;
    `tag` is that of the wheels that were chosen for it, empty where these fit all. Raises
    NoInterpreterError.
    """
    wanted = [(name, text) for name, text in ranges if text]
    for one in fitting(wanted, tag=tag):
        return one
    raise NoInterpreterError(
        f"{full_id}: {why_none(wanted, tag=tag)}",
        hint=("Install the plugin again, for one that is here; or install" if tag else "Install")
        + f" one, for example with pyenv or your system's packages, so that python3.N is"
        f" on PATH; {full_id} runs with it, and tavo stays where it is.",
    )


def fitting(ranges: Iterable[tuple[str, str]], *, tag: str = "") -> Iterator[Interpreter]:
    """Yield the interpreters that fit, the running one first; others are looked for when asked."""
    wanted = [(name, text) for name, text in ranges if text]
    if _fits(running(), wanted, tag):
        yield running()
    yield from (one for one in interpreters()[1:] if _fits(one, wanted, tag))


def why_none(ranges: Iterable[tuple[str, str]], *, tag: str = "") -> str:
    """Return what was looked for in vain, as the end of a sentence."""
    wanted = [(name, text) for name, text in ranges if text]
    return f"{_sentence(wanted, tag)}, and this machine has {_here()}"


def tags_of(one: Interpreter) -> Sequence[Tag]:
    """Return the tags of wheels that an interpreter takes, the best first."""
    from packaging import tags

    if one == running():
        return list(tags.sys_tags())
    name = f"cp{one.minor[0]}{one.minor[1]}"
    return [
        *tags.cpython_tags(one.minor, abis=[name]),
        *tags.compatible_tags(one.minor, interpreter=name),
    ]


# -- inside


def _fits(one: Interpreter, wanted: Sequence[tuple[str, str]], tag: str) -> bool:
    if tag and one.tag != tag:
        return False
    if not wanted:
        return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return all(SpecifierSet(text).contains(one.version, prereleases=True) for _, text in wanted)
    except InvalidSpecifier:
        return False  # a catalog's copy of a manifest may say anything


def _sentence(wanted: Sequence[tuple[str, str]], tag: str) -> str:
    needs = [f"{name} needs CPython {text}" if name else f"needs CPython {text}"
             for name, text in wanted]  # fmt: skip
    if tag:
        needs.append(f"its wheels were chosen for {tag}")
    return " and ".join(needs)


def _here() -> str:
    return ", ".join(one.version for one in interpreters())


def _candidates() -> list[tuple[tuple[int, int], Path]]:
    folders = [path for path in map(Path, os.get_exec_path()) if path.is_absolute()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    found: list[tuple[tuple[int, int], Path]] = []
    for minor in MINORS:
        name = f"python{minor}.exe" if sys.platform == "win32" else f"python{minor}"
        paths = [folder / name for folder in folders]
        if pyenv.is_absolute():
            paths += sorted(pyenv.glob(f"versions/{minor}.*/bin/{name}"), reverse=True)
        major, _, last = minor.partition(".")
        found += [
            ((int(major), int(last)), path)
            for path in paths
            if os.access(path, os.X_OK) and path.is_file()
        ]
    return found


def _probed(path: Path) -> Interpreter | None:
    """Ask an interpreter what it is; None for what cannot run plugins as this tavo would."""
    try:
        done = subprocess.run(
            [str(path), "-I", "-S", "-c", _PROBE], stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=_PROBE_S, env={"PATH": os.defpath},
        )  # fmt: skip
        numbers, tag, platform, largest, free, debug, real = json.loads(done.stdout)
        version = ".".join(str(int(number)) for number in numbers)
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError):
        return None
    ours = running().tag.partition(" on ")[2]
    if free or debug or platform != ours or largest != sys.maxsize:
        return None
    minor = ".".join(version.split(".")[:2])
    if minor not in MINORS or tag != f"cpython-{minor.replace('.', '')}":
        return None
    if not Path(real).is_absolute():
        return None
    return Interpreter(path=Path(real), version=version, tag=f"{tag} on {platform}")
