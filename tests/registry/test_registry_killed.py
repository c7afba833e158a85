"""kill -9 at random instants of a sync, an export, an import and an install.

Whatever the instant: the old state or the new one, nothing lost, and the next run completes. How
many kills there are is TAVO_TEST_KILLS for each of the four, 25 unless told.

The work is forked, so it begins at once, and is killed after a part of the time that it takes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace_db.bundle import Bundle
from marketplace_db.bundle_write import read_have
from marketplace_db.errors import MarketplaceError
from tests.fakes.operated import Operated
from tests.fakes.plugins import WORD, PluginMachine
from tests.marketplace_db.test_marketplace_bundle import Side

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

KILLS = int(os.environ.get("TAVO_TEST_KILLS", "25"))
PLUGINS = 12


def killed(work: Callable[[], object], seconds: float) -> bool:
    """Do the work in a process that is killed; tell whether it was before the work was done."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return os.WIFSIGNALED(status)


def length_of(work: Callable[[], object]) -> float:
    """Return how long the work takes in a process of its own."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return time.monotonic() - began


class Instants:
    """Draws instants, and keeps count of those that hit."""

    def __init__(self, length: float, seed: str) -> None:
        self._length, self._dice, self.hits = length, random.Random(seed), 0

    def strike(self, work: Callable[[], object]) -> None:
        self.hits += killed(work, self._dice.uniform(0, self._length))

    def told(self, what: str) -> None:
        sys.stderr.write(f"\n{what}: {KILLS} runs, {self.hits} killed before they ended\n")
        assert self.hits > KILLS * 0.4


class Days:
    """A marketplace; the mirror of one day, its full bundle, and the step to the next day."""

    def __init__(self, folder: Path) -> None:
        self.operated = Operated(folder)
        for number in range(PLUGINS):
            self.operated.approve(self.operated.hand_in(id=f"plugin-{number}", version="1.0.0"))
        self.operated.release()
        self.first = Side(self.operated, folder / "first")
        self.first.sync()
        self.full = self.first.export(folder / "full")
        for number in (3, 4):
            self.operated.approve(self.operated.hand_in(id=f"plugin-{number}", version="1.1.0"))
        self.operated.release()
        outside = Side(self.operated, folder / "outside")
        outside.sync()
        assert self.full.have is not None
        self.step = outside.export(folder / "step", since=read_have(self.full.have))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return Days(tmp_path_factory.mktemp("days"))


def older(days: Days, folder: Path) -> Side:
    """A machine whose mirror is of the first day."""
    shutil.rmtree(folder, ignore_errors=True)
    side = Side(days.operated, folder)
    shutil.copytree(days.first.mirror, side.mirror)
    shutil.copytree(days.first.folder / "cache", folder / "cache")
    side.state = days.first.state
    return side


@pytest.mark.parametrize("what", ["sync", "import"])
def test_a_mirror_is_the_old_one_or_the_new_one(days: Days, what: str, tmp_path: Path) -> None:
    side = older(days, tmp_path / "side")

    def work() -> None:
        if what == "sync":
            side.sync()
        else:
            side.load(*days.step.parts)

    instants = Instants(length_of(work), what)
    found = set()
    for _ in range(KILLS):
        side = older(days, tmp_path / "side")
        instants.strike(work)
        found.add(side.releases())
        assert found <= {PLUGINS, PLUGINS + 2}
        if len(found) == 2:
            instants.strike(work)  # and once more, in what the first one left
            assert side.releases() in {PLUGINS, PLUGINS + 2}
        work()
        assert side.releases() == PLUGINS + 2
    instants.told(what)


def test_an_export_is_whole_or_refused(days: Days, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def work() -> None:
        days.first.export(out)

    instants = Instants(length_of(work), "export")
    for _ in range(KILLS):
        shutil.rmtree(out, ignore_errors=True)
        instants.strike(work)
        try:
            parts = Bundle.open([out]).parts
        except MarketplaceError:
            parts = ()  # none, or not all of them: it says which are missing
        assert len(parts) in {0, len(days.full.parts)}
        out.mkdir(exist_ok=True)
        other = ".new-tavo-of-another-bundle.tavob.009"
        (out / other).write_bytes(b"")
        work()
        inside = Side(days.operated, tmp_path / "inside")
        assert inside.load(out).releases == PLUGINS
        assert [path.name for path in out.glob(".new-*.tavob*")] == [other]
        shutil.rmtree(inside.folder)
    instants.told("export")


def test_an_installation_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    template = tmp_path / "template"
    files = {f"data-{number}.txt": f"{number}\n" * 500 for number in range(20)}
    PluginMachine(template).install(files=files)
    folder = tmp_path / "machine"

    def work() -> None:
        machine = PluginMachine(folder)
        machine._count = 10
        accepted = machine.accepted(WORD + "# new\n", version="2.0.0", files=files)
        machine.installations.install(accepted, {}, {"source": "test"})
        machine.grant(accepted)

    def check() -> str:
        machine = PluginMachine(folder)
        (one,) = machine.installations.list()
        machine.installations.verify(one)
        return one.version

    def begin() -> None:
        if folder.exists():
            for path in folder.rglob("*"):
                path.chmod(0o755)
            shutil.rmtree(folder)
        shutil.copytree(template, folder)

    begin()
    instants = Instants(length_of(work), "install")
    for _ in range(KILLS):
        begin()
        instants.strike(work)
        assert check() in {"1.0.0", "2.0.0"}
        work()
        assert check() == "2.0.0"
        assert not list((folder / "plugins" / "staging").iterdir())
    instants.told("install")
