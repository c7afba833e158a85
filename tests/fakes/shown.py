"""What is shown of each official plugin: `tests/examples/shown/<id>.yaml`, read and carried out.

    library   what does the work, with version and licence
    input     what it looks at, in one sentence; files lie in tests/examples/inputs/<id>/
    make      optional: a module of tests/examples/makers, whose `make` adds what cannot lie in Git
    target    optional: flaws of examples/flawed-agent, or [all]; its address replaces {target}
    run       what the user types after `tavo`, in the folder with the input
    exit      the exit code
    found     rule id: how many findings of the plugin, or `some`; all that it finds is here
    says      optional: texts that standard output holds
    grant     optional: words of `--grant` that the install needs beside `--yes`
    level     optional: the sandbox level it runs under where this machine can; else L2 or better

The plugin is installed out of the file, or else from dist/repository as a mirror, with the built
dist/tavo.pyz, into an account with nothing in it. A test and benchmarks/plugins.py both come here.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace_db.strict_yaml import load_yaml
from signing.roles import blob_path
from tavo.operator.plugin_wheels import Extent, wanted
from tavo.operator.shelf import Shelf, taken_here
from tests.fakes.flawed import agent_module, served
from tests.fakes.single_file import ROOT, Machine

__all__ = ["PLUGINS", "REPOSITORY", "SHELF", "Outcome", "Shown", "carry_out", "is_here", "read"]

PLUGINS = ROOT / "examples" / "plugins"
SHELF = Shelf.read(PLUGINS)
REPOSITORY = ROOT / "dist" / "repository"
_EXAMPLES = ROOT / "tests" / "examples"
_REQUIRED = {"library", "input", "run", "exit", "found"}
_OPTIONAL = {"make", "target", "says", "grant", "level"}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A file of `shown/`."""

    plugin: str
    library: str
    input: str
    run: str
    exit: int
    found: Mapping[str, int | str]
    make: str = ""
    target: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    grant: tuple[str, ...] = ()
    level: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened; times in seconds. `level` and `found` are of the plugin alone."""

    exit: int
    found: Mapping[str, int]
    level: str
    version: str
    said: str
    complaints: str
    install_s: float
    run_s: float
    not_done: tuple[Any, ...] = ()


def read(plugin: str) -> Shown:
    """Read what is shown of a plugin; a key that is unknown or missing is an error."""
    path = _EXAMPLES / "shown" / f"{plugin}.yaml"
    value = load_yaml(path.read_bytes(), name=path.name, limit=16 * 1024)
    assert _REQUIRED <= set(value) <= _REQUIRED | _OPTIONAL, (path, sorted(value))
    for name in ("target", "says", "grant"):
        value[name] = tuple(value.get(name, ()))
    return Shown(plugin=plugin, **value)


def is_here(plugin: str) -> bool:
    """Tell whether this build holds what a plugin needs to be shown."""
    wheels = taken_here(wanted(SHELF, plugin, Extent(heavy=True)))
    return all((REPOSITORY / blob_path(one.digest)).exists() for one in wheels)


def carry_out(shown: Shown, home: Path) -> Outcome:
    """Install the plugin on a new machine, and do what is shown."""
    machine = Machine(home / "home")
    project = home / "project"
    project.mkdir()
    if (inputs := _EXAMPLES / "inputs" / shown.plugin).exists():
        shutil.copytree(inputs, project, dirs_exist_ok=True)
    if shown.make:
        importlib.import_module(f"tests.examples.makers.{shown.make}").make(project)
    mirror = () if shown.plugin in SHELF.embedded else ("--mirror", REPOSITORY)
    started = time.perf_counter()
    grants = [word for given in shown.grant for word in ("--grant", given)]
    machine.run("registry", "install", shown.plugin, "--yes", *grants, *mirror)
    installed = time.perf_counter()
    report = home / "report.json"
    with contextlib.ExitStack() as stack:
        url = ""
        if shown.target:
            module = agent_module()
            flaws = tuple(module.FLAWS) if shown.target == ("all",) else shown.target
            url = stack.enter_context(served(module, *flaws))
        words = [word.replace("{target}", url) for word in shlex.split(shown.run)]
        more = ("--output", f"json={report}") if _writes_reports(words) else ()
        machine.home = project  # where the command is typed; HOME stays
        begun = time.perf_counter()
        done = machine.run(*words, *more, code=None)
    ended = time.perf_counter()
    result = json.loads(report.read_bytes()) if report.exists() else {}
    name = f"tavo/{shown.plugin}"
    judging = re.search(rf"^{name} (\S+) judges, sandbox (L\d)$", done.stderr, re.MULTILINE)
    rows = [row for row in result.get("plugins", ()) if row["plugin"] == name]
    return Outcome(
        exit=done.returncode,
        found=Counter(one["rule_id"] for one in result.get("findings", ()) if one["tool"] == name),
        level=rows[0]["sandbox"] if rows else judging[2] if judging else "",
        version=rows[0]["version"] if rows else judging[1] if judging else "",
        said=done.stdout,
        complaints=done.stderr,
        install_s=installed - started,
        run_s=ended - begun,
        not_done=tuple(result.get("not_done", ())),
    )


def _writes_reports(words: list[str]) -> bool:
    return words[0] in {"scan", "attack"} or words[:2] == ["logs", "analyze"]
