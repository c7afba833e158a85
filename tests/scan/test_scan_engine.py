"""The scan of files: findings, problems, order, processes, hostile source."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tavo.progress import Reporter
from tavo.scan import engine
from tavo.scan.engine import FileResult, scan, scan_source
from tavo.scan.files import SourceFile
from tavo.scan.incremental import scan_files
from tavo.scan.rule import RuleSet, ScanRule
from tavo.scan.rule_source import RuleSource
from tavo.scan.rules import PACK, load_rules
from tavo.scan.timing import MINIFIED, USUAL, Bounds, bounds_of

ATTACKS = Path(__file__).parents[1] / "attacks" / "source"
RULES = """
rules:
  - id: call
    message: Called with $X, not $Y.
    severity: ERROR
    languages: [python]
    pattern: run($X)
    fix: stop($X)
  - id: import
    message: Imported.
    severity: LOW
    languages: [python]
    pattern: import run
    fix-regex: {regex: run, replacement: stop}
"""


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    return file


@pytest.fixture
def rules(rule_file: Path) -> RuleSet:
    return load_rules([rule_file])


def scanned(code: str, rules: RuleSet) -> FileResult:
    return scan_source(code.encode(), PurePosixPath("x.py"), rules)


def test_a_finding_says_where_and_what(rules: RuleSet) -> None:
    (hit,) = scanned("é = 1\nx = 'é', run(\n  'a')", rules).hits
    finding, region = hit.finding, hit.finding.location.region
    assert finding.message == "Called with 'a', not $Y."
    assert finding.fix == "stop('a')"
    assert finding.evidence == {"$X": "'a'"}
    assert finding.location.snippet == "x = 'é', run(\n  'a')"
    assert region is not None
    assert (region.start_line, region.start_column, region.end_line, region.end_column) == (
        2, 10, 3, 7,
    )  # fmt: skip


def test_a_fix_by_regex(rules: RuleSet) -> None:
    (hit,) = scanned("import run", rules).hits
    assert hit.finding.fix == "import stop"


def test_findings_come_in_the_order_of_the_source(rules: RuleSet) -> None:
    hits = scanned("run(2)\nimport run\nrun(run(1))", rules).hits
    assert [hit.finding.rule_id for hit in hits] == ["call", "import", "call", "call"]


def test_a_suppressed_finding_is_kept_with_its_comment(rules: RuleSet) -> None:
    first, second = scanned("run(1)  # tavo: ignore[call] a test\nrun(2)", rules).hits
    assert first.ignore is not None
    assert first.ignore.reason == "a test"
    assert second.ignore is None


def test_code_that_parses_in_part_is_scanned_and_named(rules: RuleSet) -> None:
    result = scanned("def f(:\n  pass\nrun(1)\n", rules)
    assert len(result.hits) == 1
    assert result.problems[0].startswith("parsed in part: line 1")


def test_a_file_without_the_names_of_a_rule_is_not_parsed(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    real = engine.parse_as

    def parse(data: bytes, *others: object) -> object:
        parsed.append(data)
        return real(data, *others)

    monkeypatch.setattr(engine, "parse_as", parse)
    scanned("nothing = 'of interest'", rules)
    assert parsed == []
    scanned("run", rules)
    assert len(parsed) == 1


def test_more_findings_than_the_limit_are_named(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_MOST_HITS", 3)
    result = scanned("run(1)\n" * 5, rules)
    assert len(result.hits) == 3
    assert result.problems == ("more than 3 findings: the rest was left out",)


def test_a_file_that_takes_too_long_names_the_rules_that_did_not_run(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = Bounds(file_s=-1.0, rule_s=1.0)
    monkeypatch.setattr(engine, "bounds_of", lambda data: bounds)
    result = scanned("run(1)", rules)
    assert result.hits == ()
    assert result.problems == ("stopped after -1 s, without call, import",)
    assert not result.lasting


def test_a_pattern_that_takes_too_many_steps_stops_its_rule_only(tmp_path: Path) -> None:
    rows = "\n".join(f"            ...\n            $A{n}" for n in range(6))
    (tmp_path / "r.yaml").write_text(
        RULES + "  - id: bomb\n    message: m\n    severity: LOW\n    languages: [python]\n"
        f"    pattern: |\n            run(1)\n{rows}\n"
    )
    result = scanned("run(1)\n" * 200, load_rules([tmp_path / "r.yaml"]))
    assert len(result.hits) >= 200
    assert any(problem.startswith("rule bomb was stopped") for problem in result.problems)


# -- hostile source


@pytest.mark.parametrize("file", sorted(ATTACKS.glob("*.py")), ids=lambda file: file.stem)
def test_hostile_source_is_scanned_or_named(file: Path, rules: RuleSet) -> None:
    (result,) = scan([SourceFile(file, PurePosixPath(file.name))], rules, rule_paths=())
    assert result.hits or result.problems


@pytest.mark.parametrize(
    "code",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "[" * 10_000 + "]" * 10_000,
        "-" * 10_000 + "1",
        "a" + ".b" * 10_000,
        "f" + "(1)" * 10_000,
        "1" + " + 1" * 10_000,
        "if a:\n " * 200 + "pass",
        "lambda: " * 5_000 + "1",
        "x = " * 5_000 + "1",
        "def f():\n" + "".join(" " * n + "if a:\n" for n in range(1, 300)),
        "f'" + "{" * 3_000,
        "not " * 10_000 + "a",
        "x = [" + "1, " * 100_000 + "]",
        "y" * 500_000,
    ],
    ids=range(14),
)
def test_deep_and_long_code_ends_without_a_crash(code: str, rules: RuleSet) -> None:
    result = scanned(f"run(1)\nrun('''x''')\n{code}\nimport run\n", rules)
    assert result.hits or result.problems


def test_code_that_is_too_deep_is_named(rules: RuleSet) -> None:
    result = scanned("run(1)\nx = " + "[" * 5_000 + "]" * 5_000, rules)
    assert any("nested deeper" in problem for problem in result.problems)


# -- many files


def sources(root: Path, count: int) -> list[SourceFile]:
    files = []
    for number in range(count):
        path = root / f"f{number:03}.py"
        path.write_text(f"run({number})\n" * (number % 3))
        files.append(SourceFile(path, PurePosixPath(path.name)))
    return files


def test_many_processes_give_what_one_gives_in_the_same_order(
    tmp_path: Path, rule_file: Path, rules: RuleSet
) -> None:
    files = sources(tmp_path, 130)
    one = list(scan(files, rules, rule_paths=[rule_file], jobs=1))
    two = list(scan(files, rules, rule_paths=[rule_file], jobs=2))
    assert one == two
    assert [result.path for result in one] == [file.relative for file in files]


def test_what_cannot_be_read_is_a_problem_of_its_file(tmp_path: Path, rules: RuleSet) -> None:
    bad = tmp_path / "bad.py"
    bad.write_bytes(b"run('\xff')")
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\0\1\2")
    files = [
        SourceFile(bad, PurePosixPath("bad.py")),
        SourceFile(binary, PurePosixPath("binary.py")),
        SourceFile(tmp_path / "gone.py", PurePosixPath("gone.py")),
        SourceFile(tmp_path / "d", PurePosixPath("d"), "cannot be read: Permission denied"),
    ]
    results = list(scan(files, rules, rule_paths=()))
    assert [result.problems[0].split(":")[0] for result in results] == [
        "not UTF-8 at byte 5", "binary, not source", "cannot be read", "cannot be read",
    ]  # fmt: skip
    assert not any(result.scanned for result in results)


class _Formula:
    """What every formula can tell without looking at a file."""

    def possible(self, names: frozenset[bytes]) -> bool:
        return True

    def anchor(self) -> frozenset[bytes] | None:
        return None


class Counter(Reporter):
    def __init__(self) -> None:
        self.log: list[str] = []

    def begin(self, what: str, total: int | None, unit: str = "") -> None:
        self.log.append(f"{what} {total}")

    def advance(self, steps: int = 1) -> None:
        self.log.append(f"+{steps}")

    def end(self) -> None:
        self.log.append("end")


def test_progress_is_reported_also_when_the_scan_is_given_up(
    tmp_path: Path, rule_file: Path
) -> None:
    counter = Counter()
    running: Iterator[FileResult] = scan_files(
        sources(tmp_path, 3), RuleSource([rule_file]), kept=None, jobs=1, largest=1 << 20,
        reporter=counter,
    )  # fmt: skip
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert counter.log == ["scanning 3", "end"]


class _Spinner(_Formula):
    """A formula that never ends, and counts no steps."""

    def evaluate(self, file: object, within: object = None) -> list[object]:
        while True:
            sum(range(100))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer here")
def test_a_rule_that_never_ends_is_stopped_in_its_middle_and_named(
    rules: RuleSet, rule_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "bounds_of", lambda data: Bounds(file_s=9.0, rule_s=0.05))
    model = rules.rules["call"].rule
    spinner = ScanRule(
        rule=model,
        message="m",
        search=_Spinner(),
        taint=None,
        file=rule_file,  # type: ignore[arg-type]
    )
    result = scanned("run(1)", RuleSet({"spinner": spinner, **rules.rules}))
    assert result.problems == ("rule call was stopped: more than 0.05 s",)
    assert [hit.finding.rule_id for hit in result.hits] == ["call"]
    assert not result.lasting


def test_minified_code_is_known_by_its_lines() -> None:
    assert bounds_of(b"a;" * 40_000) is MINIFIED
    assert bounds_of(b"a;\n" * 40_000) is USUAL
    assert bounds_of(b"a;" * 400) is USUAL


class _Killer(_Formula):
    """A formula that kills the process that evaluates it on one file."""

    def possible(self, names: frozenset[bytes]) -> bool:
        return b"poison" in names

    def evaluate(self, file: object, within: object = None) -> list[object]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copies here")
def test_a_file_that_kills_its_process_is_named_and_the_others_are_scanned(
    tmp_path: Path, rule_file: Path, rules: RuleSet
) -> None:
    files = sources(tmp_path, 60)
    files[30].path.write_text("poison\nrun(1)\n")
    model = rules.rules["call"]
    rules.rules["killer"] = ScanRule(
        rule=model.rule,
        message="m",
        search=_Killer(),
        taint=None,
        file=rule_file,  # type: ignore[arg-type]
    )
    results = list(scan(files, rules, rule_paths=[rule_file], jobs=2))
    assert [result.path for result in results] == [file.relative for file in files]
    assert results[30].problems == ("the scanner died on this file: it was ended by SIGKILL",)
    assert all(not result.problems for n, result in enumerate(results) if n != 30)
    assert sum(len(result.hits) for n, result in enumerate(results) if n != 30) == 60


def test_a_defect_on_one_file_is_named_and_the_others_are_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engine.scan_source

    def broken(data: bytes, path: PurePosixPath, rules: RuleSet, **_: object) -> FileResult:
        if path.name == "bad.py":
            raise KeyError("x")
        return real(data, path, rules)

    monkeypatch.setattr(engine, "scan_source", broken)
    files = []
    for name in ("bad.py", "good.py"):
        (tmp_path / name).write_text("eval(input())\n")
        files.append(SourceFile(tmp_path / name, PurePosixPath(name)))
    bad, good = engine.scan(files, load_rules([PACK]), rule_paths=[PACK])
    assert "a defect of tavo stopped the scan of this file: KeyError" in bad.problems[0]
    assert good.scanned
    assert not good.problems
