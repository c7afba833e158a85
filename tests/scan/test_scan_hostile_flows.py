"""Source that was written to exhaust the analysis of flows: what stands beside it is found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tavo.progress import Reporter
from tavo.scan import flow
from tavo.scan.engine import scan_source
from tavo.scan.files import SourceFile
from tavo.scan.incremental import scan_files
from tavo.scan.languages.python import parse
from tavo.scan.results import FileResult
from tavo.scan.rule import RuleSet
from tavo.scan.rule_source import RuleSource
from tavo.scan.rules import load_rules
from tavo.scan.taint import across, objects
from tavo.scan.timing import Limit, TimeUpError
from tests.attacks.flows.make_sources import ATTACKS, NAMED, source_of

RULE = """
rules:
  - id: flow
    mode: taint
    languages: [python, javascript, typescript]
    severity: ERROR
    message: arrives
    options: {interfile: true}
    pattern-sources: [{pattern: src(...)}]
    pattern-sinks: [{pattern: sink(...)}]
  - id: constant
    languages: [python, javascript, typescript]
    severity: INFO
    message: a constant
    pattern: sink("a")
"""
SECONDS = 15.0


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rules") / "flow.yaml"
    file.write_text(RULE)
    return file


@pytest.fixture
def loaded(rules: Path) -> RuleSet:
    return load_rules([rules])


def scanned(folder: Path, rules: Path, name: str) -> list[FileResult]:
    suffix = Path(name).suffix
    files = []
    for stem, text in zip(("hostile", "other"), source_of(name), strict=True):
        path = folder / f"{stem}{suffix}"
        path.write_text(text)
        files.append(SourceFile(path, PurePosixPath(path.name)))
    return list(
        scan_files(
            files, RuleSource([rules]), kept=None, jobs=1, largest=2 << 20, reporter=Reporter()
        )
    )


def places(results: list[FileResult]) -> set[tuple[str, int]]:
    return {
        (hit.finding.location.path.stem, hit.finding.location.region.start_line)
        for result in results
        for hit in result.hits
        if hit.finding.location.region is not None
    }


def wanted(name: str) -> set[tuple[str, int]]:
    """Return where the flows around an attack end."""
    hostile, other = source_of(name)
    lines = hostile.splitlines()
    ends = {("hostile", n) for n, line in enumerate(lines, 1) if line.startswith("    sink(")}
    return ends | {("other", n) for n, line in enumerate(other.splitlines(), 1) if "sink(" in line}


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_what_stands_beside_it_is_found(name: str, tmp_path: Path, rules: Path) -> None:
    began = time.process_time()
    results = scanned(tmp_path, rules, name)
    assert time.process_time() - began < SECONDS
    problems = [problem for result in results for problem in result.problems]
    assert places(results) == wanted(name), problems
    assert len(wanted(name)) == 4
    assert not any("defect" in problem or "more than" in problem for problem in problems)
    assert problems == [] or name in NAMED


@pytest.mark.parametrize("name", ["returns.py", "returns-in-a-circle.py", "names.py", "returns.js"])
def test_questions_that_ask_each_other_on_the_stack_would_end_the_rule(
    name: str, loaded: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same questions, asked by recursion."""

    def recursive(self: objects.Objects, question: objects._Asking) -> str | None:
        said = None
        while True:
            try:
                said = recursive(self, question.send(said))
            except StopIteration as answer:
                found: str | None = answer.value
                return found

    source, _ = source_of(name)
    path = PurePosixPath(name)
    assert scan_source(source.encode(), path, loaded, outlined=True).problems == ()
    monkeypatch.setattr(objects.Objects, "_answer", recursive)
    problems = scan_source(source.encode(), path, loaded, outlined=True).problems
    assert "rule flow was stopped: nested too deep" in problems


def test_loops_that_are_walked_twice_each_take_two_to_the_power_of_their_depth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, _ = source_of("loops.py")

    def walk() -> None:
        file = parse(source.encode())
        for node in file.by_kind["identifier"]:
            file.constants.bound_to(node)

    with Limit(1.0):
        walk()
    monkeypatch.setattr(flow, "_DEEPEST_TWICE", 1_000)
    with pytest.raises(TimeUpError), Limit(2.0):
        walk()


def test_a_chain_of_names_is_followed_to_its_end(loaded: RuleSet) -> None:
    """A limit instead would hide what is called behind it."""
    text = "class A:\n    def go_on(self, a):\n        sink(a)\n    def stop(self): pass\n"
    other = "class B:\n    def go_on(self, a):\n        pass\n"
    names = "".join(f"v{n + 1} = v{n}\n" for n in range(500))
    source = f"{text}{other}v0 = A()\n{names}v500.go_on(src())\n"
    assert places([scan_source(source.encode(), PurePosixPath("a.py"), loaded)]) == {("a", 3)}


@pytest.mark.parametrize("error", [TimeUpError, RecursionError])
def test_what_was_found_before_a_rule_was_stopped_is_told(
    error: type[Exception], loaded: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = across.Across._run_one
    count = iter(range(10))

    def one(self: across.Across, number: int) -> None:
        if next(count) == 2:
            raise error
        runs(self, number)

    monkeypatch.setattr(across.Across, "_run_one", one)
    source = "".join(f"def f{n}():\n    sink(src())\n" for n in range(6))
    result = scan_source(source.encode(), PurePosixPath("a.py"), loaded)
    assert len(result.hits) == 2
    assert len(result.problems) == 1
    assert result.problems[0].startswith("rule flow was stopped: ")


def test_what_a_file_calls_is_asked_for_a_bounded_time(
    loaded: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object) -> Iterator[None]:
        raise TimeUpError

    monkeypatch.setattr("tavo.scan.outlining.outline_of_uses", slow)
    result = scan_source(b"sink(src())\n", PurePosixPath("a.py"), loaded, outlined=True)
    assert places([result]) == {("a", 1)}
    assert result.problems == ("not looked at with other files: it calls too much",)
    assert not result.lasting
