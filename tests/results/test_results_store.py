"""The store: appends, refuses, survives a kill, gives back what it was given."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tavo.errors import ExitCode, InputError, UsageError, exit_code_of
from tavo.results.schema import APPLICATION_ID, SCHEMA_VERSION, STEPS, NotAStoreError, prepare
from tavo.results.store import ResultStore
from tavo.results.values import Absent, Exchange, Gate, PolicyResult, ProbeResult, Suppression
from tests.fakes.results import (
    INFO,
    NOTICES,
    PLUGIN_RUN,
    everything,
    replace,
    stored_run,
    taint_finding,
)

ROOT = Path(__file__).parents[2]


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    given = everything()
    with ResultStore(tmp_path / "results.db") as store:
        run_id = stored_run(store, given, NOTICES, [PLUGIN_RUN], exit_code=4)
    with ResultStore(tmp_path / "results.db", must_exist=True) as store:
        run = store.run()
        found = list(store.findings(run_id))
    assert run.info == INFO
    assert run.notices == NOTICES
    assert run.plugins == (PLUGIN_RUN,)
    assert (run.exit_code, run.files, run.complete) == (4, 8, False)
    assert run.findings == 4, "a suppressed finding does not count"
    key = {one.finding.location.path: one for one in given}
    assert [replace(one, fingerprint="") for one in found] == [
        key[one.finding.location.path] for one in found
    ]
    paths = [str(one.finding.location.path) for one in found]
    assert paths == sorted(paths)


def test_a_second_run_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with ResultStore(path) as store:
        first = stored_run(store, [taint_finding()])
    with ResultStore(path) as store:
        second = stored_run(store, everything())
        assert [run.id for run in store.runs()] == [second, first]
        assert len(list(store.findings(first))) == 1
        assert store.run().id == second
        one, two = next(store.findings(first)), list(store.findings(second))
    assert one.fingerprint in {other.fingerprint for other in two}


def test_an_unknown_run_is_named(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "results.db") as store:
        with pytest.raises(UsageError, match=r"results\.db: does not hold a run"):
            store.run()
        with pytest.raises(UsageError, match="does not hold run 7"):
            store.run(7)


def test_a_file_that_is_no_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n" * 200)
    with pytest.raises(UsageError, match="is no database") as caught:
        ResultStore(path)
    assert exit_code_of(caught.value) is ExitCode.USAGE
    assert path.read_text() == "my notes\n" * 200


def test_a_database_of_something_else_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is a database of something else"):
        ResultStore(path)
    assert path.read_bytes() == before


def test_control_without_the_check_the_foreign_database_would_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in STEPS[0].split(";"):
            connection.execute(statement)
    connection.close()
    with sqlite3.connect(path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    connection.close()
    assert {"customers", "findings"} <= names


def test_a_store_of_a_newer_tavo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    ResultStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(UsageError, match="newer tavo"):
        ResultStore(path)


def test_an_older_store_is_brought_up_step_by_step(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with ResultStore(path) as store:
        stored_run(store, everything())
    connection = sqlite3.connect(path, isolation_level=None)
    prepare(connection, [*STEPS, "ALTER TABLE runs ADD COLUMN host TEXT NOT NULL DEFAULT ''"])
    assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION + 1
    assert connection.execute("SELECT host FROM runs").fetchall() == [("",)]
    connection.close()


def test_a_store_of_schema_1_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    connection = sqlite3.connect(path, isolation_level=None)
    prepare(connection, STEPS[:1])
    connection.execute(
        "INSERT INTO runs (uuid, command, root, tool_version, started_at, finished_at, complete,"
        " exit_code, files, rules, cpu_s) VALUES ('u', '[]', '/', '0.1', 't', 't', 1, 0, 1, 1, 0.5)"
    )
    connection.execute(
        "INSERT INTO plugin_runs (run_id, plugin, version, package, sandbox, files, calls,"
        " findings, skipped, host_cpu_s, worker_cpu_s, wall_s, peak_bytes)"
        " VALUES (1, 'tavo/x', '1', 'd', 'L2', 3, 1, 0, 0, 0.1, 0.2, 0.3, 9)"
    )
    connection.close()
    with ResultStore(path) as store:
        run = store.run(1)
        assert (run.plugins[0].files, run.plugins[0].requests, run.plugins[0].cached) == (3, 0, 0)
        assert list(store.exchanges(1)) == []
        exchange = Exchange(
            plugin="tavo/x", request={"messages": []}, response=None, error="x", started_at="t",
            wall_s=0.1,
        )  # fmt: skip
        store.add_exchanges(1, [exchange])
        assert list(store.exchanges(1)) == [exchange]


def test_a_store_of_schema_3_is_read_and_takes_what_probes_gave(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    connection = sqlite3.connect(path, isolation_level=None)
    prepare(connection, STEPS[:3])
    connection.execute(
        "INSERT INTO runs (uuid, command, root, tool_version, started_at, finished_at, complete,"
        " exit_code, files, rules, cpu_s) VALUES ('u', '[]', '/', '0.1', 't', 't', 1, 0, 1, 1, 0.5)"
    )
    connection.close()
    result = ProbeResult(
        target="t", probe="p", severity="high", tried=6, worked=1, judged=2, failed=0, low=0.1,
        high=0.6, ended="all",
    )  # fmt: skip
    with ResultStore(path) as store:
        assert store.run(1).probes == ()
        store.add_probes(1, [result])
        assert store.run(1).probes == (result,)


def test_a_store_of_schema_2_is_read_and_judged_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    connection = sqlite3.connect(path, isolation_level=None)
    prepare(connection, STEPS[:2])
    connection.execute(
        "INSERT INTO runs (uuid, command, root, tool_version, started_at, finished_at, complete,"
        " exit_code, files, rules, cpu_s) VALUES ('u', '[]', '/', '0.1', 't', 't', 1, 0, 1, 1, 0.5)"
    )
    connection.execute(
        "INSERT INTO rules (run_id, tool, rule_id, title, severity, confidence, description, help,"
        " cwe, owasp, tags, refs) VALUES (1, 'tavo', 'r', 't', 'low', 'low', '', '', '[]', '[]',"
        " '[]', '[]')"
    )
    connection.execute(
        "INSERT INTO findings (run_id, rule, fingerprint, line_hash, severity, confidence, path,"
        " message, snippet, evidence, flow, suppression_kind, suppression_reason, suppression_line)"
        " VALUES (1, 1, 'f', '', 'low', 'low', 'a.py', 'm', '', '{}', '[]', 'inSource', 'why', 3)"
    )
    connection.execute("INSERT INTO notices (run_id, kind, subject, reason, incomplete)"
                       " VALUES (1, 'file', 'b.py', 'too large', 1)")  # fmt: skip
    connection.close()
    with ResultStore(path) as store:
        run = store.run(1)
        assert run.gate is None
        assert [notice.allowed for notice in run.notices] == [False]
        (found,) = store.findings(1)
        assert (found.baseline_state, found.suppression) == (
            "", Suppression(kind="inSource", reason="why", line=3),
        )  # fmt: skip
        gate = Gate(
            fail_on="high", fail_on_confidence="medium", baseline="b.json", policy=("p.rego",),
            evaluator="regopy 1",
            absent=(Absent(fingerprint="g", rule_id="r", tool="tavo", path="c.py", line=1,
                           message="m"),),
            policy_results=(PolicyResult(kind="deny", rule="deny_x", message="no",
                                         details={"a": [1]}, fingerprint="f", excepted=True),),
        )  # fmt: skip
        marked = replace(
            found, baseline_state="new",
            suppression=Suppression(kind="external", reason="ok", line=0, expires="2027-01-01",
                                    approved_by="ada"),
        )  # fmt: skip
        store.add_gate(1, gate)
        store.mark(1, [marked])
        assert store.run(1).gate == gate
        assert list(store.findings(1)) == [marked]


@pytest.mark.parametrize(
    "change",
    ["UPDATE gates SET fail_on = 'awful'", "UPDATE policy_results SET kind = 'pass'",
     "UPDATE gates SET policy = '['"],
)  # fmt: skip
def test_a_damaged_gate_is_an_input_error(change: str) -> None:
    store = ResultStore()
    run_id = stored_run(store, everything())
    said = (PolicyResult(kind="deny", rule="deny", message="m"),)
    store.add_gate(run_id, Gate(policy=("p",), policy_results=said))
    assert store.run(run_id).gate is not None
    store._connection.execute(change)
    with pytest.raises(InputError, match="damaged"):
        store.run(run_id)


def test_a_step_that_fails_leaves_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    ResultStore(path).close()
    before = path.read_bytes()
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        prepare(connection, [*STEPS, "CREATE TABLE extra (a TEXT); CREATE TABLE runs (a TEXT)"])
    connection.close()
    assert path.read_bytes() == before


def test_two_openers_of_a_new_file_make_one_schema(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    first = ResultStore(path)
    second = ResultStore(path)
    stored_run(first, [taint_finding()])
    stored_run(second, [taint_finding()])
    assert len(second.runs()) == 2
    first.close()
    second.close()


def test_places_that_cannot_hold_a_store_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"results\.db: there is no folder .*missing$"):
        ResultStore(tmp_path / "missing" / "results.db")
    with pytest.raises(InputError, match="is a folder"):
        ResultStore(tmp_path)
    with pytest.raises(InputError, match="no such result store"):
        ResultStore(tmp_path / "results.db", must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_a_scanned_project_does_not_choose_where_we_write(tmp_path: Path) -> None:
    outside = tmp_path / "outside.db"
    link = tmp_path / "results.db"
    link.symlink_to(outside)
    with pytest.raises(InputError, match="symbolic link"):
        ResultStore(link)
    assert not outside.exists()
    sqlite3.connect(link).execute("CREATE TABLE control (a TEXT)")
    assert outside.exists(), "control: SQLite itself writes through the link"


def test_a_locked_store_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with ResultStore(path) as store:
        store._connection.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"results\.db: cannot be opened or written.*locked"):
            store.begin(INFO)
        other.close()


def test_a_batch_is_all_or_nothing() -> None:
    store = ResultStore()
    run_id = store.begin(INFO)
    broken = replace(taint_finding("b.py"), line_hash=None)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        store.add(run_id, [taint_finding("a.py"), broken])
    assert list(store.findings(run_id)) == []
    store.add(run_id, [taint_finding("a.py")])
    assert len(list(store.findings(run_id))) == 1


def test_damaged_rows_are_an_input_error_not_a_defect(tmp_path: Path) -> None:
    for column, value in (
        ("severity", "awful"), ("path", "../../etc/passwd"), ("start_line", 0),
        ("evidence", "[1"), ("flow", '[{"path": 1}]'), ("flow", "7"),
    ):  # fmt: skip
        path = tmp_path / f"{column}-{value!s:.3}.db".replace("/", "_")
        with ResultStore(path) as store:
            run_id = stored_run(store, [taint_finding()])
            store._connection.execute(f"UPDATE findings SET {column} = ?", (value,))
            with pytest.raises(InputError, match="is damaged"):
                list(store.findings(run_id))


def test_file_names_that_are_not_text_stay_apart() -> None:
    store = ResultStore()
    run_id = stored_run(store, [taint_finding("a\udce4.py"), taint_finding("a\udce5.py")])
    assert [str(one.finding.location.path) for one in store.findings(run_id)] == [
        "a\\udce4.py",
        "a\\udce5.py",
    ]


def test_the_tables_are_strict_and_joinable(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with ResultStore(path) as store:
        stored_run(store, everything(), NOTICES, [PLUGIN_RUN])
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    strict = connection.execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE"
        " 'sqlite%'"
    ).fetchall()
    assert sorted(strict) == [
        ("absent", 1), ("exchanges", 1), ("findings", 1), ("gates", 1), ("notices", 1),
        ("plugin_runs", 1), ("policy_results", 1), ("probe_results", 1), ("rules", 1), ("runs", 1),
    ]  # fmt: skip
    joined = connection.execute(
        "SELECT count(*) FROM findings JOIN rules ON rules.id = findings.rule"
        " JOIN runs ON runs.id = findings.run_id"
    ).fetchone()
    assert joined == (5,)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_datasette_reads_it(tmp_path: Path) -> None:
    app = pytest.importorskip("datasette.app")
    path = tmp_path / "results.db"
    with ResultStore(path) as store:
        stored_run(store, everything(), NOTICES, [PLUGIN_RUN])

    async def page() -> list[str]:
        datasette = app.Datasette(immutables=[str(path)])
        response = await datasette.client.get("/results/findings.json?_shape=array")
        return [row["path"] for row in response.json()]

    import asyncio

    assert "models/ranker.pkl" in asyncio.run(page())


_KILLED = """
import os, signal, sys
from pathlib import Path
from tavo.results.store import ResultStore
from tests.fakes.results import INFO, taint_finding
store = ResultStore(Path(sys.argv[1]))
run_id = store.begin(INFO)
store.add(run_id, [taint_finding("kept.py")])
store._connection.execute("BEGIN IMMEDIATE")
store._connection.execute("UPDATE findings SET path = 'lost.py'")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_keeps_what_it_stored_and_stays_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL
    with ResultStore(path, must_exist=True) as store:
        run = store.run()
        assert (run.finished_at, run.complete, run.exit_code) == ("", False, None)
        assert [str(one.finding.location.path) for one in store.findings(run.id)] == ["kept.py"]


def test_the_version_check_stands_without_a_file() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA user_version = 3")
    with pytest.raises(NotAStoreError):
        prepare(connection)
