"""Each official plugin: its package is canonical, and its own tests pass with its locked wheels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace_db.package import build_package, inspect_package
from marketplace_db.wheel import unpack_wheel

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in (ROOT / "examples" / "plugins").glob("*/plugin.yaml"))
WHEELS = ROOT / ".build" / "wheels"


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_its_package_is_the_same_each_time(plugin: Path, tmp_path: Path) -> None:
    first = build_package(plugin, tmp_path / "one.zip")
    assert build_package(plugin, tmp_path / "two.zip") == first
    assert inspect_package(tmp_path / "one.zip").manifest.id == plugin.name


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_its_own_tests_pass(plugin: Path, tmp_path: Path) -> None:
    build_package(plugin, tmp_path / "package.zip")
    dependencies = tmp_path / "dependencies"
    for wheel in inspect_package(tmp_path / "package.zip").locked:
        unpack_wheel(WHEELS / wheel.filename, wheel.digest, dependencies)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", plugin,
         "-p", "no:cacheprovider", plugin / "tests"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (plugin, dependencies, ROOT)))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
