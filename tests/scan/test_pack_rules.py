"""The pack tavo-ai: every rule is complete, documented, and right on its samples."""

import ast
import re
import runpy
from pathlib import Path, PurePosixPath

import pytest
import yaml

from tavo.plugins import Severity
from tavo.scan.engine import scan_source
from tavo.scan.languages import CODE, SUFFIXES, language_of, parse_file
from tavo.scan.rule import RuleSet, ScanRule
from tavo.scan.rule_files import expand, read_rule_file
from tavo.scan.rule_tests import annotated_lines, place_of
from tavo.scan.rules import PACK, load_rules

SAMPLES = Path(__file__).parent / "samples"
DOCS = Path(__file__).parents[2] / "docs" / "rules"
LOADED = load_rules([PACK])
IDS = sorted(LOADED.rules)
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
KINDS = {
    "python": ".py", "javascript": ".js", "typescript": ".ts", "tsx": ".tsx",
    "yaml": ".yaml", "json": ".json", "toml": ".toml", "ini": ".ini", "markdown": ".md",
    "dockerfile": ".dockerfile", "text": ".txt", "bash": ".sh",
}  # fmt: skip
"""The words after the fence of a block in the help, and the end of the names of such files."""


def samples(rule_id: str, kind: str) -> list[Path]:
    """Return the samples of a rule: `positive.py`, and `positive-2.json` where one is not enough.

    Those that do not say their `samplepath` are in the language that their end says.
    """
    files = sorted((SAMPLES / rule_id).glob(f"{kind}[.-]*"))
    assert files
    return files


def found(rule_id: str, source: str, path: PurePosixPath) -> set[int]:
    """Return the lines on which a rule finds something, with its `paths`."""
    rules = RuleSet(rules={rule_id: LOADED.rules[rule_id]})
    assert rules.wants(path)
    result = scan_source(source.encode(), path, rules)
    assert result.problems == ()
    return {
        hit.finding.location.region.start_line
        for hit in result.hits
        if hit.finding.location.region is not None
    }


def found_in(rule_id: str, file: Path) -> set[int]:
    source = file.read_text("utf-8")
    return found(rule_id, source, place_of(source) or PurePosixPath("sample" + file.suffix))


def test_pack_loads_whole() -> None:
    assert LOADED.problems == []
    assert len(IDS) >= 12
    assert sum(rule.taint is not None for rule in LOADED.rules.values()) >= 6


@pytest.mark.parametrize("rule_id", IDS)
def test_positive_sample(rule_id: str) -> None:
    for file in samples(rule_id, "positive"):
        wanted = annotated_lines(file.read_text("utf-8"), rule_id)["ruleid"]
        assert wanted
        assert found_in(rule_id, file) == wanted, file.name


@pytest.mark.parametrize("rule_id", IDS)
def test_negative_sample(rule_id: str) -> None:
    for file in samples(rule_id, "negative"):
        assert annotated_lines(file.read_text("utf-8"), rule_id)["ok"]
        assert found_in(rule_id, file) == set(), file.name


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
    for word in ("Before", "After"):
        assert re.search(rf"^{word}:\n```\w+\n", rule.help, re.MULTILINE)
    for kind, block in BLOCK.findall(rule.help):
        assert kind in KINDS
        if kind == "python":
            ast.parse(block, rule_id)
        elif KINDS[kind] in SUFFIXES:
            assert parse_file(block.encode(), KINDS[kind]).problems == []


@pytest.mark.parametrize("rule_id", IDS)
def test_repair_that_the_help_shows_is_not_found_again(rule_id: str) -> None:
    (kind, before), (same, after) = BLOCK.findall(LOADED.rules[rule_id].rule.help)
    assert kind == same
    path = path_of_block(rule_id, kind)
    names = imports_of(rule_id)
    assert found(rule_id, names + before, path)
    assert found(rule_id, names + after, path) == set()


def path_of_block(rule_id: str, kind: str) -> PurePosixPath:
    """Return what a piece in the help is called: as the sample of its language, or the first."""
    files = samples(rule_id, "positive")
    alike = [file for file in files if file.suffix == KINDS[kind]] or files
    place = place_of(alike[0].read_text("utf-8"))
    return place or PurePosixPath("sample" + alike[0].suffix)


def imports_of(rule_id: str) -> str:
    """Return the imports of all samples of code, which the pieces in the help do without."""
    lines = [
        line
        for kind in ("positive", "negative")
        for file in samples(rule_id, kind)
        if language_of(file.suffix) in CODE and file.suffix != ".ipynb"
        for line in file.read_text().splitlines()
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


def test_coverage_page_is_current_and_every_risk_has_rules() -> None:
    script = runpy.run_path(str(DOCS / "write.py"))
    written = (DOCS / "coverage.md").read_text(encoding="utf-8")
    assert written == script["coverage"](), "run `python docs/rules/write.py`"
    assert len(script["OWASP"]) == 20
    assert [name for name, rules in script["covered"]().items() if len(rules) < 2] == []
    named = {name for entry in LOADED.rules.values() for name in entry.rule.owasp}
    assert named <= set(script["OWASP"])
