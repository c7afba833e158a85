"""Each official plugin: its package is canonical, and its own tests pass with its locked wheels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace_db.package import build_package, inspect_package
from marketplace_db.wheel import unpack_wheel
from tavo.operator.shelf import taken_here
from tests.fakes.shown import SHELF

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / ".build" / "wheels"
PLUGINS = [
    pytest.param(
        SHELF.folder / plugin, id=plugin, marks=pytest.mark.slow if plugin in SHELF.heavy else ()
    )
    for plugin in SHELF.plugins
]


def fetched(plugin: str) -> dict[str, Path]:
    """Return the wheels of a plugin that the build has fetched, enough for this system, or skip."""
    locked = SHELF.lock(plugin)
    here = {one.filename: WHEELS / one.filename for one in locked}
    here = {name: path for name, path in here.items() if path.exists()}
    if missing := sorted(one.filename for one in taken_here(locked) if one.filename not in here):
        assert plugin in SHELF.heavy, f"the build did not fetch {missing}"
        pytest.skip(f"its wheels: `python3 build.py plugins --heavy --here {plugin}`")
    return here


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_package_is_the_same_each_time(plugin: Path, tmp_path: Path) -> None:
    first = build_package(plugin, tmp_path / "one.zip")
    assert build_package(plugin, tmp_path / "two.zip") == first
    assert inspect_package(tmp_path / "one.zip").manifest.id == plugin.name


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_own_tests_pass(plugin: Path, tmp_path: Path) -> None:
    build_package(plugin, tmp_path / "package.zip")
    dependencies = tmp_path / "dependencies"
    have = fetched(plugin.name)
    minor = f"3.{sys.version_info[1]}"
    for wheel in taken_here(inspect_package(tmp_path / "package.zip").locked, [minor]):
        unpack_wheel(have[wheel.filename], wheel.digest, dependencies)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", plugin,
         "-p", "no:cacheprovider", plugin / "tests"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (plugin, dependencies, ROOT)))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
