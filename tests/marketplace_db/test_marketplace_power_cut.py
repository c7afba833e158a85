"""Power cuts at each step of a sync, an import and an export: the old mirror, or the new one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from marketplace_db.bundle import Bundle
from marketplace_db.bundle_write import read_have
from marketplace_db.errors import MarketplaceError
from signing.errors import SigningError
from tests.fakes import power_cut
from tests.fakes.operated import Operated
from tests.marketplace_db.test_marketplace_bundle import Side

pytestmark = pytest.mark.skipif(
    not power_cut.can_record(), reason="programs cannot be traced here: strace is missing"
)

PROGRAM = """
import os, stat, sys
from datetime import datetime
from pathlib import Path
from marketplace_db.bundle_import import import_bundle
from marketplace_db.bundle_write import export
from marketplace_db.mirror import sync
from signing.client import TrustState

what, careless, place, mirror, root, cache, now = sys.argv[1:]
now = datetime.fromisoformat(now)
known = dict(root=Path(root).read_bytes(), cache=Path(cache), state=TrustState(), now=now,
             build_time=now)
real = os.fsync
def fsync(handle):
    folder = stat.S_ISDIR(os.fstat(handle).st_mode)
    if careless != ("folders" if folder else "files"):
        real(handle)
os.fsync = fsync
if what == "import":
    import_bundle([Path(place)], Path(mirror), **known)
elif what == "sync":
    sync(Path(place), Path(mirror), connections=1, **known)
else:
    export(Path(mirror), Path(place), size=65536, since=None, **known)
"""

State = Mapping[str, bytes | None]


class Days:
    """A marketplace of few plugins; the mirror of one day, and a bundle to the next one."""

    def __init__(self, folder: Path) -> None:
        self.operated = Operated(folder)
        for number in range(4):
            self.operated.approve(self.operated.hand_in(id=f"plugin-{number}", version="1.0.0"))
        self.operated.release()
        self.first = Side(self.operated, folder / "first")
        self.first.sync()
        full = self.first.export(folder / "full")
        self.operated.add(id="plugin-3", version="1.1.0")
        outside = Side(self.operated, folder / "outside")
        outside.sync()
        assert full.have is not None
        self.full, self.step = folder / "full", folder / "step"
        outside.export(self.step, since=read_have(full.have))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return Days(tmp_path_factory.mktemp("days"))


def steps_of(
    days: Days, what: str, folder: Path, begin: Path | None, careless: str = ""
) -> list[power_cut.Step]:
    """Do it once in a folder that begins as another one; return its steps there."""
    tracked = folder / "tracked"
    if begin is not None:
        shutil.copytree(begin, tracked)
    root = folder / "root.json"
    root.write_bytes(days.operated.root)
    mirror = tracked if what != "export" else days.first.mirror
    place = {"sync": days.operated.tree, "export": tracked}.get(
        what, days.step if begin is not None else days.full
    )
    arguments = [what, careless, str(place), str(mirror), str(root), str(folder / "cache"),
                 days.operated.now.isoformat()]  # fmt: skip
    return power_cut.record(PROGRAM, arguments, tracked, folder / "strace.log")


def judged(
    days: Days, states: Iterator[State], folder: Path, *, again: Callable[[Side], object] | None
) -> tuple[int, list[str], set[int]]:
    """Return how many states there are, what is wrong with some, and the releases of the others."""
    count, wrong, found = 0, [], set()
    for count, state in enumerate(states, 1):
        side = Side(days.operated, folder / f"state-{count}")
        power_cut.lay_out(state, side.mirror)
        try:
            if (side.mirror / "metadata" / "timestamp.json").exists():
                found.add(side.releases())
            else:
                found.add(0)
            if again is not None and count % 7 == 0:
                again(side)
                assert side.releases() == 5
        except (SigningError, MarketplaceError, AssertionError) as error:
            wrong.append(f"state {count}: {error}")
        shutil.rmtree(side.folder)
    return count, wrong, found


def releases_before(days: Days, begin: Path | None) -> set[int]:
    return {4, 5} if begin is not None else {0, 4, 5}


@pytest.mark.slow
@pytest.mark.parametrize(("what", "fresh"), [
    ("sync", False), ("sync", True), ("import", False), ("import", True),
])  # fmt: skip
def test_a_power_cut_leaves_the_old_mirror_or_the_new_one(
    days: Days, what: str, fresh: bool, tmp_path: Path
) -> None:
    begin = None if fresh else days.first.mirror
    steps = steps_of(days, what, tmp_path, begin)
    states = power_cut.states(begin or tmp_path / "nothing", steps)

    def again(side: Side) -> None:
        side.sync()

    count, wrong, found = judged(days, states, tmp_path, again=again)
    assert not wrong, "\n".join(wrong)
    assert found <= releases_before(days, begin)
    assert len(found) == 2
    assert count > 30


@pytest.mark.slow
@pytest.mark.parametrize("careless", ["files", "folders"])
def test_without_flushing_a_power_cut_breaks_a_mirror(
    days: Days, careless: str, tmp_path: Path
) -> None:
    """The control: the same sync, with the flushes of files or those of folders left out."""
    steps = steps_of(days, "sync", tmp_path, days.first.mirror, careless)
    states = power_cut.states(days.first.mirror, steps)
    _, wrong, _ = judged(days, states, tmp_path, again=None)
    assert wrong


@pytest.mark.slow
def test_a_power_cut_during_an_export_leaves_no_wrong_bundle(days: Days, tmp_path: Path) -> None:
    """Either no bundle that can be opened, or one whose files are all right."""
    steps = steps_of(days, "export", tmp_path, None)
    opened = refused = 0
    for number, state in enumerate(power_cut.states(tmp_path / "nothing", steps)):
        folder = tmp_path / f"out-{number}"
        power_cut.lay_out(state, folder)
        try:
            bundle = Bundle.open([folder])
        except (SigningError, MarketplaceError):
            refused += 1
            continue
        finally:
            shutil.rmtree(folder)
        opened += 1
        assert bundle.summary.releases == 4
    assert opened
    assert refused


def told(states: Sequence[State]) -> set[str]:
    return {
        "nothing" if "name" not in state else (state["name"] or b"empty").decode()
        for state in states
    }


def test_one_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    """The model itself: with both flushes, without the file's, and without the folder's."""
    before = tmp_path / "before"
    before.mkdir()
    (before / "name").write_bytes(b"old")
    write = "create write {file} rename {folder}"
    tracked: dict[str, set[str]] = {}
    for label, file, folder in (("both", "flush", "flush"), ("no file", "", "flush"),
                                ("no folder", "flush", "")):  # fmt: skip
        steps = []
        for word in write.format(file=f"{file} " if file else "", folder=f"{folder}-").split():
            if word == "rename":
                steps.append(power_cut.Step("rename", "new", "name"))
            elif word == "flush-":
                steps.append(power_cut.Step("flush", "."))
            elif word != "-":
                steps.append(power_cut.Step(word, "new", data=b"new"))
        tracked[label] = told(list(power_cut.states(before, steps)))
    assert tracked == {"both": {"old", "new"}, "no file": {"old", "new", "empty"},
                       "no folder": {"old", "new"}}  # fmt: skip


def test_a_recorded_program_is_replayed_to_what_it_left(tmp_path: Path) -> None:
    code = (
        "import os, shutil, sys\n"
        "from pathlib import Path\n"
        "from signing.files import flush_folders, write_atomically\n"
        "p = Path(sys.argv[1])\n"
        "write_atomically(p / 'a' / 'x', b'hello' * 3)\n"
        "shutil.copyfile(p / 'a' / 'x', p / 'y')\n"
        "with open(p / 'y', 'r+b') as stream:\n"
        "    stream.seek(3)\n"
        "    stream.write(b'ZZ')\n"
        "with open(p / 'y', 'ab') as stream:\n"
        "    stream.write(b'end')\n"
        "write_atomically(p / 'z', b'gone')\n"
        "(p / 'z').unlink()\n"
        "flush_folders([p / 'a', p])\n"
    )
    folder = tmp_path / "tracked"
    folder.mkdir()
    steps = power_cut.record(code, [str(folder)], folder, tmp_path / "log")
    last = list(power_cut.states(tmp_path / "none", steps))[-3:]
    left = {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}  # fmt: skip
    assert left == {"a/x": b"hello" * 3, "y": b"helZZ" + b"hellohello"[:10] + b"end"}
    disk = power_cut.Disk(tmp_path / "none")
    for step in steps:
        disk.do(step)
    everything = list(disk.after_a_cut())[1]
    assert {name: data for name, data in everything.items() if data is not None} == left
    assert last
