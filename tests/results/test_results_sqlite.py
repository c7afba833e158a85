"""One run as a store of its own: all of it, and nothing of other runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tavo.errors import UsageError
from tavo.results.export.sqlite import run_to_sqlite
from tavo.results.store import ResultStore
from tests.fakes.results import (
    NOTICES,
    PLUGIN_RUN,
    everything,
    finding_of,
    location,
    replace,
    stored_run,
    taint_finding,
)

SECRET = "only_in_the_other_run"


def rows(store: ResultStore) -> dict[str, int]:
    names = store._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return {
        name: store._connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for (name,) in names.fetchall()
    }


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_run_is_there_with_all_of_it(tmp_path: Path, in_memory: bool) -> None:
    one = taint_finding()
    where = location("a.py", 1, 1, 2, SECRET * 400)
    other = replace(one, finding=finding_of(one.rule, where))
    with ResultStore(None if in_memory else tmp_path / "all.db") as store:
        stored_run(store, [other] * 50, NOTICES, [PLUGIN_RUN])
        run_id = stored_run(store, everything(), NOTICES, [PLUGIN_RUN], exit_code=4)
        run, findings = store.run(run_id), list(store.findings(run_id))
        data = run_to_sqlite(store, run_id)
        assert len(store.runs()) == 2, "the store that it is made from stays as it is"
    file = tmp_path / "one.db"
    file.write_bytes(data)
    with ResultStore(file, must_exist=True) as copy:
        assert copy.run() == run
        assert list(copy.findings(run_id)) == findings
        assert rows(copy)["runs"] == 1
        assert rows(copy)["notices"] == len(NOTICES)
        assert rows(copy)["rules"] == 4
        with pytest.raises(UsageError):
            copy.run(1)
    assert SECRET.encode() not in data


def test_the_other_run_would_be_there_without_the_guard(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "all.db") as store:
        one = taint_finding()
        stored_run(
            store, [replace(one, finding=finding_of(one.rule, location("a", 1, 1, 2, SECRET)))]
        )
        stored_run(store, everything())
    assert SECRET.encode() in (tmp_path / "all.db").read_bytes()
