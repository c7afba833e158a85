"""What must hold for any source and any pattern."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.scan.bindings import Run
from tavo.scan.languages.python import parse
from tavo.scan.match import compile_pattern
from tavo.scan.parsed import identifiers
from tavo.scan.pattern import PatternError, parse_pattern
from tavo.scan.places import places_of, span_of
from tavo.scan.statements import Compiler
from tests.scan import test_scan_patterns as tables

CASES = [
    *tables.CALLS, *tables.STRINGS, *tables.EXPRESSIONS, *tables.NAMES, *tables.STATEMENTS,
    *tables.ROWS,
]  # fmt: skip
PATTERNS = list(dict.fromkeys(pattern for pattern, _, _ in CASES))
CODES = [code for _, code, _ in CASES]
MATCHERS = [compile_pattern(parse_pattern(pattern)) for pattern in PATTERNS]
TOKENS = [
    "def ", "class ", "if ", "else:", "for ", " in ", "while ", "with ", " as ", "try:", "except ",
    "return ", "import ", "from ", "lambda ", "yield ", "await ", "async ", "print ", "raise ",
    "f'{", "}'", "'", '"""', "(", ")", "[", "]", "{", "}", ":", ",", ".", "=", "==", "+", "*", "**",
    "@", "->", ":=", "a", "b", "run", "1", "...", "\n", "\n  ", " ", "#", "\\\n", "é", "$X",
    "global ", "del ", "match ", "case ", "not ", "\t", "x: int", "\0",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join))
def test_every_pattern_survives_any_source(code: str) -> None:
    file = parse(code.encode())
    size = len(code.encode())
    for matcher in MATCHERS:
        for match in matcher.find(file):
            assert 0 <= match.start <= match.end <= size


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_and_every_node_lies_in_its_parent(data: bytes) -> None:
    file = parse(data)
    for node in file.root.walk():
        for child in node.children:
            assert child.parent is node
            assert node.start <= child.start <= child.end <= node.end


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_places_of_a_pattern_leave_out_nothing_that_its_test_accepts(pattern: str) -> None:
    parsed = parse_pattern(pattern)
    if parsed.expression is None:
        return
    compiler = Compiler(parsed.parsed)
    test, places = compiler.test(parsed.expression), places_of(compiler, parsed.expression)
    names = parsed.names()
    for code in CODES:
        file = parse(code.encode())
        run = Run(file)
        every = {span_of(n) for n in file.root.walk() if _is_code(n) and test(n, {}, run)}
        found = {span_of(n) for n in places(file) if test(n, {}, run)}
        assert every <= found, code
        assert not found or names <= identifiers(code.encode()), code


def _is_code(node: object) -> bool:
    """Leave out what is no expression or statement by itself, but part of one."""
    kind, parent = node.kind, node.parent  # type: ignore[attr-defined]
    if parent is None or kind in {"block", "with_statement", "decorated_definition", "ERROR"}:
        return False
    if kind == "assignment":
        return parent.kind != "assignment"
    named = {"function_definition", "class_definition", "keyword_argument", "parameters",
             "lambda_parameters", "default_parameter", "typed_parameter", "dotted_name",
             "typed_default_parameter", "aliased_import", "list_splat_pattern",
             "dictionary_splat_pattern", "attribute"}  # fmt: skip
    return kind != "identifier" or parent.kind not in named or node is _first_value(parent)


def _first_value(parent: object) -> object:
    return parent.children[0] if parent.kind == "attribute" else None  # type: ignore[attr-defined]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="$.XYa b()[]{}<>=\"'\n:,@/~f", max_size=25))
def test_any_pattern_text_is_refused_or_compiled(text: str) -> None:
    try:
        matcher = compile_pattern(parse_pattern(text))
    except PatternError:
        return
    matcher.find(parse(b"a = run(1)\nb = f'{a}'\n"))


@pytest.mark.parametrize("code", [code for code in CODES if "\n" not in code])
def test_a_statement_without_placeholders_is_a_pattern_of_itself(code: str) -> None:
    try:
        matcher = compile_pattern(parse_pattern(code))
    except PatternError:
        return
    assert any(match.start == 0 for match in matcher.find(parse(code.encode()))), code


def test_scanning_the_same_source_twice_gives_the_same(tmp_path: object) -> None:
    from tavo.scan.engine import scan_source
    from tavo.scan.rules import PACK, load_rules

    rules = load_rules([PACK])
    code = b"import os\ndef tool(a):\n    os.system(a)\n"
    path = PurePosixPath("x.py")
    assert scan_source(code, path, rules) == scan_source(code, path, rules)
