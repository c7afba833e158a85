"""`tavo self update` with real files: a newer release, an older one, a damaged one, a wrong one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.single_file import PYZ, ROOT, SHOP, Machine, manifest, target

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
NEWER = "9.9.9"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror with a release that is newer than the file under test, signed with the same keys."""
    checkout = tmp_path_factory.mktemp("newer")
    for name in ("tavo", "signing", "marketplace_db", "examples", "keys"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    version = checkout / "tavo" / "__init__.py"
    found = version.read_text()
    version.write_text(found.replace(f'"{manifest()["version"]}"', f'"{NEWER}"'))
    work, repository, file = ROOT / ".build", checkout / "repository", checkout / "new.pyz"
    for command in (
        ["embed", "--plugins", checkout / "examples" / "plugins", "--wheels", work / "wheels",
         "--keys", checkout / "keys", "--repository", repository, "--embedded",
         checkout / "embedded"],
        ["pack", "--root", checkout, "--work", work, "--embedded", checkout / "embedded", "--out",
         file, "--lock", ROOT / "requirements.lock", "--target", target()],
        ["publish_file", "--keys", checkout / "keys", "--repository", repository, "--file", file,
         "--version", NEWER],
    ):  # fmt: skip
        subprocess.run(
            [sys.executable, "-m", f"tavo.operator.{command[0]}", *map(str, command[1:])],
            cwd=checkout, check=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )  # fmt: skip
    return repository


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    file = tmp_path / "tools" / "tavo.pyz"
    file.parent.mkdir()
    shutil.copy(PYZ, file)
    return Machine(tmp_path / "home", pyz=file)


def test_a_newer_release_takes_the_place_of_the_file(machine: Machine, newer: Path) -> None:
    before = machine.pyz.stat().st_mode
    out = machine.run("self", "update", "--check", "--mirror", newer).stdout
    assert out.startswith(f"tavo {NEWER} is available")
    assert machine.pyz.read_bytes() == PYZ.read_bytes()
    out = machine.run("self", "update", "--mirror", newer).stdout
    assert out.endswith(f" to {NEWER}.\n")
    assert machine.pyz.stat().st_mode == before
    assert machine.run("--version").stdout == f"tavo {NEWER} (DEVELOPMENT ROOT)\n"
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    said = machine.run("self", "verify", "--mirror", newer).stdout
    assert f"is the signed release {NEWER}" in said
    assert [path.name for path in machine.pyz.parent.iterdir()] == ["tavo.pyz"]


@pytest.mark.parametrize("after_s", [0.3, 0.6, 1.0, 1.5, 2.0])
def test_killed_while_updating(machine: Machine, newer: Path, after_s: float) -> None:
    """At any instant the file is the old one or the new one, whole; the next update works."""
    process = subprocess.Popen(
        machine.command("self", "update", "--mirror", newer), env=machine.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (new,) = (newer / "targets" / "releases").glob("*.pyz")
    assert machine.pyz.read_bytes() in {PYZ.read_bytes(), new.read_bytes()}
    machine.run("self", "verify")
    machine.run("self", "update", "--mirror", newer)
    assert machine.pyz.read_bytes() == new.read_bytes()


def test_it_never_goes_back(machine: Machine, newer: Path) -> None:
    older = ROOT / "dist" / "repository"
    machine.run("self", "update", "--mirror", newer)
    # the machine has seen the newer list: an older one is refused, signed or not
    done = machine.run("self", "update", "--mirror", older, code=5)
    assert "older than one seen before" in done.stderr
    # and without that memory, the older release is no update
    fresh = Machine(machine.home / "fresh", pyz=machine.pyz)
    done = fresh.run("self", "update", "--mirror", older, code=None)
    assert done.returncode in {0, 5}
    assert fresh.run("--version").stdout.startswith(f"tavo {NEWER}")


def test_a_damaged_release_is_refused_and_nothing_changes(
    machine: Machine, newer: Path, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(newer, mirror)
    (file,) = (mirror / "targets" / "releases").glob("*.pyz")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    done = machine.run("self", "update", "--mirror", mirror, code=5)
    assert "sha256" in done.stderr
    assert machine.pyz.read_bytes() == PYZ.read_bytes()


def test_a_damaged_file_of_the_same_version_is_named_and_repaired(machine: Machine) -> None:
    mirror = ROOT / "dist" / "repository"
    machine.pyz.write_bytes(machine.pyz.read_bytes() + b"x")
    assert "something was appended" in machine.run("self", "verify", code=5).stdout
    done = machine.run("self", "update", "--mirror", mirror, code=5)
    assert "but not the file that" in done.stderr
    assert "--repair" in done.stderr
    machine.run("self", "update", "--repair", "--mirror", mirror)
    assert machine.pyz.read_bytes() == PYZ.read_bytes()


def test_a_file_that_is_no_release_says_so(machine: Machine, newer: Path) -> None:
    done = machine.run("self", "verify", "--mirror", newer, code=5)
    assert "is not a release" in done.stderr


def test_offline_reaches_a_folder_and_no_address(machine: Machine, newer: Path) -> None:
    done = machine.run("--offline", "self", "update", "--mirror", "https://example.org/", code=2)
    assert "offline" in done.stderr
    machine.run("--offline", "self", "update", "--check", "--mirror", newer)


def test_without_a_source_it_says_what_to_do(machine: Machine) -> None:
    done = machine.run("self", "update", code=2)
    assert "no source of releases is configured" in done.stderr
    assert "--mirror" in done.stderr


def test_an_installed_tavo_has_no_file_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tavo", "self", "verify"], env={"HOME": str(tmp_path)}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "not a single file" in done.stderr
