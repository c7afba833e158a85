"""How taint moves through each construct of Python, and what each part of a rule means."""

import ast
import re
from pathlib import Path, PurePosixPath

import pytest

from tavo.scan.engine import scan_source
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

RULES = """
rules:
  - id: flow
    mode: taint
    languages: [python]
    severity: ERROR
    message: $X arrives
    pattern-sources:
      - pattern: src(...)
      - patterns:
          - pattern: |
              def $F(..., $P, ...):
                  ...
          - metavariable-regex: {metavariable: $P, regex: ^bad}
          - focus-metavariable: $P
      - by-side-effect: true
        patterns:
          - pattern: dirty($V)
          - focus-metavariable: $V
    pattern-sinks:
      - patterns:
          - pattern: sink($X, ...)
          - focus-metavariable: $X
    pattern-sanitizers:
      - pattern: clean(...)
      - by-side-effect: true
        patterns:
          - pattern: check($V)
          - focus-metavariable: $V
"""


def lines_found(rules: RuleSet, source: str) -> set[int]:
    assert rules.problems == []
    result = scan_source(source.encode(), PurePosixPath("a.py"), rules)
    assert result.problems == ()
    return {
        hit.finding.location.region.start_line
        for hit in result.hits
        if hit.finding.location.region is not None
    }


def expected(source: str) -> set[int]:
    return {n for n, line in enumerate(source.splitlines(), 1) if line.endswith("#!")}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    file = tmp_path_factory.mktemp("rules") / "flow.yaml"
    file.write_text(RULES)
    return load_rules([file])


def read_cases() -> dict[str, str]:
    """Return the sources of taint-constructs.txt by name."""
    text = (Path(__file__).parent / "taint-constructs.txt").read_text()
    parts = re.split(r"^=== (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


CASES = read_cases()


@pytest.mark.parametrize("name", CASES)
def test_construct(rules: RuleSet, name: str) -> None:
    source = CASES[name]
    ast.parse(source)
    assert lines_found(rules, source) == expected(source)


def test_what_parses_is_followed_in_a_file_that_parses_in_part(rules: RuleSet) -> None:
    source = b"def f(:\n    pass\n\ndef g():\n    t = src()\n    sink(t)\n"
    result = scan_source(source, PurePosixPath("a.py"), rules)
    assert any("not valid Python" in problem for problem in result.problems)
    assert len(result.hits) == 1


def test_way_is_told_from_source_to_sink(rules: RuleSet) -> None:
    source = "t = src()\nu = f'{t}'\nv = [u]\nsink(v)\n"
    (hit,) = scan_source(source.encode(), PurePosixPath("a.py"), rules).hits
    lines = [s.location.region.start_line for s in hit.finding.flow if s.location.region]
    assert lines == [1, 1, 2, 3, 4]
    messages = [step.message for step in hit.finding.flow]
    assert messages[0] == "tainted here: src()"
    assert messages[1] == "goes into: t"
    assert messages[-1] == "arrives here"


def test_message_shows_bindings_of_the_sink(rules: RuleSet) -> None:
    (hit,) = scan_source(b"sink(src() + 'x')\n", PurePosixPath("a.py"), rules).hits
    assert hit.finding.message == "src() + 'x' arrives"


def test_a_sink_inside_a_sink_is_told_once_for_one_source(rules: RuleSet) -> None:
    (hit,) = scan_source(b"sink(f(sink(src())))\n", PurePosixPath("a.py"), rules).hits
    assert hit.finding.location.region is not None
    assert hit.finding.location.region.start_column == 6
    both = scan_source(b"sink(src(1) + sink(src(2)))\n", PurePosixPath("a.py"), rules).hits
    assert len(both) == 2


def test_one_finding_for_a_sink_that_two_sources_reach(rules: RuleSet) -> None:
    source = b"a = src(1)\nb = src(2)\nsink(a + b)\n"
    assert len(scan_source(source, PurePosixPath("a.py"), rules).hits) == 1


OPTIONS = {
    ("taint_assume_safe_functions", "t = src()\nsink(f(t))\nsink(t.m())\nsink('a' + t) #!\n"),
    ("taint_assume_safe_indexes", "t = src()\nsink(z[t])\nsink(t[0]) #!\n"),
    (
        "taint_assume_safe_booleans",
        "t = src()\nsink(t == 1)\nsink(isinstance(t, int))\nsink(t) #!\n",
    ),
    ("taint_assume_safe_comparisons", "t = src()\nsink(t in q)\nsink(not t)\nsink(-t) #!\n"),
    ("taint_assume_safe_numbers", "t = src()\nsink(int(t))\nsink(len(t))\nsink(str(t)) #!\n"),
}


@pytest.mark.parametrize(("option", "source"), sorted(OPTIONS))
def test_option(tmp_path_factory: pytest.TempPathFactory, option: str, source: str) -> None:
    folder = tmp_path_factory.mktemp("options")
    for setting in ("true", "false"):
        text = RULES.replace("    message:", f"    options: {{{option}: {setting}}}\n    message:")
        (folder / f"{setting}.yaml").write_text(text)
    assert lines_found(load_rules([folder / "true.yaml"]), source) == expected(source)
    sinks = {n for n, line in enumerate(source.splitlines(), 1) if "sink" in line}
    assert lines_found(load_rules([folder / "false.yaml"]), source) == sinks


SPEC = """
rules:
  - id: spec
    mode: taint
    languages: [python]
    severity: ERROR
    message: arrives
"""
SPECS = {
    "exact source": (
        "pattern-sources: [{pattern: src(...), exact: true}]\n"
        "pattern-sinks: [{pattern: sink(...)}]",
        "src(sink(x))\nsink(src()) #!\n",
    ),
    "exact sanitizer": (
        "pattern-sources: [{pattern: src(...)}]\n"
        "pattern-sanitizers: [{pattern: clean(...), exact: true}]\n"
        "pattern-sinks: [{pattern: sink(...)}]",
        "clean(sink(src())) #!\nsink(clean(src()))\n",
    ),
    "sanitizer that does not conflict": (
        "pattern-sources: [{pattern: src(...)}]\n"
        "pattern-sanitizers: [{pattern: $F(...), not_conflicting: true}]\n"
        "pattern-sinks: [{pattern: sink(...)}]",
        "sink(src()) #!\nsink(clean(src()))\n",
    ),
    "sanitizer that conflicts (control)": (
        "pattern-sources: [{pattern: src(...)}]\n"
        "pattern-sanitizers: [{pattern: $F(...)}]\n"
        "pattern-sinks: [{pattern: sink(...)}]",
        "sink(src())\nsink(clean(src()))\n",
    ),
    "sink by what a name stands for": (
        "options: {symbolic_propagation: true}\n"
        "pattern-sources: [{pattern: src(...)}]\n"
        "pattern-sinks: [{pattern: Made(...).send(...)}]",
        "def f():\n    m = Made()\n    m.send(src()) #!\n    m.send(src())\n",
    ),
    "call as a sink": (
        "pattern-sources: [{pattern: src(...)}]\npattern-sinks: [{pattern: $O.sink(...)}]",
        "t = src()\no.sink(1, k=t) #!\nt.sink() #!\no.sink(1)\n",
    ),
    "statement as a sink": (
        "pattern-sources: [{pattern: src(...)}]\npattern-sinks: [{pattern: return $X}]",
        "def f():\n    t = src()\n    if q:\n        return 1\n    return [t] #!\n",
    ),
    "wide sink": (
        "pattern-sources: [{pattern: src(...)}]\n"
        "pattern-sinks: [{pattern: sink(...), exact: false}]",
        "sink(lambda: src()) #!\nsink(lambda: 1)\n",
    ),
    "assignment as a source": (
        "pattern-sources: [{pattern: $X = get()}]\npattern-sinks: [{pattern: sink(...)}]",
        "x = get()\nsink(x) #!\ny = put()\nsink(y)\n",
    ),
    "propagator by side effect": (
        "pattern-sources: [{pattern: src(...)}]\n"
        "pattern-propagators: [{pattern: '$TO.take($FROM)', from: $FROM, to: $TO}]\n"
        "pattern-sinks: [{pattern: sink(...)}]",
        "a.take(src())\nsink(a) #!\nb.leave(src())\nsink(b)\n",
    ),
    "propagator into a result": (
        "options: {taint_assume_safe_functions: true}\n"
        "pattern-sources: [{pattern: src(...)}]\n"
        "pattern-propagators:\n"
        "  - patterns:\n"
        "      - pattern: $F(..., $P, ...)\n"
        "      - metavariable-regex: {metavariable: $F, regex: '.*[.]format$'}\n"
        "      - focus-metavariable: $F\n"
        "    from: $P\n"
        "    to: $F\n"
        "    by-side-effect: false\n"
        "pattern-sinks: [{pattern: sink(...)}]",
        "t = src()\nsink('a{}'.format(t)) #!\nsink('a'.other(t))\nsink('a{}'.format(1))\n",
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_parts_of_a_rule(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    parts, source = SPECS[name]
    file = tmp_path_factory.mktemp("spec") / "rule.yaml"
    file.write_text(SPEC + "".join(f"    {line}\n" for line in parts.splitlines()))
    assert lines_found(load_rules([file]), source) == expected(source)
