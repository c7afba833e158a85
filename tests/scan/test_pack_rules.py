"""The pack tavo-ai: every rule is complete, documented, and right on its samples."""

import ast
import re
import runpy
from pathlib import Path, PurePosixPath

import pytest
import yaml

from tavo.plugins import Severity
from tavo.scan.engine import scan_source
from tavo.scan.languages import parse_file
from tavo.scan.rule_files import expand, read_rule_file
from tavo.scan.rules import PACK, RuleSet, ScanRule, load_rules

SAMPLES = Path(__file__).parent / "samples"
DOCS = Path(__file__).parents[2] / "docs" / "rules"
LOADED = load_rules([PACK])
IDS = sorted(LOADED.rules)


def marked(source: str, word: str, rule_id: str) -> set[int]:
    """Return the lines after a `# ruleid: x` or `# ok: x`."""
    note = re.compile(rf"\s*(?:#|//) {word}: {re.escape(rule_id)}\s*")
    return {n + 1 for n, line in enumerate(source.splitlines(), 1) if note.fullmatch(line)}


def sample(rule_id: str, kind: str) -> Path:
    """Return the file of a rule's sample; its end says in which language it is."""
    (file,) = (SAMPLES / rule_id).glob(f"{kind}.*")
    return file


def found(rule_id: str, source: str, suffix: str = ".py") -> set[int]:
    rules = RuleSet(rules={rule_id: LOADED.rules[rule_id]})
    result = scan_source(source.encode(), PurePosixPath("sample" + suffix), rules)
    assert result.problems == ()
    return {
        hit.finding.location.region.start_line
        for hit in result.hits
        if hit.finding.location.region is not None
    }


def test_pack_loads_whole() -> None:
    assert LOADED.problems == []
    assert len(IDS) >= 12
    assert sum(rule.taint is not None for rule in LOADED.rules.values()) >= 6


@pytest.mark.parametrize("rule_id", IDS)
def test_positive_sample(rule_id: str) -> None:
    file = sample(rule_id, "positive")
    wanted = marked(file.read_text(), "ruleid", rule_id)
    assert wanted
    assert found(rule_id, file.read_text(), file.suffix) == wanted


@pytest.mark.parametrize("rule_id", IDS)
def test_negative_sample(rule_id: str) -> None:
    file = sample(rule_id, "negative")
    assert marked(file.read_text(), "ok", rule_id)
    assert found(rule_id, file.read_text(), file.suffix) == set()


@pytest.mark.parametrize("rule_id", IDS)
def test_rule_is_complete(rule_id: str) -> None:
    entry: ScanRule = LOADED.rules[rule_id]
    rule = entry.rule
    assert entry.file.stem == rule_id
    assert rule.severity >= Severity.LOW
    assert len(rule.title) <= 60
    assert not rule.title.endswith(".")
    assert rule.description.endswith(".")
    assert rule.cwe
    assert rule.owasp
    assert rule.references
    name = "javascript" if entry.language in {"javascript", "typescript"} else "python"
    assert f"Before:\n```{name}\n" in rule.help
    assert f"After:\n```{name}\n" in rule.help
    for block in re.findall(r"```javascript\n(.*?)```", rule.help, re.DOTALL):
        assert parse_file(block.encode(), ".js").problems == []
    for block in re.findall(r"```python\n(.*?)```", rule.help, re.DOTALL):
        ast.parse(block, rule_id)


@pytest.mark.parametrize("rule_id", IDS)
def test_repair_that_the_help_shows_is_not_found_again(rule_id: str) -> None:
    help_text = LOADED.rules[rule_id].rule.help
    before, after = re.findall(r"```(?:python|javascript)\n(.*?)```", help_text, re.DOTALL)
    suffix = sample(rule_id, "positive").suffix
    names = imports_of(rule_id)
    assert found(rule_id, names + before, suffix)
    assert found(rule_id, names + after, suffix) == set()


def imports_of(rule_id: str) -> str:
    """Return the imports of both samples, which the pieces in the help do without."""
    lines = [
        line
        for kind in ("positive", "negative")
        for line in sample(rule_id, kind).read_text().splitlines()
        if line.startswith(("import ", "from "))
    ]
    return "".join(line + "\n" for line in dict.fromkeys(lines))


def test_every_sample_folder_belongs_to_a_rule() -> None:
    assert sorted(folder.name for folder in SAMPLES.iterdir()) == IDS


def test_every_library_is_used_and_explained() -> None:
    libraries = {file.stem for file in (PACK / "library").glob("*.yaml")}
    files = [*PACK.glob("*.yaml"), *(PACK / "library").glob("*.yaml")]
    used = {name for file in files for name in re.findall(r"use: (\S+)", file.read_text())}
    assert libraries == used
    for name in libraries:
        assert (PACK / "library" / f"{name}.yaml").read_text().startswith("# ")


def test_expanded_rules_are_plain_semgrep_syntax() -> None:
    for file in PACK.glob("*.yaml"):
        for entry in read_rule_file(file):
            text = yaml.safe_dump(expand(entry, PACK / "library"))
            assert not re.search(r"^\W*use:", text, re.MULTILINE)


def test_docs_have_a_section_for_each_rule_and_are_current() -> None:
    page = (DOCS / "tavo-ai.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)$", page, re.MULTILINE) == IDS
    written = runpy.run_path(str(DOCS / "write.py"))["page"]()
    assert page == written, "run `python docs/rules/write.py`"
