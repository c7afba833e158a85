"""Several plugins at once: installed together or not at all, kept for a rollback, using others."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tavo.errors import RefusedError, UsageError
from tavo.host import installed, together
from tavo.host.installations import Installation, Installations, Staged, TamperedError
from tavo.host.interpreters import interpreters, running
from tavo.host.local import open_local
from tavo.host.probe import probe
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.state import State
from tavo.host.workers import StaticWorker
from tests.fakes.kernel import ROOT
from tests.fakes.operator_market import plugin_folder, wheel_bytes
from tests.fakes.plugin_sets import TERMS, USES_TERMS
from tests.fakes.plugins import WORD, PluginMachine, text_file


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def put(machine: PluginMachine, *given: Mapping[str, object]) -> list[Installation]:
    """Install these releases together and accept them; the options are `accepted`'s."""
    releases = [dict(one) for one in given]
    repositories = [str(one.pop("repository", "")) for one in releases]
    accepted = [machine.accepted(**one) for one in releases]  # type: ignore[arg-type]
    staged = []
    for package, one, repository in zip(accepted, releases, repositories, strict=True):
        wheels: Sequence[Path] = one.get("wheels", ())  # type: ignore[assignment]
        staged.append(
            Staged(
                accepted=package,
                wheels={path.name: path for path in wheels},
                provenance={"repository": repository},
            )
        )
    made = machine.installations.install_all(staged)
    for package in accepted:
        machine.grant(package)
    return made


def words(version: str = "1.0.0", second: str = "hidden", **options: object) -> dict[str, object]:
    files = {"terms.py": TERMS.replace("hidden", second)}
    return {"plugin": "words", "version": version, "files": files, **options}


def app(
    version: str = "1.0.0", needs: str = "acme/words>=1,<2", **more: object
) -> dict[str, object]:
    return {"plugin": "app", "version": version, "main": USES_TERMS, "needs": [needs], **more}


def versions(machine: PluginMachine) -> dict[str, str]:
    return {one.full_id: one.version for one in machine.installations.list()}


def found(machine: PluginMachine, text: str, **options: object) -> list[str]:
    verified = machine.installations.verify(machine.installations.get("acme/app"))
    try:
        with StaticWorker(verified, **options) as worker:  # type: ignore[arg-type]
            result = worker.analyze([text_file("a.py", text)])
            assert not result.failures, (result.failures, worker.disabled)
            return [f.message for findings in result.findings.values() for f in findings]
    finally:
        verified.close()


# -- the code of another plugin


@pytest.mark.parametrize("level", [SandboxLevel.STANDARD, SandboxLevel.STRONG])
def test_a_plugin_uses_the_code_of_another_one(level: SandboxLevel, machine: PluginMachine) -> None:
    if probe().level < level:
        pytest.skip(f"no {level.label} on this machine")
    put(machine, words(), app())
    policy = LevelPolicy(required=level)
    said = found(machine, "hidden\nsecret\n", policy=policy)
    assert said == ["The word hidden.", "The word secret."]


NOSY = """\
import os
from tavo.plugins import Finding, Location, Rule, Severity, StaticAnalysisPlugin
import tavo_plugins.acme.words as other

FOLDER = other.__path__[0]


class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="seen", title="What it could do", severity=Severity.HIGH),)

    def analyze_file(self, file_path, content):
        for name, act in (
            ("read", lambda: open(FOLDER + "/terms.py").read()),
            ("write", lambda: open(FOLDER + "/terms.py", "w").close()),
            ("make", lambda: open(FOLDER + "/more.py", "w").close()),
            ("see", lambda: os.listdir(content.strip())),
        ):
            try:
                act()
            except OSError:
                continue
            yield Finding(rule_id="seen", message=name, severity=Severity.HIGH,
                          location=Location(path=file_path))
"""


def test_what_it_uses_is_read_only_and_its_neighbours_are_out_of_sight(
    machine: PluginMachine,
) -> None:
    (stranger,) = put(machine, {"plugin": "stranger"})
    put(machine, words(), app(main=NOSY))
    (machine.installations.get("acme/words").folder / "plugin").chmod(0o755)
    assert found(machine, str(stranger.folder)) == ["read"]
    # the control: without a sandbox nothing but the mode of the files would hold it back
    free = LevelPolicy(required=SandboxLevel.NONE, accepted={"acme/app": SandboxLevel.NONE})
    assert {"read", "make", "see"} <= set(found(machine, str(stranger.folder), policy=free))


def test_what_it_uses_is_hashed_before_each_run(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, _ = put(machine, words(), app())
    target = used.folder / "plugin" / "terms.py"
    target.chmod(0o644)
    target.write_text("def terms(): return ['planted']\n")
    with pytest.raises(
        TamperedError, match=r"acme/words 1\.0\.0: plugin/terms\.py has been changed"
    ):
        found(machine, "planted\n")
    monkeypatch.setattr(installed, "compare", lambda *_, **__: None)  # the control
    assert found(machine, "planted\n") == ["The word planted."]


def test_a_plugin_is_not_run_without_what_it_needs(machine: PluginMachine) -> None:
    put(machine, words(), app())
    one = machine.installations.get("acme/app")
    alone = installed.verify_files(one, granted=True, variables=frozenset())
    with pytest.raises(RefusedError, match="needs acme/words, which was not verified"):
        StaticWorker(alone)


def test_kept_answers_depend_on_the_code_of_both(machine: PluginMachine) -> None:
    put(machine, words(), app())
    one = machine.installations.get("acme/app")
    before = machine.installations.verify(one).code
    assert machine.installations.verify(one).code == before
    put(machine, words("1.1.0", "other"))
    assert machine.installations.verify(one).code != before
    assert before != one.package.hex


def test_a_local_plugin_uses_installed_ones(machine: PluginMachine, tmp_path: Path) -> None:
    folder = plugin_folder(
        tmp_path / "mine", id="mine", more="requires_plugins: ['acme/words>=1']\n",
        files={"main.py": USES_TERMS},
    )  # fmt: skip
    with open_local(folder) as local, pytest.raises(RefusedError, match="needs other plugins"):
        local.own()
    needed_by = machine.installations.needed_by
    with open_local(folder, needed_by=needed_by) as local:
        with pytest.raises(RefusedError, match="needs acme/words >=1, which is not installed"):
            local.own()
        put(machine, words(repository="somewhere"))
        mine = local.own()
        with StaticWorker(mine, policy=LevelPolicy(required=SandboxLevel.STANDARD)) as worker:
            result = worker.analyze([text_file("a.py", "hidden\n")])
        assert [f.message for f in next(iter(result.findings.values()))] == ["The word hidden."]
        mine.close()


# -- what cannot be together


def test_a_need_is_met_by_the_same_repository_only(machine: PluginMachine) -> None:
    put(machine, words(repository="theirs"))
    with pytest.raises(RefusedError, match="comes from another repository"):
        put(machine, app(repository="ours"))
    assert versions(machine) == {"acme/words": "1.0.0"}
    put(machine, words(repository="ours"), app(repository="ours"))  # together they are fine


def test_an_install_that_breaks_another_plugin_changes_nothing(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(machine, words(), app())
    message = r"acme/app 1\.0\.0 needs acme/words >=1,<2, but 2\.0\.0 is installed; nothing was"
    with pytest.raises(RefusedError, match=message):
        put(machine, words("2.0.0"))
    with pytest.raises(RefusedError, match="which is not installed; nothing was changed"):
        machine.installations.remove("acme/words")
    assert versions(machine) == {"acme/app": "1.0.0", "acme/words": "1.0.0"}
    put(machine, words("2.0.0"), app("1.1.0", "acme/words>=2"))
    machine.installations.remove("acme/app")
    machine.installations.remove("acme/words")
    put(machine, words(), app())
    monkeypatch.setattr(Installations, "_check_needs", lambda *_, **__: None)  # the control
    put(machine, words("2.0.0"))
    with pytest.raises(RefusedError, match=r"but 2\.0\.0 is installed"):  # never run
        found(machine, "secret\n")


def wheel(folder: Path, version: str = "1.0", tag: str = "py3-none-any") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"dep-{version}-{tag}.whl"
    path.write_bytes(wheel_bytes("dep", version))
    return path


def test_one_process_has_one_version_of_a_package(machine: PluginMachine, tmp_path: Path) -> None:
    one, two = wheel(tmp_path / "w"), wheel(tmp_path / "w", "2.0")
    put(machine, words(wheels=[one]), {"plugin": "other", "wheels": [two]})  # apart they are fine
    with pytest.raises(RefusedError, match=r"acme/app 1\.0\.0 brings dep 2\.0 and acme/words"):
        put(machine, app(wheels=[two]))
    put(machine, app(wheels=[one]))
    assert found(machine, "secret\n") == ["The word secret."]


def test_compiled_code_of_others_needs_the_permission(
    machine: PluginMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = f"cp{running().minor[0]}{running().minor[1]}"
    native = wheel(tmp_path / "w", tag=f"{tag}-{tag}-linux_x86_64")
    more = "permissions: {native_code: true}\n"
    put(machine, words(wheels=[native], more=more))
    with pytest.raises(RefusedError, match="does not ask for the permission native_code"):
        put(machine, app())
    put(machine, app(more=more))
    assert found(machine, "secret\n") == ["The word secret."]
    monkeypatch.setattr(together, "check_process", lambda *_: "")  # the control
    put(machine, app("1.1.0"))
    assert found(machine, "secret\n") == ["The word secret."]
    assert together.fits_every_python("a-1-py2.py3-none-any.whl")
    assert not together.fits_every_python("a-1-py312-none-any.whl")


# -- another interpreter


SAYS_PYTHON = WORD.replace(
    'message="The word secret."',
    'message="Python %d.%d, dep %s." % (*sys.version_info[:2], dep.VALUE)',
).replace("from tavo.plugins", "import sys\nimport dep\nfrom tavo.plugins", 1)


@pytest.mark.parametrize("minor", ["3.11", "3.12", "3.13"])
def test_a_plugin_runs_with_the_interpreter_and_the_wheels_that_were_chosen(
    minor: str, machine: PluginMachine, tmp_path: Path
) -> None:
    wanted = tuple(int(part) for part in minor.split("."))
    python = next((one for one in interpreters() if one.minor == wanted), None)
    if python is None:
        pytest.skip(f"no CPython {minor} on this machine")
    tag = f"cp{minor.replace('.', '')}"
    native = wheel(tmp_path / "w", tag=f"{tag}-{tag}-linux_x86_64")
    accepted = machine.accepted(
        SAYS_PYTHON, plugin="app", wheels=[native],
        more=f"permissions: {{native_code: true}}\npython: '=={minor}.*'\n",
    )  # fmt: skip
    (one,) = machine.installations.install_all(
        [Staged(accepted=accepted, wheels={native.name: native}, provenance={}, interpreter=python)]
    )
    machine.grant(accepted)
    assert one.interpreter == python.tag
    for level in {SandboxLevel.STANDARD, min(SandboxLevel.STRONG, probe(python.path).level)}:
        said = found(machine, "secret\n", policy=LevelPolicy(required=level))
        assert said == [f"Python {minor}, dep 1."]


# -- all or nothing, and back


UPGRADE = """
import sys
from pathlib import Path
from tavo.host.installations import Staged
from tests.fakes.plugins import PluginMachine
from tests.host.test_host_installations import Killed
from tests.host.test_host_plugin_sets import app, words
machine = PluginMachine(Path(sys.argv[1]))
machine._count = 10
packages = [machine.accepted(**words("2.0.0", "other")),
            machine.accepted(**app("1.1.0", "acme/words>=2"))]
machine.installations.install_all(
    [Staged(accepted=one, wheels={}, provenance={"repository": ""}) for one in packages],
    reporter=Killed(int(sys.argv[2])))
for one in packages:
    machine.grant(one)
"""


def upgrade_in_process(machine: PluginMachine, step: int) -> int:
    return subprocess.run(
        [sys.executable, "-c", UPGRADE, str(machine.folder), str(step)], cwd=ROOT, check=False
    ).returncode


OLD = {"acme/app": "1.0.0", "acme/words": "1.0.0"}
NEW = {"acme/app": "1.1.0", "acme/words": "2.0.0"}


@pytest.mark.parametrize("step", range(1, 10))
@pytest.mark.parametrize("before", ["nothing", "old ones"])
def test_killed_at_any_step_all_or_none_of_them_are_there(
    step: int, before: str, machine: PluginMachine
) -> None:
    if before == "old ones":
        put(machine, words(), app())
    assert upgrade_in_process(machine, step) == -signal.SIGKILL
    after = PluginMachine(machine.folder)
    old = OLD if before == "old ones" else {}
    assert versions(after) == (NEW if step >= 8 else old)
    for one in after.installations.list():
        after.installations.verify(one).close()
    assert upgrade_in_process(machine, 0) == 0
    assert versions(after) == NEW
    assert found(after, "other\n") == ["The word other."]
    assert not list((machine.folder / "plugins" / "staging").iterdir())


def test_a_failure_in_the_middle_changes_nothing(machine: PluginMachine) -> None:
    put(machine, words(), app())
    broken = machine.accepted(**app("1.1.0", "acme/words>=2"))  # type: ignore[arg-type]
    good = machine.accepted(**words("2.0.0"))  # type: ignore[arg-type]
    broken.inspected.path.write_bytes(b"no zip")
    with pytest.raises(Exception, match="no longer the file"):
        machine.installations.install_all(
            [Staged(accepted=one, wheels={}, provenance={}) for one in (good, broken)]
        )
    assert versions(machine) == OLD
    assert found(machine, "hidden\n") == ["The word hidden."]


def test_back_and_forth(machine: PluginMachine) -> None:
    put(machine, words(), app())
    put(machine, words("2.0.0", "other"), app("1.1.0", "acme/words>=2"))
    back = machine.installations.roll_back
    with pytest.raises(RefusedError, match=r"but 2\.0\.0 is installed"):
        back(["acme/app"], lambda _: None)
    assert versions(machine) == NEW
    seen: list[str] = []
    pairs = back(["acme/app", "acme/words"], lambda one: seen.append(one.version))
    assert [(now.version, old.version) for now, old in pairs] == [
        ("1.1.0", "1.0.0"), ("2.0.0", "1.0.0"),
    ]  # fmt: skip
    assert seen == ["1.0.0", "1.0.0"]
    assert versions(machine) == OLD
    assert found(machine, "hidden\n") == ["The word hidden."]
    back(["acme/words", "acme/app"], lambda _: None)
    assert versions(machine) == NEW
    assert found(machine, "other\n") == ["The word other."]


def test_a_rollback_that_is_forbidden_or_damaged_changes_nothing(machine: PluginMachine) -> None:
    put(machine, words())
    put(machine, words("1.1.0"))

    def forbid(one: Installation) -> None:
        raise RefusedError(f"{one.full_id} {one.version}: was recalled")

    back = machine.installations.roll_back
    with pytest.raises(RefusedError, match=r"acme/words 1\.0\.0: was recalled"):
        back(["acme/words"], forbid)
    kept = machine.installations.previous("acme/words")
    assert kept is not None
    (kept.folder / "plugin" / "README.md").unlink()
    with pytest.raises(TamperedError, match=r"README\.md is missing"):
        back(["acme/words"], lambda _: None)
    assert versions(machine) == {"acme/words": "1.1.0"}
    with pytest.raises(UsageError, match="is not installed"):
        back(["acme/nothing"], lambda _: None)


def test_what_is_kept_is_pruned_on_demand_and_with_the_plugin(machine: PluginMachine) -> None:
    (old,) = put(machine, words())
    put(machine, words("1.1.0"))
    assert [one.version for one in machine.installations.prune()] == ["1.0.0"]
    assert not old.folder.exists()
    with pytest.raises(UsageError, match="no earlier installation is kept"):
        machine.installations.roll_back(["acme/words"], lambda _: None)
    put(machine, words())
    machine.installations.remove("acme/words")
    assert machine.installations.prune() == ()
    assert not list((machine.folder / "plugins" / "store").iterdir())


def test_a_state_of_schema_3_keeps_its_installations(machine: PluginMachine) -> None:
    put(machine, words())
    path = machine.state.path
    machine.state.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE previous_installations")
        connection.execute("DROP TABLE confirmed_times")
        connection.execute("PRAGMA user_version = 3")
        # as it was recorded then: without what a manifest can say only now
        (text,) = connection.execute("SELECT manifest FROM installations").fetchone()
        told = json.loads(text)
        del told["requires_plugins"], told["python"]
        connection.execute("UPDATE installations SET manifest = ?", (json.dumps(told),))
    connection.close()
    after = PluginMachine(machine.folder)
    assert versions(after) == {"acme/words": "1.0.0"}
    (one,) = after.installations.list()
    assert after.installations.verify(one).granted
    after._count = 10
    put(after, words("1.1.0"))
    assert after.installations.previous("acme/words") == one


# -- while it runs, and two at once


@pytest.mark.parametrize(
    "change", ["replaced", "downgraded", "removed", "what it uses is replaced"]
)
def test_a_run_goes_on_with_what_it_was_started_with(change: str, machine: PluginMachine) -> None:
    put(machine, words(), app())
    verified = machine.installations.verify(machine.installations.get("acme/app"))
    with StaticWorker(verified) as worker:
        if change == "replaced":
            put(machine, words("2.0.0", "other"), app("1.1.0", "acme/words>=2"))
        elif change == "downgraded":
            put(machine, app("0.9.0", "acme/words>=1"))
        elif change == "removed":
            machine.installations.remove("acme/app")
            machine.installations.remove("acme/words")
        else:
            put(machine, words("1.5.0", "other"))
        machine.installations.prune()
        result = worker.analyze([text_file("a.py", "hidden\n")])  # it is started only now
        assert [f.message for f in next(iter(result.findings.values()))] == ["The word hidden."]
    verified.close()
    machine.installations.prune()
    assert (
        {one.folder.name for one in machine.installations.list()}
        == {entry.name for entry in (machine.folder / "plugins" / "store").iterdir()}
        if change != "removed"
        else True
    )


def test_two_sets_at_once_leave_one_of_them_whole(machine: PluginMachine) -> None:
    sets = [
        [machine.accepted(**words("1.0.0")), machine.accepted(**app("1.0.0"))],  # type: ignore[arg-type]
        [
            machine.accepted(**words("2.0.0", "other")),  # type: ignore[arg-type]
            machine.accepted(**app("1.1.0", "acme/words>=2")),  # type: ignore[arg-type]
        ],
    ]

    def install(number: int) -> None:
        with State(machine.state.path) as state:
            Installations(state, machine.folder / "plugins").install_all(
                [Staged(accepted=one, wheels={}, provenance={}) for one in sets[number]]
            )

    threads = [threading.Thread(target=install, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions(machine) in (OLD, NEW)
    for one in machine.installations.list():
        machine.installations.verify(one).close()
