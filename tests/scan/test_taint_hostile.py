"""Taint analysis of source that was written to exhaust it: bounded work, and nothing silent."""

from pathlib import PurePosixPath

import pytest

from tavo.scan.engine import scan_source
from tavo.scan.languages.python import parse
from tavo.scan.match import BudgetError
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules
from tavo.scan.taint import Flow, analyze

RULE = """
rules:
  - id: flow
    mode: taint
    languages: [python]
    severity: ERROR
    message: arrives
    pattern-sources: [{pattern: src(...)}]
    pattern-sanitizers: [{pattern: clean(...)}]
    pattern-sinks: [{pattern: sink(...)}]
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    file = tmp_path_factory.mktemp("rules") / "flow.yaml"
    file.write_text(RULE)
    return load_rules([file])


def flows(rules: RuleSet, source: str, **options: int) -> list[Flow]:
    spec = rules.rules["flow"].taint
    assert spec is not None
    return list(analyze(parse(source.encode()), spec, **options))


def until_error(
    rules: RuleSet, source: str, *, budget: int
) -> tuple[list[Flow], BudgetError | None]:
    """Return the flows that come before the error, and the error."""
    spec = rules.rules["flow"].taint
    assert spec is not None
    found: list[Flow] = []
    try:
        for flow in analyze(parse(source.encode()), spec, budget=budget):
            found.append(flow)  # noqa: PERF402  (what came before the error counts)
    except BudgetError as error:
        return found, error
    return found, None


def indent(text: str, levels: int) -> str:
    return "    " * levels + text + "\n"


def test_ten_thousand_statements(rules: RuleSet) -> None:
    body = "".join(indent(f"v{n} = v{n - 1} + 1", 1) for n in range(1, 10_000))
    source = "def f():\n    v0 = src()\n" + body + "    sink(v9999)\n"
    (found,) = flows(rules, source)
    assert len(found.steps) < 60


def test_ten_thousand_tainted_variables_and_branches(rules: RuleSet) -> None:
    body = "".join(f"    if q:\n        v{n} = src()\n" for n in range(5_000))
    with pytest.raises(BudgetError, match="line 1 is too large for taint analysis"):
        flows(rules, "def f():\n" + body + "    sink(v0)\n", budget=50_000)
    assert (
        len(flows(rules, "def f():\n" + body[:20_000].rpartition("    if")[0] + "    sink(v0)\n"))
        == 1
    )


def test_other_functions_are_still_looked_at_when_one_is_given_up(rules: RuleSet) -> None:
    loops = "".join(indent("while q():", n) for n in range(1, 15))
    large = "def f():\n" + loops + indent("a = b; b = c; c = d; d = src(); sink(a)", 15)
    source = large + "def g():\n    sink(src())\n"
    found, error = until_error(rules, source, budget=100)
    assert isinstance(error, BudgetError)
    last = source.count("\n")
    assert parse(source.encode()).source.line_of(found[-1].start) == last


def test_long_concatenation_is_followed_to_its_left_end(rules: RuleSet) -> None:
    source = "t = src() + " + " + ".join(f"'{n}'" for n in range(800)) + "\nsink(t)\n"
    assert len(flows(rules, source)) == 1
    clean = source.replace("src()", "clean(src())")
    assert flows(rules, clean) == []


def test_deep_expression_is_judged_as_a_whole(rules: RuleSet) -> None:
    source = "t = src()\nsink(" + "f(" * 300 + "t" + ")" * 300 + ")\n"
    assert len(flows(rules, source)) == 1
    assert flows(rules, source.replace("t = src()", "t = 1; u = src()")) == []


def test_sink_in_a_deep_expression_is_found(rules: RuleSet) -> None:
    assert len(flows(rules, "t = src()\n" + "f(" * 300 + "sink(t)" + ")" * 300 + "\n")) == 1


def test_long_chain_of_methods(rules: RuleSet) -> None:
    assert len(flows(rules, "sink(src()" + ".m()" * 400 + ")\n")) == 1


@pytest.mark.parametrize("word", ["if q", "while q", "for x in y", "with q", "class C", "try"])
def test_deep_nesting_of_blocks_is_followed_or_named(rules: RuleSet, word: str) -> None:
    for levels in (90, 300):
        source = "".join(indent(f"{word}:", n) for n in range(levels))
        source += indent("sink(src())", levels)
        result = scan_source(source.encode(), PurePosixPath("a.py"), rules)
        assert result.hits or result.problems


def test_deep_nesting_of_functions(rules: RuleSet) -> None:
    source = "t = src()\n" + "".join(indent(f"def f{n}():", n) for n in range(60))
    assert len(flows(rules, source + indent("sink(t)", 60))) == 1


def test_many_sinks_and_sources(rules: RuleSet) -> None:
    source = "def f():\n" + "    sink(src())\n" * 3_000
    assert len(flows(rules, source)) == 3_000


@pytest.mark.parametrize(
    "source",
    [
        "",
        "sink(",
        "def",
        "src() = sink\n",
        "for in src(): sink()\n",
        "sink(src()" * 50,
        "match src():\n    case\n",
        "with src() as : sink(\n",
        "lambda: sink(src()\n",
        "f'{sink(src())",
        "\x00sink(src())\x00",
        "try:\n  sink(src())\n",
        "@sink(src())\n",
        "async await yield sink(src())\n",
        "print >>sink, src()\nexec src() in sink(1)\n",
        "class C(sink(src())): \n",
        "a[b := src()] = sink(b)\n",
        "*a, = src(); sink(*a)\n",
        "def f(*, a=sink(src()), **k): ...\n",
    ],
)
def test_broken_source_never_raises(rules: RuleSet, source: str) -> None:
    scan_source(source.encode(), PurePosixPath("a.py"), rules)
