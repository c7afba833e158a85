"""Rules that point at secrets: no report and no store shows what they point at whole."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.covering import CREDENTIAL
from tavo.scan.engine import scan_source
from tavo.scan.rule_tests import place_of
from tavo.scan.rules import PACK, load_rules
from tests.cli.conftest import Run
from tests.cli.test_cli_engine import install

SAMPLES = Path(__file__).parents[1] / "scan" / "samples"
FORMATS = ("text", "json", "sarif", "ocsf", "github", "junit", "markdown", "html", "baseline")
STORE = "results.db"
SECRETS = {
    "agent-has-database-admin": ["postgres:secret@", "admin:admin@"],
    "ai-server-default-secret": ['KEY="sk-1234', "PASSWORD=langflow", "PASSWORD=1234"],
    "container-image-holds-secret": [
        "8fKq2Zr7Lw0Xv5Np3Td9Hs1Jb6Yc4Gm", "q7Vt2LmX9cRz4KpW8sYd1NfBq7Vt2Lm",
    ],
    "credentials-in-prompt-text": ["Xk9-plum-42", "s7Kd02Lm", "hunter2", "Sesame-2024"],
    "literal-key-for-model-client": [
        "7c1fd3a90b5e48c2", "q8Zt2mXv7Lc4Rb9Nw5Kp1Hd6Jf3Gs0Yu", "9b1c7e35d2f84a06",
        "d41f8c07b39e2a65d41f8c07b39e2a65",
    ],
    "mcp-secret-in-configuration": [
        "8fKq2Zr7Lw0Xv5Np3Td9Hs1Jb6Yc4Gm", "q7Vt2LmX9cRz4KpW8sYd1NfB",
        "3Hk9Qw7Zx2Lv8Nb5Tc1Rd6Mf4Jp0Sg", "t7Kq9Zv2Xw4Lp8Rn3Yc6Hd1M",
    ],
    "prompt-file-holds-secret": ["Zr7Lw0Xv5Np3", "q7Vt2LmX9cRz4KpW8sYd", "Winter2025!"],
    "provider-api-key": [
        "sKhBNhXJsiBwhTpFsQhXKWxOiixgVoOnzy",
        "440034d6608697a8d41bed440e5045", "WKbsDE5kGZoDiPCFdcERFmdD5nHQrroDnobDQ",
        "LqHhDP2UJyRbb8h",
        "z7N4R5by4QNjhYxBB3TgSNvpYe4xYZFQGQgNXPgqq6AgsY4sF6tH", "wzNg9Md3rXF4xbfbyFxLLJBKof4sKq",
    ],
}  # fmt: skip
"""What stands in the samples of each rule of our pack that has the tag."""
HELP = re.compile(r"      remediation: \|\n(?:        .*\n|\n)+")
"""What a rule says for all users, which shows some of the same examples."""
NAMES = {
    "agent-has-database-admin": "NL2SQLTool(db_uri=",
    "ai-server-default-secret": "LANGFLOW_SUPERUSER_PASSWORD=l",
    "container-image-holds-secret": "ENV OPENAI_API_KEY=$OPENAI_API_KEY",
    "credentials-in-prompt-text": "SYSTEM_PROMPT = ",
    "literal-key-for-model-client": "mistral_api_key=",
    "mcp-secret-in-configuration": "CRM_API_TOKEN",
    "prompt-file-holds-secret": "The admin password is Zr7*",
    "provider-api-key": "AZURE_OPENAI_API_KEY=fb44*",
}
"""What stays readable beside them."""


def tagged() -> list[str]:
    rules = load_rules([PACK]).rules
    return sorted(name for name, one in rules.items() if CREDENTIAL in one.rule.tags)


def outputs(tavo: Run, *words: str) -> dict[str, str]:
    """Scan the folder; return each report, and the store's bytes as text."""
    Path(STORE).unlink(missing_ok=True)
    written = [word for one in FORMATS for word in ("--output", f"{one}=../out.{one}")]
    tavo("scan", ".", "--no-default-rules", "--save", f"../{STORE}", *words, *written)
    found = {one: Path(f"../out.{one}").read_text("utf-8") for one in FORMATS}
    with sqlite3.connect(f"../{STORE}") as store:
        found["store"] = "\n".join(store.iterdump())
    store.close()
    Path(f"../{STORE}").unlink()
    return found


def fingerprints(report: str) -> list[tuple[str, str]]:
    return [(one["rule_id"], one["fingerprint"]) for one in json.loads(report)["findings"]]


def shown(text: str, secrets: list[str]) -> list[str]:
    """Return the secrets that are in a report, whatever its way to write quotes."""
    plain = text.replace('\\"', '"').replace("&quot;", '"').replace("&#34;", '"')
    return [secret for secret in secrets if secret in plain]


def test_each_rule_of_the_pack_with_the_tag_is_tried_here() -> None:
    assert tagged() == sorted(SECRETS) == sorted(NAMES)


@pytest.mark.parametrize("rule", sorted(SECRETS))
def test_no_output_shows_what_a_rule_for_credentials_points_at(
    rule: str, tavo: Run, tmp_path: Path
) -> None:
    """Without the tag, the control, reports show it; fingerprints are the same."""
    for sample in sorted((SAMPLES / rule).glob("positive*")):
        text = sample.read_text("utf-8")
        place = Path(place_of(text) or PurePosixPath("app" + sample.suffix))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    reports = {}
    for tag in ("credential", "none"):
        folder = tmp_path / tag
        shutil.copytree(PACK / "library", folder / "library")
        source = HELP.sub("", (PACK / f"{rule}.yaml").read_text("utf-8"))
        (folder / f"{rule}.yaml").write_text(source.replace("[credential]", f"[{tag}]"), "utf-8")
        reports[tag] = outputs(tavo, "--rules", str(folder / f"{rule}.yaml"))
    covered, control = reports["credential"], reports["none"]
    for name, text in covered.items():
        assert shown(text, SECRETS[rule]) == [], name
    assert shown(control["json"], SECRETS[rule]) == SECRETS[rule]
    for name in ("text", "sarif", "html", "markdown", "store"):
        assert shown(control[name], SECRETS[rule]), name
    assert shown(covered["json"], [NAMES[rule]]) == [NAMES[rule]]
    assert fingerprints(covered["json"]) == fingerprints(control["json"])
    assert fingerprints(covered["json"])


KEY = "Zq7Lw0Xv5Np3Td9Hs1Jb"
RULES = """\
rules:
  - id: key
    message: the key $KEY
    severity: ERROR
    languages: [python]
    metadata: {tags: [TAG]}
    patterns:
      - pattern: login(key="$KEY")
      - focus-metavariable: $KEY
  - {id: other, message: all of $X, severity: ERROR, languages: [python], pattern: "login($...X)"}
  - {id: longer, message: $Y, severity: ERROR, languages: [python], pattern: trace($Y),
     fix: "print($Y)"}
  - id: flow
    message: it flows
    severity: ERROR
    languages: [python]
    mode: taint
    options: {interfile: true}
    pattern-sources: [{pattern: login(...)}]
    pattern-sinks: [{pattern: sink(...)}]
"""
APP = f"""\
import lib

def run():
    found = login(key="{KEY}")
    sink(found)
    lib.send(found)
    trace("a text that is as long as it must be to end within of the key: {KEY}")
    login(key=variable_of_a_key)
"""
LIB = "def send(given):\n    sink(given)\n"


def _rules(tag: str) -> str:
    path = Path(f"../{tag}.yaml")
    path.write_text(RULES.replace("TAG", tag))
    return str(path)


def test_it_is_covered_in_findings_of_other_rules_and_in_flows(tavo: Run) -> None:
    Path("app.py").write_text(APP)
    Path("lib.py").write_text(LIB)
    control = outputs(tavo, "--rules", _rules("none"))
    report = json.loads(control["json"])
    assert {one["rule_id"] for one in report["findings"]} == {"key", "other", "longer", "flow"}
    assert any("lib.py" in str(one["location"]) for one in report["findings"])
    for name in set(control) - {"baseline", "github"}:
        assert KEY in control[name], name
    first = outputs(tavo, "--rules", _rules("credential"))
    again = outputs(tavo, "--rules", _rules("credential"))  # as the results are kept
    for found in (first, again):
        for name, text in found.items():
            assert KEY[5:12] not in text, name
            assert name in {"baseline"} or "Zq7L" in text, name
        assert fingerprints(found["json"]) == fingerprints(control["json"])
    assert again["json"].count("variable_of_a_key") == control["json"].count("variable_of_a_key")
    every: list[dict[str, Any]] = json.loads(again["json"])["findings"]
    (longer,) = [one for one in every if one["rule_id"] == "longer"]
    assert re.search(r"Zq7L\*+", longer["message"])
    assert longer["fix"] is None  # it would write the stars into the code


def test_a_name_that_stands_for_a_secret_stays_readable(tavo: Run) -> None:
    """What it stands for is covered where it is written."""
    Path("app.py").write_text(f'the_key_of_it = "{KEY}"\nlogin(key=the_key_of_it)\nlogin(key=x)\n')
    for tag in ("credential", "none"):
        found = outputs(tavo, "--rules", _rules(tag))
        assert (KEY in found["json"]) == (tag == "none")
        assert "login(key=the_key_of_it)" in found["text"]


def test_what_another_tool_found_in_the_file_is_covered(tavo: Run) -> None:
    Path("app.py").write_text(APP)
    place = {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": 4}}
    result = {"ruleId": "r", "message": {"text": f"a key {KEY}"},
              "locations": [{"physicalLocation": place}]}  # fmt: skip
    run = {"tool": {"driver": {"name": "T"}}, "results": [result]}
    Path("../t.sarif").write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
    for tag in ("credential", "none"):
        found = outputs(tavo, "--rules", _rules(tag), "--import-sarif", "../t.sarif")
        assert "a key Zq7L" in found["json"], tag
        assert (KEY in found["json"]) == (tag == "none")


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")
def test_what_another_engine_says_is_the_secret_is_covered(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f'run(key="{KEY}", shell=True)\n'
    start = line.index(KEY) + 1
    places = {"start": {"line": 1, "col": start}, "end": {"line": 1, "col": start + len(KEY)}}
    bound = json.dumps({**places, "abstract_content": KEY})
    more = f"for one in report['results']: one['extra']['metavars']['$SECRET'] = {bound}"
    install(tmp_path, monkeypatch, more)
    Path("app.py").write_text(line)
    rule = "rules:\n  - {id: key, message: m, severity: ERROR, languages: [python],\n"
    for tag in ("credential", "none"):
        Path(f"../{tag}.yaml").write_text(
            f"{rule}     metadata: {{tags: [{tag}]}}, pattern: run($SECRET)}}\n"
        )
        found = outputs(tavo, "--rules", f"../{tag}.yaml", "--engine", "opengrep")
        assert 'run(key=\\"Zq7L' in found["json"]
        assert (KEY in found["json"]) == (tag == "none")


def test_an_editor_gets_lines_as_they_are_and_no_secret_in_messages(tmp_path: Path) -> None:
    for tag in ("credential", "none"):
        path = tmp_path / f"{tag}.yaml"
        path.write_text(RULES.replace("TAG", tag))
        result = scan_source(APP.encode(), PurePosixPath("app.py"), load_rules([path]))
        texts = [hit.finding.message for hit in result.hits]
        texts += [step.message for hit in result.hits for step in hit.finding.flow]
        assert any(KEY in hit.finding.location.snippet for hit in result.hits)
        assert any(KEY in text for text in texts) == (tag == "none")
