"""Power cuts at each step of an installation: the old one that runs, or the new one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tavo.errors import TavoError
from tests.fakes import power_cut
from tests.fakes.plugins import PluginMachine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not power_cut.can_record(), reason="programs cannot be traced here: strace is missing"
    ),
]

PROGRAM = """
import os, stat, sys
from pathlib import Path
from tests.fakes.plugins import WORD, PluginMachine

careless, folder = sys.argv[1], Path(sys.argv[2])
real = os.fsync
def fsync(handle):
    if careless != ("folders" if stat.S_ISDIR(os.fstat(handle).st_mode) else "files"):
        real(handle)
machine = PluginMachine(folder)
machine._count = 10
accepted = machine.accepted(WORD + "# new\\n", version="2.0.0", files={"data.txt": "new\\n"})
os.fsync = fsync
machine.installations.install(accepted, {}, {"source": "test"})
"""


def begin(folder: Path) -> Path:
    """Install the first version on a machine whose folder is flushed."""
    machine = PluginMachine(folder)
    machine.install(files={"data.txt": "old\n"})
    machine.state.close()
    for path in folder.glob("source-*"):
        shutil.rmtree(path)
    for path in folder.glob("package-*"):
        path.unlink()
    return folder


def steps_of(first: Path, folder: Path, careless: str = "") -> list[power_cut.Step]:
    tracked = folder / "tracked"
    shutil.copytree(first, tracked)
    steps = power_cut.record(PROGRAM, [careless, str(tracked)], tracked, folder / "log")
    return [step for step in steps if step.path.startswith(("plugins", "state", "."))]


def found(state: Mapping[str, bytes | None], folder: Path) -> str:
    """Return which version is installed after a cut, verified, and whether it can be repeated."""
    power_cut.lay_out(state, folder)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600 if "state" in path.parts else 0o444)
    machine = PluginMachine(folder)
    try:
        (one,) = machine.installations.list()
        machine.installations.verify(one).close()
        return one.version
    finally:
        machine.state.close()


def judged(first: Path, steps: list[power_cut.Step], folder: Path) -> tuple[set[str], list[str]]:
    seen, wrong = set(), []
    for number, state in enumerate(power_cut.states(first, steps)):
        place = folder / f"state-{number}"
        try:
            seen.add(found(state, place))
        except (TavoError, ValueError) as error:
            wrong.append(f"state {number}: {error}")
        shutil.rmtree(place, ignore_errors=True)
    return seen, wrong


def test_a_power_cut_leaves_the_old_installation_or_the_new_one(tmp_path: Path) -> None:
    first = begin(tmp_path / "first")
    seen, wrong = judged(first, steps_of(first, tmp_path), tmp_path)
    assert not wrong, "\n".join(wrong)
    assert seen == {"1.0.0", "2.0.0"}


@pytest.mark.parametrize("careless", ["files", "folders"])
def test_without_flushing_a_power_cut_breaks_an_installation(careless: str, tmp_path: Path) -> None:
    """The control: SQLite flushes its own files still; the plugin's are not."""
    first = begin(tmp_path / "first")
    _, wrong = judged(first, steps_of(first, tmp_path, careless), tmp_path)
    assert wrong
