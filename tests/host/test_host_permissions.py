"""What was accepted, and what that covers: sets as they were seen, variables one by one."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from marketplace_db.manifest import manifest_to_json
from marketplace_db.permissions import permission_digest
from tavo.errors import RefusedError
from tavo.host import state as state_module
from tavo.host.installations import Installations
from tavo.host.permissions import AcceptedSet, granted_words, needed
from tavo.host.state import State
from tavo.host.workers import StaticWorker
from tests.fakes.plugins import PluginMachine, no_sandbox, text_file


def accepted(asked: str, granted: str | None = None) -> AcceptedSet:
    return AcceptedSet(
        asked=frozenset(asked.split()),
        granted=frozenset((asked if granted is None else granted).split()),
    )


@pytest.mark.parametrize(
    ("asked", "sets", "granted"),
    [
        ("", [], None),  # nobody was asked, so not even this
        ("", [accepted("")], ""),
        ("", [accepted("target")], ""),
        ("target", [accepted("")], None),
        ("target", [accepted("target native_code")], "target"),
        ("target native_code", [accepted("target"), accepted("native_code")], None),
        ("env:A", [accepted("")], ""),
        ("env:A target", [accepted("env:A target", "target")], "target"),
        ("env:A env:B", [accepted("env:A env:B", "env:B")], "env:B"),
        ("env:A target", [accepted("env:A target files"), accepted("target")], "env:A target"),
        # it was asked about exactly this, and declined: a wider answer does not count against it
        ("env:A", [accepted("env:A files"), accepted("env:A", "")], ""),
        ("network:a", [accepted("network:a:8443")], None),
    ],
)
def test_what_is_granted(asked: str, sets: list[AcceptedSet], granted: str | None) -> None:
    found = granted_words(asked.split(), sets)
    assert found == (None if granted is None else frozenset(granted.split()))


def test_two_answers_are_not_added_up() -> None:
    """The attack: native code in one update, the network in the next, both together in a third."""
    answers = [accepted("native_code"), accepted("network:a")]
    both = ["native_code", "network:a"]
    assert granted_words(both, answers) is None
    together = frozenset().union(*(one.granted for one in answers))  # the control: a sum of words
    assert granted_words(both, [AcceptedSet(asked=together, granted=together)]) == needed(both)


WIDER = "permissions: {network: [a.example], env: [A_KEY, B_KEY]}\n"

SEES = """\
import os
from tavo.plugins import *
class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="r", title="R", severity=Severity.LOW),)
    def analyze_file(self, file_path, content):
        seen = sorted(name for name in os.environ if name.endswith("_KEY"))
        yield Finding(rule_id="r", message=" ".join(seen) or "none", severity=Severity.LOW,
                      location=Location(path=file_path, region=Region(start_line=1, end_line=1,
                                        end_column=2)))
"""


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def test_a_wider_update_does_not_run_until_it_is_accepted(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.install(version="1.0.0")
    wider = machine.accepted(version="2.0.0", more="permissions: {target: true}\n")
    installed = machine.installations.install(wider, {}, {})
    verified = machine.installations.verify(installed)
    with pytest.raises(RefusedError, match=r"acme/sample 2\.0\.0: waits for your accept") as caught:
        StaticWorker(verified)
    assert "`tavo registry grant acme/sample`" in caught.value.hint
    verified.close()
    with monkeypatch.context() as patch:  # the control: without the guard it is started
        patch.setattr(Installations, "granted", lambda *_: frozenset({"target"}))
        StaticWorker(machine.installations.verify(installed)).close()
    machine.grant(wider)
    StaticWorker(machine.installations.verify(installed)).close()


def test_a_narrower_update_and_the_way_back_need_no_answer(machine: PluginMachine) -> None:
    machine.install(version="1.0.0", more=WIDER)
    for version, more in [
        ("2.0.0", "permissions: {network: [a.example]}\n"),
        ("3.0.0", ""),
        ("1.0.0", WIDER),
    ]:
        one = machine.installations.install(machine.accepted(version=version, more=more), {}, {})
        assert machine.installations.verify(one).granted


@pytest.mark.parametrize(
    "other", [("acme/other", ""), ("other/sample", ""), ("acme/sample", "another repository")]
)
def test_a_grant_counts_for_one_plugin_of_one_repository(
    machine: PluginMachine, other: tuple[str, str]
) -> None:
    machine.install(more=WIDER)
    full_id, repository = other
    assert machine.state.accepted_sets("acme/sample", repository="")
    assert not machine.state.accepted_sets(full_id, repository=repository)


def test_a_plugin_of_another_repository_was_not_accepted(machine: PluginMachine) -> None:
    machine.install(more=WIDER)
    again = machine.accepted(more=WIDER)
    one = machine.installations.install(again, {}, {"repository": "another"})
    assert not machine.installations.verify(one).granted


def test_only_granted_variables_are_passed(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "a")
    monkeypatch.setenv("B_KEY", "b")
    monkeypatch.setenv("C_KEY", "c")
    package = machine.accepted(SEES, more="permissions: {env: [A_KEY, B_KEY]}\n")
    manifest = package.inspected.manifest
    one = machine.installations.install(package, {}, {})

    def seen() -> str:
        with StaticWorker(machine.installations.verify(one), policy=no_sandbox()) as worker:
            result = worker.analyze([text_file("a.py", "x")])
        assert not result.failures
        ((finding,),) = result.findings.values()
        return finding.message

    machine.state.grant(manifest, [], repository="")
    assert seen() == "none"
    machine.state.grant(manifest, ["env:B_KEY"], repository="")
    assert seen() == "B_KEY"
    machine.state.grant(manifest, ["env:A_KEY", "env:B_KEY"], repository="")
    assert seen() == "A_KEY B_KEY"
    assert machine.state.take_back("acme/sample", ["env:A_KEY"], repository="") == 1
    assert machine.state.take_back("acme/sample", ["env:A_KEY"], repository="") == 0
    assert seen() == "B_KEY"
    assert os.environ["A_KEY"] == "a"


def test_what_was_taken_back_is_gone_from_every_answer(machine: PluginMachine) -> None:
    machine.install(version="1.0.0", more="permissions: {target: true}\n")
    two = machine.install(version="2.0.0", more="permissions: {target: true, native_code: true}\n")
    assert machine.state.take_back("acme/sample", ["target"], repository="") == 2
    assert not machine.installations.verify(two).granted


def old_state(path: Path, *, permissions: str, manifest: str, provenance: str) -> None:
    """Write a database as schema 2 did: a grant is the digest of a set."""
    old = sqlite3.connect(path)
    old.executescript("".join(state_module._MIGRATIONS[:2]) + "; PRAGMA user_version = 2;")
    old.execute(
        "INSERT INTO installations VALUES ('acme/sample', '1.0.0', ?, 'f', ?, '{}', '[]', 'x', ?,"
        " '2026-01-01')",
        ("ab" * 32, manifest, provenance),
    )
    old.execute("INSERT INTO grants VALUES ('acme', 'sample', ?, '2026-01-01')", (permissions,))
    old.execute("INSERT INTO grants VALUES ('acme', 'gone', ?, '2026-01-01')", (permissions,))
    old.execute("INSERT INTO local_plugins VALUES (?, '/x', 'acme/l', '2026-01-01')", ("cd" * 32,))
    old.commit()
    old.close()


def test_grants_of_the_schema_before_are_read(machine: PluginMachine, tmp_path: Path) -> None:
    manifest = machine.accepted(more=WIDER).inspected.manifest
    path = tmp_path / "old.db"
    old_state(
        path,
        permissions=permission_digest(manifest).hex,
        manifest=manifest_to_json(manifest),
        provenance=json.dumps({"repository": "r1"}),
    )
    for _ in range(2):  # the second time it is already upgraded
        with State(path) as state:
            (one,) = state.accepted_sets("acme/sample", repository="r1")
            assert one.asked == {"network:a.example", "env:A_KEY", "env:B_KEY"}
            assert one.granted == {"network:a.example"}  # variables were not asked one by one
            assert not state.accepted_sets("acme/gone", repository="r1")  # nothing explains it
            assert state.query("SELECT variables FROM local_plugins")[0][0] == "[]"
            assert not state.query("SELECT 1 FROM sqlite_master WHERE name = 'old_grants'")


def test_an_old_grant_for_another_set_than_the_installed_one_is_asked_about_again(
    machine: PluginMachine, tmp_path: Path
) -> None:
    manifest = machine.accepted(more=WIDER).inspected.manifest
    path = tmp_path / "old.db"
    old_state(path, permissions="ef" * 32, manifest=manifest_to_json(manifest), provenance="{}")
    with State(path) as state:
        assert not state.accepted_sets("acme/sample", repository="")


def test_an_old_record_that_cannot_be_read_locks_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_state(path, permissions="ef" * 32, manifest="{", provenance="{}")
    with State(path) as state:
        assert not state.query("SELECT * FROM grants")
        assert len(state.query("SELECT * FROM installations")) == 1
