"""JavaScript and TypeScript: one line per construct, with what must match and what must not.

`code` is scanned whole; `wanted` are the texts of all matches, in the order of the source.
"""

import re
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.scan.engine import scan_file, scan_source
from tavo.scan.files import SourceFile
from tavo.scan.languages import parse_file
from tavo.scan.match import compile_pattern
from tavo.scan.pattern import PatternError, parse_pattern
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules


def found(pattern: str, code: str, suffix: str = ".tsx", *, symbolic: bool = False) -> list[str]:
    file = parse_file(code.encode(), suffix)
    matcher = compile_pattern(parse_pattern(pattern, "javascript"), symbolic=symbolic)
    ranges = dict.fromkeys((match.start, match.end) for match in matcher.find(file))
    return [file.source.text(start, end) for start, end in ranges]


def bound(pattern: str, code: str, name: str) -> list[str]:
    file = parse_file(code.encode(), ".tsx")
    matches = compile_pattern(parse_pattern(pattern, "javascript")).find(file)
    return [match.env[name].text for match in matches]


CALLS = [
    ("run(1)", "run(1); run(2); run(1, 2)", ["run(1)"]),
    ("run(...)", "run(); run(1, b); x.run()", ["run()", "run(1, b)"]),
    ("run($X, ...)", "run(); run(a); run(a, b)", ["run(a)", "run(a, b)"]),
    ("run(...$X)", "run(...a); run(a)", ["run(...a)"]),
    ("run($X, $X)", "run(a, a); run(a, b)", ["run(a, a)"]),
    ("new Run(...)", "new Run(1); Run(2); new Run", ["new Run(1)", "new Run"]),
    ("Run(...)", "new Run(1); Run(2)", ["Run(2)"]),
    ("$F(...)", "a.b(1)(2); new C(3)", ["a.b(1)", "a.b(1)(2)"]),
    ("a.b($X)", "a.b(1); a?.b(2); a['b'](3)", ["a.b(1)"]),
    ("a?.b($X)", "a.b(1); a?.b(2)", ["a?.b(2)"]),
    ("import.meta.env.$X", "import.meta.env.A; meta.env.B; import.meta.url",
     ["import.meta.env.A"]),
    ("$X. ... .go()", "a.go(); a.b().c[1].go(); go()", ["a.go()", "a.b().c[1].go()"]),
    ("run({..., a: 1, ...})", "run({b, a: 1}); run({a: 2}); run(a)", ["run({b, a: 1})"]),
    ("run({a: $X})", "run({a: 1, c: 2}); run({'a': 1}); run({a})",
     ["run({a: 1, c: 2})", "run({'a': 1})", "run({a})"]),
    ("run([..., $X])", "run([1, 2]); run([])", ["run([1, 2])"]),
    ("run(<... a ...>)", "run(b + c(a)); run(() => a); run(b)", ["run(b + c(a))"]),
    ("run(a)", "run(a as any); run(a!); run<string>(a)",
     ["run(a as any)", "run(a!)", "run<string>(a)"]),
]  # fmt: skip

LITERALS = [
    ("run('a')", "run('a'); run(\"a\"); run(`a`); run('b')", ["run('a')", 'run("a")', "run(`a`)"]),
    ("run('...')", "run('a' + 'b'); run('a' + x); run(`a${x}`)", ["run('a' + 'b')"]),
    ("run(`...`)", "run(`a`); run(`a${x}`); run('a')", ["run(`a`)", "run(`a${x}`)"]),
    ("run(`...${$X}...`)", "run(`a`); run(`a${x}b`); run('a' + x)", ["run(`a${x}b`)"]),
    ("run('=~/^a/')", "run('ab'); run('ba'); const k = 'ac'; run(k)", ["run('ab')", "run(k)"]),
    ("run(($X: string))", "run('a'); run(1); function f(b: string) { run(b) }",
     ["run('a')", "run(b)"]),
    ("run('a\\n')", "run('a\\n'); run(`a\\n`); run('a')", ["run('a\\n')", "run(`a\\n`)"]),
    ("run(null)", "run(null); run(undefined); run(0)", ["run(null)"]),
    ("run(/.../)", "run(/a/g); run('a')", ["run(/a/g)"]),
    ("run(true)", "run(true); run(false); run(1)", ["run(true)"]),
]  # fmt: skip

OPERATORS = [
    ("$X === $Y", "a === b; a == b; a !== b", ["a === b"]),
    ("$X && $Y", "a && b; a || b", ["a && b"]),
    ("$X ? $Y : $Z", "a ? b : c", ["a ? b : c"]),
    ("!$X", "!a; -a; typeof a", ["!a"]),
    ("typeof $X", "typeof a; !a", ["typeof a"]),
    ("await $X", "async () => { await a(); b() }", ["await a()"]),
    ("$X.html = $Y", "a.html = b; a.html += c; b.text = d", ["a.html = b", "a.html += c"]),
    ("$X[$Y] = $Z", "a[b] = c; a.b = c", ["a[b] = c"]),
]  # fmt: skip

DECLARATIONS = [
    ("$X = run()", "const a = run(); let b = run(), c = run(); d = run(); e()",
     ["a = run()", "b = run()", "c = run()", "d = run()"]),
    ("const $X = run()", "const a = run(); let b = run(); c = run()", ["const a = run()"]),
    ("let $X = run()", "let b = 1, c = run()", ["let b = 1, c = run()"]),
    ("var $X = run()", "const a = run(); var b = run(); c = run()",
     ["const a = run()", "var b = run()"]),
    ("{$X} = run()", "const {a, b: c} = run(); d = run()", ["const {a, b: c} = run()"]),
    ("function $F(...) {...}", "function f() {} const g = () => 1; class C { m() {} }",
     ["function f() {}", "m() {}"]),
    ("function $F(..., $A, ...) { ... run($A); ... }",
     "function f(a, b) { x(); run(b) } function g(a) { run(c) }",
     ["function f(a, b) { x(); run(b) }"]),
    ("function ... (...) {...}", "x = function () {}; y = a => a; function w() {}",
     ["function () {}", "a => a", "function w() {}"]),
    ("(...) => { ... run(...); ... }", "x = () => { run(1) }; y = () => run(2); z = () => go()",
     ["() => { run(1) }", "() => run(2)"]),
    ("(...) => $X", "a = b => c; d = b => { return c }; e = b => { f() }",
     ["b => c", "b => { return c }"]),
    ("class $C extends Base { ... }", "class A extends Base { x() {} } class B {}",
     ["class A extends Base { x() {} }"]),
    ("class $C { ... run(...) { ... } ... }", "class A { a = 1; run() {} } class B { go() {} }",
     ["class A { a = 1; run() {} }"]),
    ("class $C { ... @Get('/') $M(...) { ... } ... }",
     "class A { @Get('/') a() {} b() {} } class B { @Get('/x') a() {} }",
     ["class A { @Get('/') a() {} b() {} }"]),
    ("class A { ... }", "@Injectable()\nclass A { }", ["@Injectable()\nclass A { }"]),
]  # fmt: skip

STATEMENTS = [
    ("if (a) { ... }", "if (a) b(); if (c) { }", ["if (a) b();"]),
    ("if (a) { ... } else { ... }", "if (a) { } else { b }; if (a) { }", ["if (a) { } else { b }"]),
    ("for (let $X of $Y) { ... }", "for (const a of b) { } for (const a in b) { }",
     ["for (const a of b) { }"]),
    ("for (...) { ... }", "for (;;) {} for (a of b) {} while (1) {}",
     ["for (;;) {}", "for (a of b) {}"]),
    ("try { ... } catch ($E) { ... }", "try { a() } catch { } try { a() } finally { }",
     ["try { a() } catch { }"]),
    ("throw $X", "throw new Error(1); a()", ["throw new Error(1)"]),
    ("return $X", "function f() { return a } g = () => b", ["return a", "b"]),
    ("open(); ... close();", "function f() { open(); if (a) { close(); } }",
     ["open(); if (a) { close(); }"]),
    ("$X = open(); ... close($X);", "const a = open(); b(); close(a); close(b)",
     ["const a = open(); b(); close(a)"]),
    ("require('m'); ...\nrun()", "const a = require('m');\nb();\nrun()",
     ["const a = require('m');\nb();\nrun()"]),
]  # fmt: skip

IMPORTS = [
    ("import $X from 'm'", "import a from 'm'; import b from 'n'", ["import a from 'm'"]),
    ("import 'm'", "import {a} from 'm'; import 'm/b'; import 'mb'",
     ["import {a} from 'm'", "import 'm/b'"]),
    ("import {go} from 'm'", "import {go} from 'm'; import {go as a} from 'm'; import b from 'm'",
     ["import {go} from 'm'", "import {go as a} from 'm'"]),
    ("child_process.exec(...)", "import {exec} from 'child_process'; exec(1)", ["exec(1)"]),
    ("child_process.exec(...)", "import {exec as e} from 'node:child_process'; e(1)", ["e(1)"]),
    ("child_process.exec(...)", "const {exec: e} = require('child_process'); e(1)", ["e(1)"]),
    ("child_process.exec(...)", "const cp = require('child_process'); cp.exec(1)", ["cp.exec(1)"]),
    ("child_process.exec(...)", "import * as cp from 'child_process'; cp.exec(1)", ["cp.exec(1)"]),
    ("child_process.exec(...)", "import cp = require('child_process'); cp.exec(1)", ["cp.exec(1)"]),
    ("child_process.exec(...)", "import {exec} from './own'; exec(1)", []),
    ("child_process.exec(...)", "const cp_1 = require('child_process'); (0, cp_1.exec)(1)",
     ["(0, cp_1.exec)(1)"]),
    ("child_process.exec(...)", "const c = __importStar(require('child_process')); c.exec(1)",
     ["c.exec(1)"]),
    ("fs.readFile(...)", "const f = __importDefault(require('fs')); f.default.readFile(1)",
     ["f.default.readFile(1)"]),
    ("fs.readFile(...)", "const f = tslib_1.__importDefault(require('fs')); f.default.readFile(1)",
     ["f.default.readFile(1)"]),
    ("fs.readFile(...)", "var f = __toESM(require('fs')); f.readFile(1); f.default.readFile(2)",
     ["f.readFile(1)", "f.default.readFile(2)"]),
    ("fs.readFile(...)", "const f = wrapped(require('fs')); f.default.readFile(1)", []),
    ("$FS.readFile(...)", "const {readFile} = require('fs/promises'); readFile(1)",
     ["readFile(1)"]),
]  # fmt: skip

CONSTANTS = [
    ("run('...')", "const a = 'x'; function f() { run(a) } class C { m() { run(a) } }",
     ["run(a)", "run(a)"]),
    ("run('...')", "function f() { const a = 'x'; return () => { run(a) } }", ["run(a)"]),
    ("run('...')", "function f() { let a = 'x'; function g() { run(a) } a = b }", ["run(a)"]),
    ("run('...')", "let a = 'x'; function g() { run(a) } a = b", []),
    ("$X == $X", "f(() => { let a = 0; g(() => { if (a == 0) {} a++ }); h(a == 0) })", ["a == 0"]),
    ("$X == $X", "let a = 0; while (b) { g(() => { if (a == 0) {} }); a += 1 }", []),
    ("run('x')", "class A { a: B; b() { this.a = 'x' } c() { run(this.a) } }", ["run(this.a)"]),
    ("run('x')", "class A { a = 'x'; c() { run(this.a) } }", ["run(this.a)"]),
    ("run('x')", "class A { a = 'x'; b() { this.a = y } c() { run(this.a) } }", []),
    ("run('x')", "class A { b() { this.a = 'x' } c() { run(this.a) } }", []),
    ("/$X/.test(...)", "const r = /a/; function f() { r.test(b) } s.test(b)", ["r.test(b)"]),
    ("/.../", "const r = /a/; run(r)", ["/a/", "r"]),
    ("key: '$X'", "a({ key: 'x', 'b': 'y' }); key: 'z'", ["key: 'x'"]),
    ("'a-b': $X", "c = { 'a-b': 1, a: 2 }", ["'a-b': 1"]),
    ("{ a: $X }", "run({ [a]: 1 }); run({ a: 2 })", ["{ a: 2 }"]),
    ("`...${...}...`", "css`a ${b}`; c = `a ${b}`", ["`a ${b}`"]),
    ("$F`...`", "css`a`; c = `a`", ["css`a`"]),
    ("`$X${$Y}`", "a = `<b${c}`; d = `<b\\n${c}`", ["`<b${c}`"]),
    ("function $F($X) { ... g($X); ... }", "function f(a) { h(() => { const { a } = b; g(a) }) }",
     ["function f(a) { h(() => { const { a } = b; g(a) }) }"]),
    ("function $F($X) { ... g($X); ... }", "function f(a) { h(() => { const a = b; g(a) }) }", []),
    ("run('...')", "f(() => { var a = 'x'; run(a) })", ["run(a)"]),
    ("run('...')", "let a = 'x'; a = b; run(a)", []),
    ("run(0)", "for (let i = 0; i < 9; i++) { run(i) }", []),
    ("run(0)", "let i = 0; i++; run(i)", []),
    ("run('...')", "function f(a = 'x') { run(a) }", []),
    ("run('ab')", "run('a' + 'b')", ["run('a' + 'b')"]),
]  # fmt: skip

ELEMENTS = [
    ("<$X a={$V} />", "x = <A b a={1} />; y = <B b />; z = <C a='1'>t</C>",
     ["<A b a={1} />", "<C a='1'>t</C>"]),
    ("<A {...$P} />", "x = <A b {...c} />; y = <A b={c} />", ["<A b {...c} />"]),
    ("<A ... b=\"...\" ... />", "x = <A c b=\"1\" d />; y = <A b={c} />", ['<A c b="1" d />']),
    ("<A b=... />", "x = <A b={c} />; y = <A c />", ["<A b={c} />"]),
    ("<$X>$M</$X>", "x = <A>text</A>; y = <B>{text}</B>; z = <C><D /></C>", ["<A>text</A>"]),
    ("<A ...>...</A>", "x = <A b>t<C /></A>; y = <D />", ["<A b>t<C /></A>"]),
    ("<$X danger={{__html: $H}} />", "x = <A danger={{__html: a}} />; y = <A danger={b} />",
     ["<A danger={{__html: a}} />"]),
    ("run($X)", "x = <A a={run(1)}>{run(2)}</A>", ["run(1)", "run(2)"]),
]  # fmt: skip

CASES = [
    *CALLS, *LITERALS, *OPERATORS, *DECLARATIONS, *STATEMENTS, *IMPORTS, *CONSTANTS, *ELEMENTS,
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "code", "wanted"), CASES)
def test_a_pattern_matches(pattern: str, code: str, wanted: list[str]) -> None:
    assert parse_file(code.encode(), ".tsx").problems == []
    assert found(pattern, code) == wanted


@pytest.mark.parametrize(
    ("pattern", "code", "name", "wanted"),
    [
        ("run($...A, k)", "run(a, b, k)", "$...A", ["a, b"]),
        ("run('$X')", "run(`text`)", "$X", ["text"]),
        ("function $F($A) { $BODY }", "function f(a) { b(); c() }", "$BODY", ["b(); c()"]),
        ("function $F($A: $T) {...}", "function f(a: string) { }", "$T", ["string"]),
        ("import {$X} from 'm'", "import {a} from 'm'", "$X", ["a"]),
        ("<$E a='$V' />", "x = <A a='b' />", "$V", ["b"]),
    ],
)
def test_a_metavariable_is_bound_to(pattern: str, code: str, name: str, wanted: list[str]) -> None:
    assert bound(pattern, code, name) == wanted


def test_a_typescript_file_may_cast_with_angle_brackets() -> None:
    assert found("run($X)", "run(<any>x);", ".ts") == ["run(<any>x)"]
    assert parse_file(b"run(<any>x);", ".tsx").problems != []


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("function (", "not JavaScript"),
        ("...", "matches everything"),
        ("", "empty"),
        ("run('=~/(?R)/')", "not a regular expression"),
        ("(" * 2000 + ")" * 2000, "not JavaScript"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason):
        compile_pattern(parse_pattern(pattern, "javascript"))


# -- source that was not written for us

DEEP = {
    "calls": "a(" * 10_000 + "1" + ")" * 10_000,
    "arrays": "[" * 10_000 + "]" * 10_000,
    "blocks": "{" * 10_000 + "}" * 10_000,
    "functions": "function f() {" * 10_000 + "}" * 10_000,
    "members": "a" + ".b" * 10_000 + "()",
    "sums": "x = 1" + " + 1" * 10_000,
    "templates": "`${" * 10_000 + "1" + "}`" * 10_000,
    "elements": "<a>" * 10_000 + "</a>" * 10_000,
    "conditions": "if (a) {} else " * 10_000 + "b()",
    "half": "class A { m( { for (let a of [",
    "nothing": "",
    "nulls": "a\0b(\0)",
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("suffix", [".js", ".ts"])
def test_hostile_source_is_parsed_in_bounded_time(
    name: str, suffix: str, flow_rules: RuleSet
) -> None:
    data = DEEP[name].encode()
    result = scan_source(data + b"\nsink(src());\n", PurePosixPath("a" + suffix), flow_rules)
    assert len(result.hits) <= 1
    assert result.hits or result.problems, "what was left out is named"


def test_a_minified_file_is_bounded_and_named(flow_rules: RuleSet, tmp_path: Path) -> None:
    data = b"call(1);" * (1 << 16) + b"sink(src());"
    result = scan_source(data, PurePosixPath("a.js"), flow_rules)
    assert result.hits or re.search("rule flow was stopped|stopped after", result.problems[0])
    (tmp_path / "a.min.js").write_bytes(data * 20)
    file = SourceFile(tmp_path / "a.min.js", PurePosixPath("a.min.js"))
    (problem,) = scan_file(file, flow_rules).problems
    assert "too large" in problem


def test_what_does_not_parse_is_named_except_in_files_of_types(flow_rules: RuleSet) -> None:
    code = b"export declare const a: number; sink(src());\nlet b: = 1;\n"
    for name, named in (("a.ts", 1), ("a.d.ts", 0)):
        result = scan_source(code, PurePosixPath(name), flow_rules)
        assert len(result.problems) == named
        assert len(result.hits) == 1


FRAGMENTS = [
    "function ", "class A ", "if (", ") ", "{", "}", "[", "]", "=> ", "for (", " of ", "let ",
    "const a = ", "`", "${", "}`", "'", '"', "/a/", "//", "/*", "*/", "<a>", "</a>", "<b ", "/>",
    "import ", " from 'm';", "export ", "default ", "async ", "await ", "...", "?.", "??", "=", ";",
    ",", ".", ":", "a", "b", "run(", "1", "\n", "@d ", "type T = ", "enum E ", "case 1:",
    "switch (", "new ", "try ", "catch ", "é", "\0", "#x", "static ", "get ",
    "interface I ", "namespace N ",
]  # fmt: skip
MATCHERS = [
    compile_pattern(parse_pattern(p, "javascript")) for p in dict.fromkeys(c[0] for c in CASES)
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join), st.sampled_from([".js", ".ts"])
)
def test_every_pattern_survives_any_source(code: str, suffix: str) -> None:
    file = parse_file(code.encode(), suffix)
    size = len(code.encode())
    for node in file.root.walk():
        assert 0 <= node.start <= node.end <= size
        assert all(child.parent is node for child in node.children)
    for matcher in MATCHERS:
        for match in matcher.find(file):
            assert 0 <= match.start <= match.end <= size


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_parsed(data: bytes) -> None:
    file = parse_file(data, ".js")
    assert all(0 <= node.start <= node.end <= len(data) for node in file.root.walk())


# -- taint

RULES = """
rules:
  - id: flow
    mode: taint
    languages: [js, ts]
    severity: ERROR
    message: $X arrives
    pattern-sources:
      - pattern: src(...)
      - patterns:
          - pattern-inside: "function ... (..., $P, ...) { ... }"
          - metavariable-regex: {metavariable: $P, regex: ^bad}
          - focus-metavariable: $P
    pattern-sinks:
      - patterns:
          - pattern: sink($X, ...)
          - focus-metavariable: $X
    pattern-sanitizers:
      - pattern: clean(...)
"""


@pytest.fixture(scope="module")
def flow_rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    file = tmp_path_factory.mktemp("rules") / "flow.yaml"
    file.write_text(RULES)
    return load_rules([file])


@pytest.mark.parametrize(
    ("code", "arrives"),
    [
        ("sink(src())", True),
        ("const a = src(); sink(a)", True),
        ("let a = src(); a = clean(a); sink(a)", False),
        ("sink(`text ${src()}`)", True),
        ("sink('text ' + src())", True),
        ("async function f() { sink(await src()) }", True),
        ("const {a} = src(); sink(a)", True),
        ("const [a, ...b] = src(); sink(b)", False),
        ("const { a, ...b } = src(); sink(b)", False),
        ("const { a, ...b } = src(); sink(a)", True),
        ("const { [k]: a } = src(); sink(a)", False),
        ("const a = { b: src(), c: 1 }; sink(a.b)", True),
        ("const a = { b: src(), c: 1 }; sink(a.c)", False),
        ("const a = { b: src(), c: 1 }; sink(a)", True),
        ("const a = { b: src(), c: 1 }; sink(a['c'])", True),
        ("const { b, c } = { b: src(), c: 1 }; sink(c)", False),
        ("const a = { b: { c: src(), d: 1 } }; const { b: { d } } = a; sink(d)", False),
        ("const a = { b: { c: src(), d: 1 } }; const { b: { c } } = a; sink(c)", True),
        ("const a = { ...src(), b: 1 }; sink(a.b)", True),
        ("const b = { c: src(), d: 1 }; const a = { ...b, e: 1 }; sink(a.c)", True),
        ("const b = { c: src(), d: 1 }; const a = { ...b, e: 1 }; sink(a.e)", False),
        ("const a = c ? { b: src(), d: 1 } : null; sink(a.d)", False),
        ("const a = { b: src(), c: 1 }; const d = a; sink(d.c)", False),
        ("let a = {}; a[b] = src(); sink(a.c)", False),
        ("let a = {}; a[b] = src(); sink(a[d])", True),
        ("let a = {}; a.b = src(); sink(a['b'])", True),
        ("let a = {}; a[b] = src(); a[c] = 1; sink(a)", False),
        ("const a = []; a.push(src()); sink(a)", False),
        ("function f({ badInput = 1 } = {}) { sink(badInput) }", False),
        ("const {a: {b}} = src(); sink(b); ", True),
        ("const {a: b} = src(); sink(a)", False),
        ("const a = {b: src()}; sink(a.b)", True),
        ("const a = src(); sink({x: a})", True),
        ("sink([1, src()])", True),
        ("sink(a ? src() : b)", True),
        ("sink(a ?? src())", True),
        ("sink(src()?.text)", True),
        ("sink(src()!)", True),
        ("sink(src() as string)", True),
        ("const a = src(); list.forEach(x => sink(a))", True),
        ("const a = src(); list.forEach(function (x) { sink(a) })", True),
        ("const a = src(); list.forEach(a => sink(a))", False),
        ("const f = (badInput) => { sink(badInput) }", True),
        ("const f = badInput => sink(badInput)", True),
        ("function f({a, badInput}) { sink(badInput) }", False),
        ("function f(badInput = 1) { sink(badInput) }", True),
        ("function f(badInput: string) { sink(badInput) }", True),
        ("class A { m(badInput) { this.x = badInput; sink(this.x) } }", True),
        ("class A { m() { this.x = src(); sink(this.y) } }", False),
        ("for (const a of src()) { sink(a) }", True),
        ("for (let a = src(); a; a = a.next) { sink(a) }", True),
        ("let a; do { sink(a); a = src() } while (b)", True),
        ("let a; if (b) { a = src() } sink(a)", True),
        ("let a; switch (b) { case 1: a = src(); break; default: } sink(a)", True),
        ("let a; try { a = src() } catch (e) { } sink(a)", True),
        ("let a = ''; a += src(); sink(a)", True),
        ("export const a = src(); sink(a)", True),
        ("export default function (badInput) { sink(badInput) }", True),
        ("function f() { return g; function g(badInput) { sink(badInput) } }", True),
        ("x = <div>{sink(src())}</div>", True),
        ("const a = clean(src()); sink(a)", False),
        ("sink(b)", False),
    ],
)
def test_taint_moves_through(code: str, arrives: bool, flow_rules: RuleSet) -> None:
    assert flow_rules.problems == []
    result = scan_source(code.encode(), PurePosixPath("a.tsx"), flow_rules)
    assert result.problems == ()
    assert bool(result.hits) is arrives


@pytest.mark.parametrize(
    ("code", "holds"),
    [
        ("// tavo: ignore[flow] read by nobody\nsink(src())", True),
        ("sink(src()) // tavo: ignore[flow] read by nobody", True),
        ("/* tavo: ignore[flow] read by nobody */\nsink(src())", True),
        ("sink(src()) // tavo: ignore[flow]", False),
        ("sink(src()) // tavo: ignore[other] reason", False),
        ("sink(src(), '// tavo: ignore[flow] in a string')", False),
        ("sink(src()) // nosemgrep: flow", True),
    ],
)
def test_an_ignore_comment(code: str, holds: bool, flow_rules: RuleSet) -> None:
    (hit,) = scan_source(code.encode(), PurePosixPath("a.js"), flow_rules).hits
    assert (hit.ignore is not None) is holds
