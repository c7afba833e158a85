"""Each official plugin: its package is canonical, and its own tests pass with its locked wheels."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace_db.package import build_package, inspect_package
from marketplace_db.wheel import unpack_wheel
from tavo.kit.wheels import BUILD_SUFFIX
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


def test_each_wheel_that_was_built_from_sources_says_how() -> None:
    """The statement is about the very wheel that the lock names."""
    for plugin in SHELF.plugins:
        locked = {one.filename: one.digest for one in SHELF.lock(plugin)}
        for wheel in sorted(SHELF.own_wheels(plugin).glob("*.whl")):
            if wheel.name not in locked:
                continue  # fetched for another test
            statement = wheel.with_name(wheel.name + BUILD_SUFFIX)
            envelope = json.loads(statement.read_bytes())
            said = json.loads(base64.b64decode(envelope["payload"]))
            (subject,) = said["subject"]
            assert subject["name"] == wheel.name
            assert subject["digest"]["sha256"] == locked[wheel.name].hex
            assert hashlib.sha256(wheel.read_bytes()).hexdigest() == locked[wheel.name].hex
            assert said["predicate"]["reproduced"] == 2
            assert said["predicate"]["source"]["name"].endswith(".tar.gz")
