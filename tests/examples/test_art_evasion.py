"""art-evasion with ART itself; slow, and only where its wheels are.

`python3 build.py plugins --heavy --here art-evasion` fetches them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace_db.package import build_package, inspect_package
from marketplace_db.wheel import unpack_wheel
from tests.examples.test_official_plugins import ROOT, WHEELS

PLUGIN = ROOT / "examples" / "plugins" / "art-evasion"
HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folders that a Python with ART and the plugin has on its path."""
    folder = tmp_path_factory.mktemp("art")
    build_package(PLUGIN, folder / "package.zip")
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    for wheel in inspect_package(folder / "package.zip").locked:
        if wheel.is_pure or (f"{tag}-{tag}" in wheel.filename and "x86_64" in wheel.filename):
            if not (WHEELS / wheel.filename).exists():
                pytest.skip("its wheels: `python3 build.py plugins --heavy --here art-evasion`")
            unpack_wheel(WHEELS / wheel.filename, wheel.digest, folder / "site")
    return os.pathsep.join(map(str, (PLUGIN, folder / "site", ROOT)))


def test_attacks_on_classifiers_that_are_known(libraries: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", HERE,
         "-p", "no:cacheprovider", HERE / "art_evasion_cases.py"],
        env={**os.environ, "PYTHONPATH": libraries, "HOME": str(tmp_path)},  # ART writes into it
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def digits(libraries: str, tmp_path: Path) -> Iterator[Path]:
    """A folder with inputs and a target file; behind it a classifier of scikit-learn."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", HERE / "digits_server.py", tmp_path],
        env={**os.environ, "PYTHONPATH": libraries}, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        (tmp_path / "target.yaml").write_text(
            f"{{kind: http, name: digits, url: 'http://127.0.0.1:{port}/predict',"
            ' body: {instances: ["{{json}}"]}, answer: "$.predictions[0]"}'
        )
        try:
            yield tmp_path
        finally:
            server.kill()


def test_a_classifier_of_scikit_learn_over_http(digits: Path) -> None:
    (digits / "art.yaml").write_text(
        "tavo/art-evasion: {samples: digits.csv, range: [0, 16], most: 4, queries: 150}"
    )
    shutil.copytree(PLUGIN, digits / "plugin", ignore=shutil.ignore_patterns(".wheels"))
    (digits / "plugin" / ".wheels").symlink_to(WHEELS)
    digest = build_package(digits / "plugin", digits / "package.zip")
    done = subprocess.run(
        [sys.executable, "-m", "tavo", "scan", "digits.csv", "--no-default-rules",
         "--dynamic-plugins", "./plugin", "--accept-local", digest.hex, "--target", "target.yaml",
         "--max-requests", "1000", "--plugin-config", "art.yaml", "--format", "json"],
        env={**os.environ, "TAVO_ACCEPT_SANDBOX": "L2:tavo/art-evasion", "PYTHONPATH": str(ROOT)},
        cwd=digits, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads(done.stdout)
    (finding,) = report["findings"]
    assert finding["evidence"]["seen by the host"] == "yes"
    assert float(finding["evidence"]["score"]) >= 0.25
    assert report["plugins"][0]["requests"] <= 4 * 150
