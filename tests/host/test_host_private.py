"""Folders that others may write to decide nothing about which plugins run."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from tavo.errors import RefusedError
from tavo.host import private
from tavo.host.answer_cache import AnswerCache
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.state import State
from tests.fakes.kernel import ROOT
from tests.fakes.plugins import PluginMachine


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_what_is_made_is_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    with umask(0):
        machine = PluginMachine(tmp_path / "a")
        State(tmp_path / "b" / "c" / "d" / "state.db").close()
        machine.installations.verify(machine.install()).close()
        (tmp_path / "control" / "x").mkdir(parents=True, mode=0o700)
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o777
    for folder in ("b", "b/c", "b/c/d", "a/state", "a/plugins"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700, folder


@pytest.mark.parametrize("above", [0, 1, 2])
def test_a_state_that_others_can_exchange_is_refused(tmp_path: Path, above: int) -> None:
    folder = tmp_path / "x" / "y" / "z"
    State(folder / "state.db").close()
    [folder, *folder.parents][above].chmod(0o777)
    with pytest.raises(RefusedError, match="they could decide which plugins run"):
        State(folder / "state.db")


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    for name in ("mine", "open"):
        State(tmp_path / name / "real" / "state.db").close()
        (tmp_path / name / "link").symlink_to(tmp_path / name / "real")
    State(tmp_path / "mine" / "link" / "state.db").close()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(RefusedError):
        State(tmp_path / "open" / "link" / "state.db")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "mine" / "real")
    (tmp_path / "mine" / "real").chmod(0o707)
    with pytest.raises(RefusedError):
        State(tmp_path / "elsewhere" / "state.db")


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_a_state_of_another_user_is_refused_also_for_root(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    State(folder / "state.db").close()
    os.chown(folder, 1234, 1234)
    with pytest.raises(RefusedError, match="belongs to somebody else"):
        State(folder / "state.db")


def test_a_planted_state_would_run_a_planted_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: who can write there needs no signature, no review and no answer of the user."""
    victim = tmp_path / "victim"
    planted = PluginMachine(tmp_path / "planted")
    planted.install()
    (tmp_path / "planted").rename(victim)
    (victim / "state").chmod(0o777)
    (victim / "plugins").chmod(0o777)
    with pytest.raises(RefusedError, match="others may write"):
        PluginMachine(victim)
    opened = private.is_ours
    monkeypatch.setattr(private, "is_ours", lambda _: True)
    machine = PluginMachine(victim)
    assert machine.installations.verify(machine.installations.get("acme/sample")).granted
    monkeypatch.setattr(private, "is_ours", opened)
    with pytest.raises(RefusedError, match="others may write"):
        machine.installations.verify(machine.installations.get("acme/sample"))


def test_kept_answers_that_others_could_plant_are_neither_read_nor_written(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    file = tmp_path / "a.py"
    file.write_text("x")

    def cache() -> AnswerCache:
        return AnswerCache(folder, "key", root=tmp_path, lowest=SandboxLevel.STANDARD)

    def keep() -> None:
        one = cache()
        key = one.key_of(PurePosixPath("a.py"), "text", b"x")
        one.keep(file, PurePosixPath("a.py"), key, ())
        one.save(level=SandboxLevel.STANDARD, rules={})
        one.close()

    keep()
    assert cache().is_there  # the control
    folder.chmod(0o777)
    assert not cache().is_there
    (folder / "key.db").unlink()
    keep()
    assert not (folder / "key.db").exists()
