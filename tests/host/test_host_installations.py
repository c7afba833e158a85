"""The store of installed plugins: whole or not there, and checked before each run."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import marshal
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace_db.errors import PackageError
from tavo.errors import InputError, UsageError
from tavo.host import installations as store
from tavo.host import installed, interpreters
from tavo.host.installations import Installation, TamperedError, VerifiedInstallation
from tavo.host.interpreters import NoInterpreterError
from tavo.host.state import State
from tavo.host.workers import StaticWorker
from tavo.progress import Reporter
from tests.fakes.kernel import ROOT
from tests.fakes.operator_market import wheel_bytes
from tests.fakes.plugins import WORD, PluginMachine, text_file


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def wheel(folder: Path, name: str = "dep", version: str = "1.0") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    path.write_bytes(wheel_bytes(name, version))
    return path


def test_an_installation_is_recorded_and_verified(machine: PluginMachine, tmp_path: Path) -> None:
    one = machine.install(wheels=[wheel(tmp_path / "wheels")])
    assert machine.installations.list() == [one]
    assert machine.installations.get("acme/sample") == one
    assert (one.folder / "plugin" / "main.py").read_text() == WORD
    assert (one.folder / "deps" / "dep" / "__init__.py").is_file()
    verified = machine.installations.verify(one)
    assert verified.granted
    assert verified.plugin_folder == one.folder / "plugin"
    assert verified.dependency_folders == (one.folder / "deps",)
    assert stat.S_IMODE((one.folder / "plugin" / "main.py").stat().st_mode) == 0o444
    assert not list((machine.folder / "plugins" / "staging").iterdir())


def test_another_version_replaces_the_old_one_which_is_kept_until_the_next(
    machine: PluginMachine,
) -> None:
    old = machine.install()
    new = machine.install(WORD + "# more\n", version="1.1.0")
    assert [one.version for one in machine.installations.list()] == ["1.1.0"]
    assert new.folder.is_dir()
    assert machine.installations.previous("acme/sample") == old
    machine.install(WORD + "# most\n", version="1.2.0")
    assert not old.folder.exists()
    assert machine.installations.previous("acme/sample") == new


def test_a_folder_in_use_is_not_swept(machine: PluginMachine) -> None:
    old = machine.install()
    in_use = machine.installations.verify(old)
    machine.install(WORD + "# more\n", version="1.1.0")
    machine.install(WORD + "# most\n", version="1.2.0")
    assert old.folder.is_dir()
    in_use.close()
    machine.install(WORD + "# last\n", version="1.3.0")
    assert not old.folder.exists()


def test_installing_again_repairs_what_was_changed(machine: PluginMachine) -> None:
    one = machine.install()
    target = one.folder / "plugin" / "main.py"
    target.chmod(0o644)
    target.write_text("print('changed')")
    with pytest.raises(TamperedError):
        machine.installations.verify(one)
    again = machine.install()
    assert again.folder == one.folder
    machine.installations.verify(again)


def test_removing_forgets_record_grants_and_files(machine: PluginMachine) -> None:
    one = machine.install()
    machine.installations.remove("acme/sample")
    assert machine.installations.list() == []
    assert not one.folder.exists()
    assert machine.state.query("SELECT * FROM grants") == []
    with pytest.raises(UsageError, match="is not installed"):
        machine.installations.get("acme/sample")
    with pytest.raises(UsageError):
        machine.installations.remove("acme/sample")


def change(folder: Path) -> None:
    target = folder / "plugin" / "main.py"
    target.chmod(0o644)
    target.write_text(target.read_text().replace("secret", "sEcret"))


def add(folder: Path) -> None:
    (folder / "plugin" / "json.py").write_text("")


def add_folder(folder: Path) -> None:
    (folder / "plugin" / "__pycache__").mkdir()


def add_beside(folder: Path) -> None:
    (folder / "deps").mkdir(exist_ok=True)
    (folder / "deps" / "evil.pth").write_text("import os")


def remove(folder: Path) -> None:
    (folder / "plugin" / "README.md").unlink()


def link(folder: Path) -> None:
    target = folder / "plugin" / "main.py"
    copy = folder.parent.parent / "copy.py"
    shutil.copy(target, copy)
    target.unlink()
    target.symlink_to(copy)


def link_folder(folder: Path) -> None:
    (folder / "plugin").rename(folder.parent.parent / "moved")
    (folder / "plugin").symlink_to(folder.parent.parent / "moved")


def pipe(folder: Path) -> None:
    (folder / "plugin" / "README.md").unlink()
    os.mkfifo(folder / "plugin" / "README.md")


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


TAMPERING = [change, add, add_folder, add_beside, remove, link, link_folder, pipe, delete]


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda f: f.__name__)
def test_every_difference_is_found(
    tamper: object, machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine.install()
    tamper(one.folder)  # type: ignore[operator]
    with pytest.raises(TamperedError) as caught:
        machine.installations.verify(one)
    assert "tavo registry install" in caught.value.hint
    if tamper is not delete:  # the control: without the comparison it would pass
        monkeypatch.setattr(installed, "compare", lambda *_, **__: None)
        machine.installations.verify(one)


def test_only_verify_makes_a_verified_installation(machine: PluginMachine) -> None:
    one = machine.install()
    python = interpreters.running().path
    with pytest.raises(TypeError):
        VerifiedInstallation(object(), installation=one, granted=True, lock=-1, python=python)


def test_a_package_that_changed_after_acceptance_is_not_installed(machine: PluginMachine) -> None:
    accepted = machine.accepted()
    other = machine.accepted(WORD + "# other\n")
    accepted.inspected.path.write_bytes(other.inspected.path.read_bytes())
    with pytest.raises(PackageError, match="no longer the file"):
        machine.installations.install(accepted, {}, {})
    assert machine.installations.list() == []


def test_a_wheel_that_is_not_the_locked_one_is_not_installed(
    machine: PluginMachine, tmp_path: Path
) -> None:
    good = wheel(tmp_path / "wheels")
    accepted = machine.accepted(wheels=[good])
    good.write_bytes(wheel_bytes("dep", "1.0", files={"dep/__init__.py": b"VALUE = 2\n"}))
    with pytest.raises(PackageError):
        machine.installations.install(accepted, {good.name: good}, {})
    stranger = wheel(tmp_path / "wheels", "other")
    with pytest.raises(UsageError, match="not in its lock"):
        machine.installations.install(accepted, {stranger.name: stranger}, {})
    assert machine.installations.list() == []


def test_permissions_are_granted_per_set(machine: PluginMachine) -> None:
    machine.install()
    wider = machine.accepted(version="2.0.0", more="permissions: {native_code: true}\n")
    installed = machine.installations.install(wider, {}, {})
    assert not machine.installations.verify(installed).granted
    machine.grant(wider)
    assert machine.installations.verify(installed).granted
    assert machine.state.save_trust("", {}, in_same_hands=["other"]) == ("acme",)
    assert not machine.installations.verify(installed).granted


def test_compiled_wheels_are_tied_to_their_interpreter(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    native = tmp_path / "dep-1.0-cp311-cp311-linux_x86_64.whl"
    native.write_bytes(wheel_bytes())
    one = machine.install(wheels=[native], more="permissions: {native_code: true}\n")
    assert machine.installations.verify(one).python == interpreters.running().path
    other = replace(interpreters.running(), version="3.99.0", tag="cpython-399 on linux")
    monkeypatch.setattr(interpreters, "running", lambda: other)
    monkeypatch.setattr(interpreters, "interpreters", lambda: (other,))
    with pytest.raises(NoInterpreterError, match=r"chosen for cpython-311 .* has 3\.99\.0"):
        machine.installations.verify(one)
    monkeypatch.setattr(Installation, "tag", "")  # the control: then it would be run with that
    assert machine.installations.verify(one).python == other.path


class Killed(Reporter):
    """Kills the process at one step, as the power would."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, steps: int = 1) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


INSTALL = """
import sys
from pathlib import Path
from tavo.host.workers import StaticWorker
from tests.fakes.plugins import WORD, PluginMachine, text_file
from tests.host.test_host_installations import Killed
machine = PluginMachine(Path(sys.argv[1]))
machine._count = 10
accepted = machine.accepted(WORD + "# new\\n", version="2.0.0")
machine.installations.install(accepted, {}, {}, reporter=Killed(int(sys.argv[2])))
machine.grant(accepted)
"""


def install_in_process(machine: PluginMachine, step: int) -> int:
    return subprocess.run(
        [sys.executable, "-c", INSTALL, str(machine.folder), str(step)], cwd=ROOT, check=False
    ).returncode


@pytest.mark.parametrize("step", range(1, 7))
def test_killed_at_any_step_the_old_or_the_new_one_is_there(
    step: int, machine: PluginMachine
) -> None:
    machine.install()
    assert install_in_process(machine, step) == -signal.SIGKILL
    after = PluginMachine(machine.folder)
    (one,) = after.installations.list()
    assert one.version == ("2.0.0" if step >= 5 else "1.0.0")
    after.installations.verify(one)
    assert install_in_process(machine, 0) == 0  # nothing that was left behind is in its way
    (one,) = after.installations.list()
    assert one.version == "2.0.0"
    after.installations.verify(one)
    before = after.installations.previous("acme/sample")
    kept = {one.folder.name} | ({before.folder.name} if before else set())
    assert {entry.name for entry in one.folder.parent.iterdir()} == kept
    assert not list((machine.folder / "plugins" / "staging").iterdir())


def test_two_installs_at_once_wait_for_each_other(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[str] = []
    overlaps: list[str] = []

    class Watching(Reporter):
        def __init__(self, name: str) -> None:
            self.name = name

        def advance(self, steps: int = 1) -> None:
            if self.name not in inside:
                overlaps.extend(inside)
                inside.append(self.name)
            threading.Event().wait(0.01)

    real = store.Installations._locked

    @contextlib.contextmanager
    def locked(self: store.Installations) -> Iterator[None]:
        with real(self):
            yield
            inside.remove(threading.current_thread().name)

    monkeypatch.setattr(store.Installations, "_locked", locked)
    packages = [machine.accepted(version=f"1.0.{n}") for n in range(3)]

    def install(number: int) -> None:
        with State(machine.state.path) as state:
            here = store.Installations(state, machine.folder / "plugins")
            here.install(packages[number], {}, {}, reporter=Watching(str(number)))

    threads = [threading.Thread(target=install, args=(n,), name=str(n)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []
    (one,) = machine.installations.list()
    machine.installations.verify(one)


def test_an_install_that_waits_too_long_says_who_is_in_the_way(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = machine.accepted()
    monkeypatch.setattr(store, "_LOCK_WAIT_S", 0.1)

    class Blocking(Reporter):
        def advance(self, steps: int = 1) -> None:
            with State(machine.state.path) as state:
                other = store.Installations(state, machine.folder / "plugins")
                with pytest.raises(InputError, match="another tavo"):
                    other.install(accepted, {}, {})

    machine.installations.install(accepted, {}, {}, reporter=Blocking())


def test_the_state_is_private_and_knows_its_schema(machine: PluginMachine) -> None:
    path = machine.state.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert machine.state.load_trust("x") is None
    machine.state.save_trust("x", {"version": 3, "expires": "2027-01-01"})
    with State(path) as again:
        assert again.load_trust("x") == {"version": 3, "expires": "2027-01-01"}
    machine.state.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="newer tavo"):
        State(path)


def test_a_state_that_cannot_be_opened_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be opened"):
        State(tmp_path / "file" / "state.db")
    (tmp_path / "broken.db").write_text("this is no database at all, not even a header")
    with pytest.raises(InputError):
        State(tmp_path / "broken.db")


def test_records_survive_as_they_were(machine: PluginMachine) -> None:
    one = machine.install()
    row = dict(machine.state.query("SELECT * FROM installations")[0])
    assert json.loads(row["provenance"]) == {"source": "test"}
    assert isinstance(one, Installation)
    assert one.manifest == machine.installations.get("acme/sample").manifest


def test_bytecode_of_a_dependency_cannot_stand_in_for_its_source(
    machine: PluginMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = compile("VALUE = 'evil'", "dep/__init__.py", "exec")
    cached = f"dep/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    # marked as never to be compared with the source beside it (PEP 552)
    bytecode = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
    path = wheel(tmp_path / "wheels")
    path.write_bytes(wheel_bytes(files={cached: bytecode + marshal.dumps(code)}))
    main = WORD.replace("from tavo.plugins", "import dep\nfrom tavo.plugins").replace(
        '"The word secret."', "dep.VALUE"
    )
    with pytest.raises(PackageError, match="is compiled code, but the wheel's name promises"):
        machine.install(main, wheels=[path])

    # the control: without the guard the reviewed source is not what runs
    monkeypatch.setattr("marketplace_db.wheel.holds_compiled_code", lambda *_: False)
    with StaticWorker(machine.verified(main, wheels=[path])) as worker:
        result = worker.analyze([text_file("a.py", "a secret\n")])
    ((found,),) = result.findings.values()
    assert found.message == "evil"
    assert "VALUE = 1" in (next((tmp_path / "machine").rglob("dep/__init__.py"))).read_text()


def test_what_python_runs_by_itself_is_inert_in_a_plugin(
    machine: PluginMachine, tmp_path: Path
) -> None:
    stop = b"import os\nos._exit(9)\n"
    shadows = {"tavo/__init__.py": stop, "tavo/plugins/__init__.py": stop,
               "json/__init__.py": stop, "sitecustomize.py": stop, "usercustomize.py": stop,
               "site.py": stop}  # fmt: skip
    path = wheel(tmp_path / "wheels")
    path.write_bytes(wheel_bytes(files=shadows))
    with StaticWorker(machine.verified(WORD, wheels=[path])) as worker:
        result = worker.analyze([text_file("a.py", "a secret\n")])
    assert not result.failures
    assert len(result.findings[text_file("a.py").path]) == 1
