"""The JSON report: valid against the schema that is published, plain ASCII, complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tavo.results.export.json import SCHEMA, json_schema, run_to_json, run_to_value
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tests.fakes.results import NOTICES, PLUGIN_RUN, everything, stored_run, taint_finding
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "tavo-results-1.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text()))


def stored(
    findings: list[Reported], notices: tuple[Notice, ...] = (), *, finished: bool = True
) -> tuple[ResultStore, int]:
    store = ResultStore()
    run_id = stored_run(store, findings, notices, [PLUGIN_RUN], exit_code=1, finished=finished)
    store._connection.execute("UPDATE runs SET uuid = '00000000-0000-4000-8000-000000000001'")
    return store, run_id


def document(*arguments: Any, **options: Any) -> dict[str, Any]:
    store, run_id = stored(*arguments, **options)
    value = json.loads(run_to_json(store.run(run_id), store.findings(run_id)))
    assert value == run_to_value(store.run(run_id), store.findings(run_id))
    return dict(value)


def test_the_published_schema_is_the_one_of_the_code() -> None:
    check_snapshot(PUBLISHED, json.dumps(json_schema(), indent=2) + "\n")
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_report_is_as_kept() -> None:
    store, run_id = stored(everything(), NOTICES)
    text = run_to_json(store.run(run_id), store.findings(run_id))
    check_snapshot(SNAPSHOTS / "everything.json", text + "\n")


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("findings", [[], [taint_finding()], everything()])
def test_every_report_is_valid(findings: list[Reported], finished: bool) -> None:
    value = document(findings, NOTICES, finished=finished)
    assert list(VALIDATOR.iter_errors(value)) == []
    assert value["schema"] == SCHEMA


def test_the_schema_can_fail() -> None:
    value = document(everything())
    value["findings"][0]["severity"] = "awful"
    del value["run"]["complete"]
    assert len(list(VALIDATOR.iter_errors(value))) == 2


def test_the_schema_allows_new_fields() -> None:
    value = document(everything())
    value["run"]["host"] = "build-7"
    assert list(VALIDATOR.iter_errors(value)) == []


def test_counts_leave_suppressed_findings_out() -> None:
    summary = document(everything())["summary"]
    assert summary == {
        "findings": 4,
        "suppressed": 1,
        "by_severity": {"critical": 2, "high": 1, "medium": 0, "low": 0, "info": 1},
    }


def test_each_finding_leads_to_its_rule() -> None:
    value = document(everything())
    known = {(rule["tool"], rule["id"]) for rule in value["rules"]}
    assert {(one["tool"], one["rule_id"]) for one in value["findings"]} == known


def test_the_text_is_ascii_and_loses_nothing() -> None:
    store, run_id = stored(everything())
    text = run_to_json(store.run(run_id), store.findings(run_id))
    assert text.isascii()
    assert not {c for c in text if ord(c) < 32 and c != "\n"} | ({"\x7f"} & set(text))
    snippet = next(
        one["location"]["snippet"]
        for one in json.loads(text)["findings"]
        if one["rule_id"] == "prompt-is-long"
    )
    assert snippet == 'P = """\u202e提示\x1b[31m"""'


def test_an_interrupted_run_is_not_complete() -> None:
    run = document([taint_finding()], finished=False)["run"]
    assert (run["complete"], run["finished_at"], run["exit_code"]) == (False, "", None)


def test_what_was_not_done_is_listed() -> None:
    value = document([], NOTICES)
    assert [entry["subject"] for entry in value["not_done"]] == [n.subject for n in NOTICES]
    assert value["run"]["complete"] is False
