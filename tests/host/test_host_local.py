"""Local plugins: what is checked is what runs, and nobody but the user starts one."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from marketplace_db.errors import PackageError
from marketplace_db.package import build_package
from signing.digests import Digest
from tavo.errors import InputError, UsageError
from tavo.host import state as state_module
from tavo.host.installations import TamperedError, VerifiedInstallation
from tavo.host.installed import vouch_for_snapshot
from tavo.host.local import NotConfirmedError, is_local_name, open_local
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, SandboxUnavailableError
from tavo.host.state import State
from tavo.host.workers import StaticWorker
from tests.fakes.operator_market import plugin_folder, wheel_bytes
from tests.fakes.plugins import WORD, PluginMachine, text_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return plugin_folder(tmp_path / "mine", files={"main.py": WORD})


def test_a_folder_and_its_package_are_the_same_plugin(folder: Path, tmp_path: Path) -> None:
    digest = build_package(folder, tmp_path / "mine.zip")
    with open_local(folder) as one, open_local(tmp_path / "mine.zip") as other:
        assert one.digest == other.digest == digest
        assert one.manifest.full_id == "acme/sample"


def test_what_changes_afterwards_changes_nothing(folder: Path) -> None:
    with open_local(folder) as local:
        (folder / "main.py").write_text("raise SystemExit")
        installation = local.own()
        assert (installation.plugin_folder / "main.py").read_text() == WORD
        policy = LevelPolicy(accepted={"acme/sample": SandboxLevel.STANDARD})
        with StaticWorker(installation, policy=policy) as worker:
            found = worker.analyze([text_file("a.txt", "secret")])
            assert worker.level is not None
            assert worker.level >= SandboxLevel.STANDARD
        installation.close()
    assert len(next(iter(found.findings.values()))) == 1
    with open_local(folder) as again:  # the control: the folder itself would have run this
        assert (again.plugin_folder / "main.py").read_text() == "raise SystemExit"
        assert again.digest != local.digest


def test_a_copy_that_was_changed_is_refused(folder: Path) -> None:
    with open_local(folder) as local:
        path = local.plugin_folder / "main.py"
        path.chmod(0o644)
        path.write_text("raise SystemExit")
        with pytest.raises(TamperedError, match=r"main\.py has been changed"):
            local.own()


def test_the_copy_is_private_read_only_and_deleted(folder: Path) -> None:
    with open_local(folder) as local:
        place = local.installation.folder
        assert place.parent.stat().st_mode & 0o077 == 0
        assert (local.plugin_folder / "main.py").stat().st_mode & 0o222 == 0
    assert not place.exists()


def test_nothing_is_left_behind_by_a_folder_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    broken = plugin_folder(tmp_path / "broken")
    (broken / "LICENSE").unlink()
    with pytest.raises(PackageError, match="LICENSE"):
        open_local(broken)
    assert list(temporary.iterdir()) == []


def test_a_local_plugin_needs_the_strongest_sandbox(folder: Path, tmp_path: Path) -> None:
    reviewed = PluginMachine(tmp_path / "machine").verified()
    assert (reviewed.origin, reviewed.required) == ("catalog", SandboxLevel.STANDARD)
    with open_local(folder) as local:
        mine = local.own()
        assert (mine.origin, mine.required) == ("local", SandboxLevel.STRONG)
        mine.close()


def test_it_does_not_run_silently_below_that(folder: Path) -> None:
    """Where L3 cannot be had it is refused; where it can, it runs at L3."""
    with open_local(folder) as local:
        installation = local.own()
        policy = LevelPolicy(required=SandboxLevel(installation.required))
        with StaticWorker(installation, policy=policy) as worker:
            try:
                worker.start()
                level = worker.level
            except SandboxUnavailableError as error:
                level = error.needed
        installation.close()
    assert level is SandboxLevel.STRONG


def test_only_what_was_agreed_to_runs(folder: Path, tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")
    with open_local(folder) as local:
        with pytest.raises(NotConfirmedError) as refused:
            local.confirmed(state)
        assert "tavo plugin trust" in refused.value.hint
        assert local.digest.hex in refused.value.hint
        assert isinstance(local.confirmed(state, accept=[local.digest.hex]), VerifiedInstallation)
        state.confirm_local(local.digest, path=str(folder), full_id=local.manifest.full_id)
        local.confirmed(state).close()
    (folder / "main.py").write_text(WORD + "# changed\n")
    with open_local(folder) as changed, pytest.raises(NotConfirmedError):
        changed.confirmed(state)


def test_an_old_state_database_is_upgraded(folder: Path, tmp_path: Path) -> None:
    """A database as version 1 wrote it: the new tables are there. Grants: test_host_permissions."""
    path = tmp_path / "state.db"
    old = sqlite3.connect(path)
    old.executescript(state_module._MIGRATIONS[0] + "; PRAGMA user_version = 1;")
    old.commit()
    old.close()
    state = State(path)
    digest = Digest.of(b"x")
    assert not state.is_confirmed_local(digest)
    state.confirm_local(digest, path="/x", full_id="acme/sample")
    assert state.is_confirmed_local(digest)
    assert state.query("SELECT * FROM grants") == []


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("model-files", False), ("acme/thing", False), ("tavo/model-files", False),
        ("./thing", True), ("../thing", True), ("/opt/thing", True), ("~/thing", True),
        ("acme/thing.zip", True), ("thing.zip", True), ("THING.ZIP", True), ("a/b/c", True),
        (".", True), ("..", True), ("C:\\thing", True), ("Acme/Thing", True), ("plain name", False),
    ],
)  # fmt: skip
def test_which_words_are_paths(name: str, local: bool) -> None:
    assert is_local_name(name) is local


def test_wheels_are_compared_with_the_lock(tmp_path: Path) -> None:
    wheel = wheel_bytes()
    name = "dep-1.0-py3-none-any.whl"
    folder = plugin_folder(
        tmp_path / "mine",
        more='dependencies: ["dep==1.0"]\n',
        files={
            "main.py": WORD.replace("from tavo", "import dep\nfrom tavo", 1),
            "requirements.lock": f"dep==1.0 --hash=sha256:{Digest.of(wheel).hex}  # {name}\n",
        },
    )
    with pytest.raises(InputError, match=r"needs dep-1.0-py3-none-any\.whl"):
        open_local(folder)
    (folder / ".wheels").mkdir()
    (folder / ".wheels" / name).write_bytes(wheel_bytes(files={"dep/__init__.py": b"evil = 1\n"}))
    with pytest.raises(PackageError, match="expected"):
        open_local(folder)
    (folder / ".wheels" / name).write_bytes(wheel)
    with open_local(folder) as local:
        installation = local.own()
        assert (installation.dependency_folders[0] / "dep" / "__init__.py").is_file()
        policy = LevelPolicy(accepted={"acme/sample": SandboxLevel.STANDARD})
        with StaticWorker(installation, policy=policy) as worker:
            worker.start()
            assert worker.disabled == ""
        installation.close()


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(PackageError, match="link"):
        open_local(folder)


def test_what_is_no_plugin_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder or zip"):
        open_local(tmp_path / "missing")
    (tmp_path / "not.zip").write_bytes(b"hello")
    with pytest.raises(PackageError, match=r"^not\.zip"):
        open_local(tmp_path / "not.zip")
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(PackageError, match="neither a folder nor a file"):
        open_local(tmp_path / "pipe.zip")


def test_a_snapshot_that_is_gone_is_refused(folder: Path) -> None:
    local = open_local(folder)
    local.close()
    with pytest.raises(TamperedError, match="folder is missing"):
        vouch_for_snapshot(local.installation)


def test_variables_of_a_local_plugin_are_granted_one_by_one(tmp_path: Path) -> None:
    folder = plugin_folder(
        tmp_path / "keyed", files={"main.py": WORD}, more="permissions: {env: [A_KEY, B_KEY]}\n"
    )
    state = State(tmp_path / "state.db")
    with open_local(folder) as local:
        mine = local.own()  # running your own folder is consent to all that it asks for
        assert mine.granted_env == {"A_KEY", "B_KEY"}
        this_time = local.confirmed(state, accept=[local.digest.hex])
        assert this_time.granted
        assert this_time.granted_env == frozenset()
        state.confirm_local(
            local.digest, path="/x", full_id="acme/sample", variables=["B_KEY", "C_KEY"]
        )
        agreed = local.confirmed(state)
        assert agreed.granted_env == {"B_KEY"}
        for one in (mine, this_time, agreed):
            one.close()
    (folder / "main.py").write_text(WORD + "# changed\n")
    with open_local(folder) as changed:
        again = changed.confirmed(state, accept=[changed.digest.hex])
        assert again.granted_env == frozenset()
        again.close()
