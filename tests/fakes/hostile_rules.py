# ruff: noqa: E501, RUF028, UP031  (what is written here is as it is in a rule file)
"""Rule files that attack the loader or the matcher and are too large, or too many, to be kept.

Each case is a rule file, or a folder of them, in which the rule `good` is sound. `says` are words of
the sentence that names what is wrong, empty where nothing is; `keeps` tells whether `good` still runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

GOOD = """  - id: good
    message: Found $X.
    severity: ERROR
    languages: [python]
    pattern: good($X)
"""
HEAD = """  - id: bad
    message: Found.
    severity: ERROR
    languages: [python]
"""


class Case(NamedTuple):
    """How a case is written into a folder, what has to be said, and whether `good` survives."""

    write: Callable[[Path], None]
    says: str
    keeps: bool = True
    code: bytes = b"good(1)\n"


def _rules(*bodies: str) -> Callable[[Path], None]:
    """Write one rule file: `good`, and rules of which only the rest is given."""
    text = "rules:\n" + GOOD + "".join(f"{HEAD}{body}\n" for body in bodies)
    return lambda folder: _write(folder, text.encode())


def _file(data: bytes) -> Callable[[Path], None]:
    return lambda folder: _write(folder, data)


def _write(folder: Path, data: bytes) -> None:
    (folder / "rules.yaml").write_bytes(data)


def _nested(key: str, levels: int) -> str:
    text = "{pattern: bad()}"
    for _ in range(levels):
        text = f"{{{key}: [{text}]}}"
    return f"    {text[1:-1]}\n"


def _many(folder: Path) -> None:
    (folder / "good.yaml").write_text("rules:\n" + GOOD)
    for part in range(100):
        rules = "".join(
            f"  - id: r{part}-{n}\n    message: m\n    severity: LOW\n    languages: [python]\n"
            f"    pattern: f{part}_{n}($X, ...)\n"
            for n in range(100)
        )
        (folder / f"many{part}.yaml").write_text("rules:\n" + rules)


def _large(folder: Path) -> None:
    with (folder / "rules.yaml").open("wb") as stream:
        stream.write(b"rules:\n" + GOOD.encode())
        for _ in range(100):
            stream.write(b"# " + b"x" * (1 << 20) + b"\n")
    (folder / "good.yaml").write_text("rules:\n" + GOOD)


def _circle(folder: Path) -> None:
    (folder / "library").mkdir()
    (folder / "library" / "a.yaml").write_text("patterns: [{use: b}, {use: b}]\n")
    (folder / "library" / "b.yaml").write_text("patterns: [{use: a}, {use: a}]\n")
    _write(folder, ("rules:\n" + GOOD + HEAD + "    patterns: [{use: a}]\n").encode())


def _doubling(folder: Path) -> None:
    """Each library uses the next one twice: 2 ** 40 patterns."""
    (folder / "library").mkdir()
    for n in range(40):
        (folder / "library" / f"a{n}.yaml").write_text(
            f"patterns: [{{use: a{n + 1}}}, {{use: a{n + 1}}}]\n"
        )
    (folder / "library" / "a40.yaml").write_text("patterns: [{pattern: bad()}]\n")
    _write(folder, ("rules:\n" + GOOD + HEAD + "    patterns: [{use: a0}]\n").encode())


def _outside(folder: Path) -> None:
    (folder / "secret.yaml").write_text("patterns: [{pattern: good($X)}]\n")
    (folder / "library").mkdir()
    _write(folder, ("rules:\n" + GOOD + HEAD + "    patterns: [{use: ../secret}]\n").encode())


def _laughs() -> bytes:
    lines = ["x0: &x0 [lol, lol]"] + [f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]" for n in range(1, 60)]
    return ("\n".join(lines) + "\nrules:\n" + GOOD).encode()


def cases() -> Iterator[tuple[str, Case]]:
    """Yield the name of each case with the case."""
    metavariable = "$" + "A" * (1 << 20)
    yield "100-megabytes", Case(_large, "larger than 4 MB")
    yield "10000-rules", Case(_many, "")
    yield "billion-laughs", Case(_file(_laughs()), "alias", keeps=False)
    yield (
        "yaml-nested-10000-deep",
        Case(
            _file(b"rules:\n" + GOOD.encode() + b"  - " + b"[" * 10_000),
            "nested too deep",
            keeps=False,
        ),
    )
    yield (
        "yaml-of-many-entries",
        Case(
            _file(b"rules:\n" + GOOD.encode() + b"  - [" + b"a," * 1_000_000 + b"]\n"),
            "too many entries",
            keeps=False,
        ),
    )
    yield "formula-nested-deep", Case(_rules(_nested("patterns", 15)), "")
    yield (
        "formula-nested-too-deep",
        Case(_rules(_nested("pattern-either", 40)), "nested too deep", keeps=False),
    )
    yield (
        "metavariable-of-1-megabyte",
        Case(_rules(f"    pattern: f({metavariable})\n"), "longer than"),
    )
    yield (
        "metavariable-of-1-megabyte-in-a-condition",
        Case(
            _rules(
                f"    patterns:\n      - pattern: f($X)\n      - metavariable-regex: {{metavariable: {metavariable}, regex: a}}\n"
            ),
            "metavariable",
        ),
    )
    yield "pattern-of-1-megabyte", Case(_rules(f"    pattern: {'f(' * 500_000}\n"), "longer than")
    for name, text in {
        "parentheses": "(" * 9_999,
        "calls": "f(" * 6_000 + "1" + ")" * 6_000,
        "dots": "a" + ".b" * 9_000,
        "ellipses": "f(" + "..., " * 3_900 + ")",
        "statements": "...\n" * 4_900,
        "deep": "<... " * 1_900 + "x" + " ...>" * 1_900,
        "strings": '"a" ' * 4_900,
        "sums": "1" + "+1" * 9_000,
        "not": "not " * 4_900 + "x",
        "lists": "[" * 9_000 + "]" * 9_000,
        "dict-dots": "{" + "..., " * 3_900 + "}",
        "lambdas": "lambda: " * 2_400 + "x",
        "defs": "".join(" " * n + "def f():\n" for n in range(190)) + " " * 190 + "...",
        "metavariables": "f(" + ", ".join(f"$A{n}" for n in range(2_400)) + ")",
        "continuations": "f(1)" + "\\\n" * 9_000,
    }.items():
        yield f"pattern-of-{name}", Case(_rules(f"    pattern: {json.dumps(text)}\n"), "")
    for name, text in {
        "comments": "/* " * 6_600,
        "regexes": "/[" * 9_000,
        "generics": "a<b>(" * 3_900,
        "templates": "`${" * 6_000,
        "elements": "<a>" * 6_000,
        "ellipses": "f(" + "..., " * 3_900 + ")",
    }.items():
        body = f"    pattern: {json.dumps(text)}\n"
        yield (
            f"javascript-pattern-of-{name}",
            Case(
                _file(
                    ("rules:\n" + GOOD + HEAD.replace("[python]", "[javascript]") + body).encode()
                ),
                "",
            ),
        )
    for name, text in {
        "nested-repeats": "(((a{1,1000}){1,1000}){1,1000}){1,1000}",
        "length": "a" * 60_000,
        "groups": "(" * 20_000 + ")" * 20_000,
        "alternatives": "|".join(f"w{n}" for n in range(9_000)),
        "look-around": "(?=" * 500 + "a" + ")" * 500,
        "look-around-bomb": "(?!b)(x+x+)+y",
        "classes": "[" * 40_000,
        "unicode": r"\p{Greek}{1,1000}" * 100,
        "open": "(",
        "empty": "",
        "recursion": "(?R)",
        "conditional": "(a)?(?(1)b|c)",
        "names": "".join(f"(?P<n{n}>a)" for n in range(2_000)),
        "surrogate": "\\ud800",
        "nul": "a\\x00b",
    }.items():
        yield (
            f"regex-of-{name}",
            Case(
                _rules(f"    pattern-regex: {json.dumps(text)}\n"),
                "",
                code=b"good(1)\n# " + b"x" * 3_000 + b"\n" + b"a" * 2_000 + b"\n",
            ),
        )
        yield (
            f"fix-regex-of-{name}",
            Case(
                _rules(
                    "    pattern: good(...)\n"
                    f"    fix-regex: {{regex: {json.dumps(text)}, replacement: '\\1\\g<0>'}}\n"
                ),
                "",
                code=b"good('" + b"x" * 3_000 + b"')\n",
            ),
        )
    for name, text in {
        "power": "9**9**9 > $X",
        "product": "*".join(["999999999999"] * 80) + " > $X",
        "text": "'a' * 1000000000 == $X",
        "lists": "[1] * 10000000000 == $X",
        "shift": "1 << 100000000000 > $X",
        "call": "__import__('os').system('true')",
        "attribute": "$X.__class__",
        "length": "$X > 0 or " * 500 + "$X > 1",
        "parentheses": "(" * 400 + "$X" + ")" * 400 + " > 1",
        "nots": "not " * 200 + "$X",
        "minus": "-" * 900 + "$X",
        "big-int": "int('" + "9" * 900 + "') > $X",
        "float": "float('1e999') > int(float('inf'))",
        "regex": "re.match('((a{1,1000}){1,1000}){1,1000}', $X)",
        "format": "'%999999999d' % $X == ''",
        "mod-list": "['a'] % $X",
        "repeat": "(" + "+".join(["$X"] * 300) + ") * 1.0 > 0",
        "strptime": "strptime('x' * 100) > 1",
        "lambda": "(lambda: 1)()",
        "comprehension": "[x for x in range(10**9)]",
        "walrus": "(x := 1)",
        "empty": "",
        "number": "1",
        "in": "$X in '" + "a" * 900 + "'",
    }.items():
        yield (
            f"comparison-of-{name}",
            Case(
                _rules(
                    "    patterns:\n      - pattern: good($X)\n"
                    f"      - metavariable-comparison: {{metavariable: $X, comparison: {json.dumps(text)}}}\n"
                ),
                "",
                code=b"good(1)\ngood(99999999999999999999)\ngood('" + b"a" * 900 + b"')\n",
            ),
        )
    taint = "    mode: taint\n    pattern-sources:\n{}    pattern-sinks: [{{pattern: sink(...)}}]\n"
    sources = "".join(f"      - pattern: src{n}()\n" for n in range(10_000))
    yield (
        "taint-with-10000-sources",
        Case(
            _rules(taint.format(sources)),
            "",
            code=b"good(src9999())\nsink(src1(), src9998())\n" * 100,
        ),
    )
    wide = "".join("      - pattern: $A.$B(...)\n" for _ in range(2_000))
    yield (
        "taint-with-2000-wide-sources",
        Case(_rules(taint.format(wide)), "", code=b"good(a.b(1))\n" * 500),
    )
    either = "".join(f"      - pattern: f{n}($X)\n" for n in range(20_000))
    yield "20000-alternatives", Case(_rules("    pattern-either:\n" + either), "")
    every = "".join("      - pattern: $X\n" for _ in range(2_000))
    yield (
        "2000-patterns-of-everything",
        Case(_rules("    patterns:\n" + every), "", code=b"good(a(b(c(d))))\n" * 200),
    )
    product = "".join(
        f"      - pattern-inside: {json.dumps(f'$A{n}.$B{n}(...)' + chr(10) + '...')}\n"
        for n in range(30)
    )
    yield (
        "product-of-surroundings",
        Case(
            _rules("    patterns:\n" + product + "      - pattern: $X\n"),
            "",
            code=b"a.b(1)\ngood(1)\n" * 200,
        ),
    )
    inside = "      - pattern-inside: |\n          def $F(...):\n              ...\n" * 60
    yield (
        "surroundings-60-times",
        Case(
            _rules("    patterns:\n" + inside + "      - pattern: $X\n"),
            "",
            code=b"".join(b"    " * n + b"def f%d():\n" % n for n in range(80))
            + b"    " * 80
            + b"good(1)\ngood(1)\n",
        ),
    )
    for name, text in {
        "stars": "**/" * 2_000 + "*.py",
        "classes": "[" * 20_000,
        "questions": "" * 20_000 + "*",
        "choices": "*a" * 300 + "*b",
        "newlines": "a\nb",
        "nul": "a\0b",
    }.items():
        yield (
            f"paths-of-{name}",
            Case(_rules(f"    pattern: bad()\n    paths: {{exclude: [{json.dumps(text)}]}}\n"), ""),
        )
    yield (
        "paths-10000",
        Case(
            _rules(
                f"    pattern: good()\n    paths: {{include: {json.dumps(['**/a%d*/**/b*' % n for n in range(10_000)])}}}\n"
            ),
            "",
        ),
    )
    yield (
        "fix-of-1-megabyte",
        Case(_rules("    pattern: good(...)\n    fix: " + "x" * (1 << 20) + "\n"), ""),
    )
    yield (
        "fix-that-multiplies",
        Case(
            _rules("    pattern: good($X)\n    fix: " + "$X" * 20_000 + "\n"),
            "",
            code=b"good('" + b"a" * 100_000 + b"')\n",
        ),
    )
    yield (
        "message-that-multiplies",
        Case(
            _file(
                (
                    "rules:\n"
                    + GOOD
                    + HEAD.replace("Found.", "$X " * 100_000)
                    + "    pattern: good($X)\n"
                ).encode()
            ),
            "",
            code=b"good('" + b"a" * 1_000 + b"')\n" * 100,
        ),
    )
    yield "ids-twice", Case(_file(("rules:\n" + GOOD + GOOD * 100).encode()), "the id is used")
    yield (
        "invalid-utf-8",
        Case(_file(b"rules:\n" + GOOD.encode() + b"  - id: \xff\xfe\n"), "not UTF-8", keeps=False),
    )
    yield "utf-16", Case(_file(("rules:\n" + GOOD).encode("utf-16")), "", keeps=False)
    yield (
        "nul-bytes",
        Case(_file(b"rules:\n" + GOOD.encode() + b"\0" * 100), "not YAML", keeps=False),
    )
    yield "byte-order-mark", Case(_file(b"\xef\xbb\xbfrules:\n" + GOOD.encode()), "")
    yield "use-in-a-circle", Case(_circle, "circle")
    yield "use-that-doubles", Case(_doubling, "libraries")
    yield "use-of-a-file-outside", Case(_outside, "not the name of a library")
    yield (
        "many-rules-of-nothing",
        Case(_file(b"rules:\n" + GOOD.encode() + b"  - {}\n" * 20_000), "a rule has no id"),
    )
    for name, value in {
        "null": "null",
        "number": "5",
        "list": "[1, 2]",
        "text": "x",
        "date": "2020-01-01",
        "float": ".nan",
        "mapping": "{a: {b: c}}",
        "true": "true",
        "binary": "!!binary aGFsbG8=",
        "set": "!!set {a, b}",
        "large-number": "9" * 5_000,
        "surrogate": '"\\uD800"',
        "escape": '"\\e[31mred"',
        "bytes": '"\\x9b2J"',
    }.items():
        keys = ("id", "message", "severity", "languages", "pattern", "patterns", "pattern-either", "pattern-regex",
                "pattern-sources", "pattern-sinks", "metadata", "paths", "fix", "fix-regex", "mode", "options",
                "min-version", "match", "pattern-inside", "metavariable-regex")  # fmt: skip
        rules = "".join(
            f"  - {{id: bad-{key}, message: m, severity: LOW, languages: [python], pattern: bad(), {key}: {value}}}\n"
            if key not in {"id", "message", "severity", "languages", "pattern"}
            else "  - {"
            + ", ".join(
                f"{k}: {value if k == key else v}"
                for k, v in {
                    "id": f"bad-{key}",
                    "message": "m",
                    "severity": "LOW",
                    "languages": "[python]",
                    "pattern": "bad()",
                }.items()
            )
            + "}\n"
            for key in keys
        )
        is_yaml = name != "surrogate"
        yield (
            f"wrong-type-{name}",
            Case(_file(("rules:\n" + GOOD + rules).encode()), "", keeps=is_yaml),
        )
        inner = "".join(
            f"  - {{id: in-{n}, message: m, severity: LOW, languages: [python], patterns: [{{pattern: f($X)}}, {{{key}: {value}}}]}}\n"
            for n, key in enumerate(
                (
                    "pattern",
                    "patterns",
                    "pattern-either",
                    "pattern-not",
                    "pattern-inside",
                    "pattern-not-inside",
                    "pattern-regex",
                    "pattern-not-regex",
                    "focus-metavariable",
                    "metavariable-regex",
                    "metavariable-comparison",
                    "use",
                    "metavariable-pattern",
                    "metavariable-type",
                    "metavariable-analysis",
                    "pattern-where-python",
                    "semgrep-internal",
                )
            )  # fmt: skip
        )
        yield (
            f"wrong-type-inside-{name}",
            Case(_file(("rules:\n" + GOOD + inner).encode()), "", keeps=is_yaml),
        )


CASES = dict(cases())
