"""The example application and its repaired twin: what the pack finds in them, and nothing else."""

import ast
import json
import pickletools
import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

from tavo.scan.engine import Hit, scan_source
from tavo.scan.rules import PACK, load_rules

EXAMPLES = Path(__file__).parents[2] / "examples"
RULES = load_rules([PACK])


def hits(folder: Path) -> list[Hit]:
    out: list[Hit] = []
    for file in sorted(folder.rglob("*.py")):
        relative = PurePosixPath(file.relative_to(folder).as_posix())
        result = scan_source(file.read_bytes(), relative, RULES)
        assert result.problems == ()
        out += result.hits
    return out


def test_findings_are_those_the_readme_lists() -> None:
    readme = (EXAMPLES / "shop-agent" / "README.md").read_text()
    rows = re.findall(r"^\| .+? \| `(.+?\.py)` \| `(.+?)` \|$", readme, re.MULTILINE)
    assert len(rows) >= 15
    found = [
        (str(hit.finding.location.path), hit.finding.rule_id)
        for hit in hits(EXAMPLES / "shop-agent")
    ]
    assert Counter(found) == Counter(rows)


def test_a_scan_of_the_whole_finds_what_the_readmes_say(tmp_path: Path) -> None:
    """Files together find more than each alone: what stands behind the table of tools, again."""
    done = subprocess.run(
        [sys.executable, "-m", "tavo", "scan", "--format", "json", str(EXAMPLES / "shop-agent")],
        env={"HOME": str(tmp_path), "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = Counter(one["rule_id"] for one in json.loads(done.stdout)["findings"])
    alone = Counter(hit.finding.rule_id for hit in hits(EXAMPLES / "shop-agent"))
    assert dict(found - alone) == {
        "llm-output-to-query": 2, "llm-output-to-path": 1, "llm-output-to-shell": 1,
        "user-input-to-path": 1,
    }  # fmt: skip
    assert not alone - found
    assert f"It finds {found.total()} things;" in (EXAMPLES.parent / "README.md").read_text()
    readme = (EXAMPLES / "shop-agent" / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in found)


def test_repaired_twin_is_clean_without_suppressions() -> None:
    assert hits(EXAMPLES / "shop-agent-fixed") == []
    for file in (EXAMPLES / "shop-agent-fixed").rglob("*"):
        if file.is_file():
            assert not re.search(rb"nosemgrep|tavo: ignore", file.read_bytes()), file


def test_flows_lead_from_the_model_to_the_sink() -> None:
    for hit in hits(EXAMPLES / "shop-agent"):
        rule = RULES.rules[hit.finding.rule_id]
        assert bool(hit.finding.flow) == (rule.taint is not None)
    (found,) = (
        hit.finding
        for hit in hits(EXAMPLES / "shop-agent")
        if hit.finding.rule_id == "llm-output-to-exec"
    )
    assert "client.chat.completions.create(" in found.flow[0].message
    assert [step.message for step in found.flow[1:]] == [
        "goes into: response",
        "goes into: formula",
        "arrives here",
    ]


@pytest.mark.parametrize("name", ["shop-agent", "shop-agent-fixed"])
def test_example_is_python_that_parses(name: str) -> None:
    files = sorted((EXAMPLES / name).rglob("*.py"))
    assert len(files) >= 7
    for file in files:
        ast.parse(file.read_text(), filename=str(file))


def test_model_file_is_the_one_its_script_writes_and_carries_one_harmless_command() -> None:
    folder = EXAMPLES / "shop-agent" / "models"
    script = runpy.run_path(str(folder / "make_recommender.py"), run_name="not-main")
    data = (folder / "recommender.pkl").read_bytes()
    assert data == script["build"]()
    operations = [(code.name, argument) for code, argument, _ in pickletools.genops(data)]
    assert [argument for name, argument in operations if name == "GLOBAL"] == ["posix system"]
    texts = [argument for name, argument in operations if name == "UNICODE"]
    assert texts == ["echo shop-agent: loading this model ran a command"]
    assert not re.search(r"[;&|<>$`]", texts[0])
