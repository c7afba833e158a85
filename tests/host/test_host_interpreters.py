"""The CPythons of this machine: found, judged, chosen. Those of pyenv are real ones."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.tags import sys_tags

from tavo.host import interpreters as module
from tavo.host.interpreters import (
    Interpreter,
    NoInterpreterError,
    choose,
    fitting,
    interpreters,
    running,
    tags_of,
)


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    interpreters.cache_clear()
    yield
    interpreters.cache_clear()


def others() -> list[Interpreter]:
    return [one for one in interpreters() if one != running()]


def test_the_running_one_comes_first_and_each_minor_once() -> None:
    found = interpreters()
    assert found[0] == running()
    assert found[0].path == Path(sys.executable)
    assert len({one.minor for one in found}) == len(found)
    for one in found:
        told = subprocess.run(
            [one.path, "-I", "-c", "import sys; print(sys.version.split()[0])"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert told.stdout.strip() == one.version


def test_a_range_chooses_another_one_only_where_the_running_one_does_not_fit() -> None:
    minor = ".".join(running().version.split(".")[:2])
    assert choose("acme/a", [("", "")]) == running()
    assert choose("acme/a", [("", f">={minor}")]) == running()
    if not others():
        pytest.skip("one CPython on this machine")
    other = others()[0]
    found = choose("acme/a", [("", f"!={minor}.*"), ("acme/b 1.0", f"=={other.version}")])
    assert found == other
    assert choose("acme/a", [], tag=other.tag) == other


def test_nothing_is_started_while_the_running_one_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_probed", lambda _: pytest.fail("an interpreter was started"))
    assert next(fitting([("", ">=3.11")])) == running()
    assert choose("acme/a", []) == running()


def test_a_sentence_names_what_is_needed_and_what_is_here() -> None:
    with pytest.raises(NoInterpreterError) as caught:
        choose("acme/a 1.0", [("", ">=3.99"), ("acme/b 2.0", "<3.12")])
    here = ", ".join(one.version for one in interpreters())
    assert str(caught.value) == (
        "acme/a 1.0: needs CPython >=3.99 and acme/b 2.0 needs CPython <3.12, and this machine has"
        f" {here}"
    )
    assert "pyenv" in caught.value.hint


def test_wheels_of_another_one_are_chosen_as_it_would() -> None:
    assert list(map(str, tags_of(running()))) == list(map(str, sys_tags()))
    script = "from packaging.tags import sys_tags; print(*sys_tags())"
    site = Path(__import__("packaging").__file__).parents[1]
    for one in others():
        told = subprocess.run(
            [one.path, "-S", "-B", "-c", script], env={"PYTHONPATH": str(site)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert list(map(str, tags_of(one))) == told.stdout.split()


def impostor(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


FAKE = 'echo \'[[3, 14, 0], "cpython-314", "{platform}", {largest}, {flags}, "{path}"]\''


@pytest.mark.parametrize(
    ("what", "taken"),
    [
        ("honest", True), ("free", False), ("debug", False), ("platform", False), ("bits", False),
        ("relative", False), ("nonsense", False), ("endless", False), ("failing", False),
    ],
)  # fmt: skip
def test_what_would_take_other_wheels_or_is_no_python_is_not_taken(
    what: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if any(one.minor == (3, 14) for one in interpreters()):
        pytest.skip("a real 3.14 is here")
    interpreters.cache_clear()
    folder = tmp_path / "bin"
    platform = running().tag.partition(" on ")[2]
    told = FAKE.format(
        platform="win-arm64" if what == "platform" else platform,
        largest=2**31 - 1 if what == "bits" else sys.maxsize,
        flags={"free": "true, false", "debug": "false, true"}.get(what, "false, false"),
        path="python3.14" if what == "relative" else folder / "python3.14",
    )
    scripts = {"nonsense": "echo hello", "endless": "exec sleep 60", "failing": "exit 1"}
    impostor(folder, "python3.14", scripts.get(what, told))
    if what == "endless":
        monkeypatch.setattr(module, "_PROBE_S", 1.0)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert any(one.minor == (3, 14) for one in interpreters()) is taken


@pytest.mark.parametrize("entry", ["", ".", "bin", "{folder}"])
def test_a_scanned_project_offers_no_interpreter(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "started"
    for folder in (tmp_path, tmp_path / "bin", tmp_path / ".venv" / "bin"):
        for minor in module.MINORS:
            impostor(folder, f"python{minor}", f"touch {marker}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYENV_ROOT", "pyenv")
    monkeypatch.setenv("PATH", entry.format(folder=tmp_path))
    interpreters()
    # the control: an absolute folder of PATH is the user's word
    assert marker.exists() is (entry == "{folder}")


def test_the_minor_is_read_from_the_version() -> None:
    assert replace(running(), version="3.12.1").minor == (3, 12)
