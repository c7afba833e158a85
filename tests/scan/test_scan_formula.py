"""How patterns are combined: and, or, not, inside, conditions on metavariables, focus."""

from typing import Any

import pytest

from tavo.scan.compile import compile_formula
from tavo.scan.formula import FormulaError
from tavo.scan.languages.python import parse


def found(items: list[dict[str, Any]], code: str) -> list[str]:
    file = parse(code.encode())
    matches = compile_formula({"patterns": items}, where="rule").evaluate(file)
    ranges = sorted({(match.start, match.end) for match in matches})
    return [file.source.text(start, end) for start, end in ranges]


P, NOT, INSIDE, NOT_INSIDE = "pattern", "pattern-not", "pattern-inside", "pattern-not-inside"
F = "def f(...):\n  ..."


@pytest.mark.parametrize(
    ("items", "code", "wanted"),
    [
        ([{P: "run(...)"}, {NOT: "run(1)"}], "run(1)\nrun(2)", ["run(2)"]),
        ([{NOT: "run(1)"}, {P: "run(...)"}], "run(1)\nrun(2)", ["run(2)"]),
        ([{P: "run($X)"}, {NOT: "safe(...)"}], "run(safe(1))", ["run(safe(1))"]),
        ([{P: "run($X)"}, {INSIDE: F}], "run(1)\ndef f():\n  run(2)", ["run(2)"]),
        ([{INSIDE: F}, {P: "run($X)"}], "run(1)\ndef f():\n  run(2)", ["run(2)"]),
        ([{P: "run($X)"}, {NOT_INSIDE: F}], "run(1)\ndef f():\n  run(2)", ["run(1)"]),
        # Of ranges in each other the inner one survives; surroundings never do below a pattern.
        ([{P: "if $X: ..."}, {P: F}], "def f():\n  if a:\n    b", ["if a:\n    b"]),
        ([{P: "def f(...): ..."}, {INSIDE: "if $X: ..."}], "def f():\n  if a:\n    b", []),
        ([{INSIDE: F}, {INSIDE: "if $X: ..."}], "def f():\n  if a:\n    b", ["if a:\n    b"]),
        # Metavariables must agree across patterns.
        ([{P: "run($X)"}, {INSIDE: "def $F(..., $X, ...):\n  ..."}],
         "def f(a):\n  run(a)\n  run(b)", ["run(a)"]),
        ([{P: "$X.go()"}, {NOT_INSIDE: "$X = ok()\n..."}], "a = ok()\na.go()\nb.go()", ["b.go()"]),
        ([{P: "$X = 1"}, {NOT: "$X = 1\n...\nrun($X)"}], "a = 1\nrun(a)", ["a = 1"]),
        ([{"pattern-either": [{P: "a()"}, {P: "b()"}]}], "a()\nb()\nc()", ["a()", "b()"]),
        ([{P: "run()"}, {"pattern-either": [{INSIDE: F}, {INSIDE: "def g(): ..."}]}],
         "run()\ndef g():\n  run()", ["run()"]),
        ([{P: "run($X)"}, {"patterns": [{NOT: "run(1)"}]}], "run(1)\nrun(2)", ["run(2)"]),
        ([{P: "run($X)"}, {NOT: {"patterns": [{P: "run($X)"}, {"metavariable-regex":
           {"metavariable": "$X", "regex": "a"}}]}}], "run(a)\nrun(b)", ["run(b)"]),
        ([{"pattern-regex": "ru."}, {"pattern-not-regex": "x"}], "run(1)", ["run"]),
        ([{P: "run(...)"}, {"pattern-not-regex": "a"}], "run(a)\nrun(b)", ["run(b)"]),
        ([{P: "run(...)"}, {"pattern-regex": "é.*é"}], "run('é é')\n", ["é é"]),
        ([{"pattern-regex": "^b"}], "a\nb", ["b"]),
    ],
)  # fmt: skip
def test_patterns_combine(items: list[dict[str, Any]], code: str, wanted: list[str]) -> None:
    assert found(items, code) == wanted


def condition(name: str, **keys: Any) -> list[dict[str, Any]]:
    return [{P: "run($X)"}, {name: {"metavariable": "$X", **keys}}]


@pytest.mark.parametrize(
    ("items", "code", "wanted"),
    [
        (condition("metavariable-regex", regex="a"), "run(ab)\nrun(ba)\nrun('a')", ["run(ab)"]),
        (condition("metavariable-regex", regex="['\"]a"), "run('a')\nrun(a)", ["run('a')"]),
        ([{P: 'run("$X")'}, {"metavariable-regex": {"metavariable": "$X", "regex": "a"}}],
         "run('a')\nrun('b')", ["run('a')"]),
        (condition("metavariable-regex", regex="b"), "x = 'b'\nrun(x)", []),
        (condition("metavariable-regex", regex="b", **{"constant-propagation": True}),
         "x = 'b'\nrun(x)", ["run(x)"]),
        (condition("metavariable-comparison", comparison="$X > 5"),
         "run(6)\nrun(5)\nn = 7\nrun(n)\nrun('8')\nrun(2 * 4)", ["run(6)", "run(n)", "run(2 * 4)"]),
        (condition("metavariable-comparison", comparison="$X > 5", strip=True),
         "run('8')\nrun('3')", ["run('8')"]),
        (condition("metavariable-comparison", comparison="$X >= 0o650 and $X < 0o1000"),
         "run(0o777)\nrun(0o600)", ["run(0o777)"]),
        (condition("metavariable-comparison", comparison="$X == 255", base=16),
         "run(ff)", ["run(ff)"]),
        (condition("metavariable-comparison", comparison="re.match('a.*', $X)"),
         "run('ab')\nrun('b')", ["run('ab')"]),
        (condition("metavariable-comparison", comparison="re.match('[$]a', $X)"),
         "run('$a')\nrun('Ta')", ["run('$a')"]),
        (condition("metavariable-comparison", comparison="int($X) % 2 == 0"),
         "run('6')\nrun(7)", ["run('6')"]),
        (condition("metavariable-comparison", comparison="str($X) in ['a', 'b']"),
         "run('a')\nrun('c')", ["run('a')"]),
        (condition("metavariable-comparison", comparison="$X / 0 == 1"), "run(1)", []),
        (condition("metavariable-pattern", pattern="g(...)"),
         "run(g(1))\nrun(1 + g(2))\nrun(h(1))", ["run(g(1))", "run(1 + g(2))"]),
        (condition("metavariable-pattern", patterns=[{NOT: "g(...)"}]),
         "run(g(1))\nrun(h(1))", ["run(h(1))"]),
        (condition("metavariable-pattern", **{"pattern-regex": "b"}),
         "run('ab')\nrun('a')", ["run('ab')"]),
        (condition("metavariable-pattern", language="regex", **{"pattern-regex": "^http"}),
         "run('http://a')\nrun(http)", ["run('http://a')"]),
        ([{P: "$O.$M(...)"}, {"metavariable-pattern": {"metavariable": "$M", "pattern": "go"}}],
         "a.go()\na.stop()", ["a.go()"]),
    ],
)  # fmt: skip
def test_conditions_on_a_metavariable(
    items: list[dict[str, Any]], code: str, wanted: list[str]
) -> None:
    assert found(items, code) == wanted


@pytest.mark.parametrize(
    ("items", "code", "wanted"),
    [
        ([{P: "run($X)"}, {"focus-metavariable": "$X"}], "run(a)", ["a"]),
        ([{P: "run($X, $Y)"}, {"focus-metavariable": ["$X", "$Y"]}], "run(a, b)", ["a", "b"]),
        ([{INSIDE: "def $F(..., $X, ...): ..."}, {"focus-metavariable": "$X"}],
         "def f(a, b=1, *c): pass", ["a", "b"]),
        # The focus must lie in the match: a binding of the surroundings outside it does not count.
        ([{P: "run($X)"}, {INSIDE: "go($Y, ...)"}, {"focus-metavariable": "$Y"}],
         "go(a, run(b))", []),
        ([{P: "sign($X, $KEY)"}, {"focus-metavariable": "$KEY"}, {P: '"..."'}],
         "sign('a', key)\nsign(b, 'key')", ["'key'"]),
    ],
)  # fmt: skip
def test_focus(items: list[dict[str, Any]], code: str, wanted: list[str]) -> None:
    assert found(items, code) == wanted


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"patterns": [{NOT: "a"}]}, "says what to find"),
        ({"patterns": []}, "at least one entry"),
        ({"patterns": [{P: "a", NOT: "b"}]}, "expected one key, found pattern, pattern-not"),
        ({"patterns": [{P: "a"}, {"pattern-where-python": "True"}]}, "'pattern-where-python'"),
        ({"patterns": [{P: "a"}, {"metavariable-analysis":
           {"metavariable": "$X", "analyzer": "magic"}}]}, "analyzer 'magic' is not supported"),
        ({"patterns": [{P: "a"}, {"metavariable-regex": {"metavariable": "$X", "regex": "(?R)"}}]},
         r"patterns\[1\].metavariable-regex.regex: "),
        ({"patterns": [{P: "a"}, {"metavariable-regex": {"metavariable": "X", "regex": "a"}}]},
         "'X' is not a metavariable"),
        ({"patterns": [{P: "$X"}, {"metavariable-comparison":
           {"metavariable": "$X", "comparison": "open($X)"}}]}, r"'open\(\$X\)' in a comparison"),
        ({"patterns": [{P: "$X"}, {"metavariable-comparison":
           {"metavariable": "$X", "comparison": "$X.__class__"}}]}, "in a comparison"),
        ({"patterns": [{P: "$X"}, {"metavariable-comparison":
           {"metavariable": "$X", "comparison": "$X ** 99999999"}}]}, "in a comparison"),
        ({"patterns": [{P: "$X"}, {"metavariable-pattern":
           {"metavariable": "$X", "language": "java", "pattern": "a"}}]}, "language 'java'"),
        ({P: 1}, "a pattern is a text, found int"),
        ({"pattern-either": [{"focus-metavariable": "$X"}]}, "expected one of"),
        ({"pattern-regex": "("}, "not a regular expression"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(value: dict[str, Any], reason: str) -> None:
    with pytest.raises(FormulaError, match=reason):
        compile_formula(value, where="rule")


def test_a_formula_nested_without_end_is_refused() -> None:
    value: dict[str, Any] = {P: "a"}
    for _ in range(200):
        value = {"patterns": [value]}
    with pytest.raises(FormulaError, match="nested deeper"):
        compile_formula(value, where="rule")


def test_a_file_without_the_names_of_a_formula_is_not_looked_at() -> None:
    formula = compile_formula(
        {"patterns": [{"pattern-either": [{P: "a.b()"}, {P: "c()"}]}, {INSIDE: "d()"}]}, where="r"
    )
    assert formula.possible(frozenset({b"a", b"b", b"d"}))
    assert formula.possible(frozenset({b"c", b"d"}))
    assert not formula.possible(frozenset({b"a", b"d"}))
    assert not formula.possible(frozenset({b"c"}))
    assert formula.anchor() == frozenset({b"d"})
