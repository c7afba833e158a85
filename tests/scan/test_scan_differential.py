"""What Python runs, a scan sees: our reading of bytes and our tree against CPython's own.

Whatever text CPython can compile, every call in it has to be found by the pattern `$F(...)`, or the
file has to be named as one that was not looked at in full. The bounded part runs always, more of it
in the slow runs.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tavo.scan.engine import scan_source
from tavo.scan.files import UnreadableError, decode
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

RULE = """
rules:
  - {id: call, message: $F, severity: LOW, languages: [python], pattern: $F(...)}
"""
ENCODINGS = [
    "utf-8", "utf8", "UTF-8", "utf_8", "u8", "utf-8-sig", "latin-1", "iso-8859-15", "cp1252",
    "cp437", "koi8-r", "utf-7", "shift_jis", "gbk", "big5", "euc_jp", "iso2022_jp", "hz",
    "punycode",
    "unicode_escape", "raw_unicode_escape", "ascii", "utf-16", "utf-32", "utf_16_le", "rot13",
    "cp037", "mbcs", "idna", "undefined", "no-such-encoding", "latin-1-unix", "utf-8-unix",
]  # fmt: skip
COOKIES = [
    "# -*- coding: {} -*-", "#coding:{}", "#coding={}", "# vim: set fileencoding={} :",
    " \t\f# coding: {}", "\f#\tencoding=  {}", "x = 1  # coding: {}", '"""# coding: {}"""',
    "# coding: {}\r# coding: latin-1", "#!/usr/bin/python # coding: {}",
]  # fmt: skip
STATEMENTS = [
    "alpha(1)", "beta(b'x')", "gamma('\\u00e9\\u6f22')", "# delta(1)", "eps\u00e9(1)", "zeta(",
    ")", "if eta(1): theta(1)", "def iota(x=kappa(1)): return lam(x)", "class Mu(nu(1)): pass",
    "'''", "'''\nxi(1)\n'''", "omi(f'{pi(1)}')", "rho(1);sigma(1)", "tau(1)\\", "\\", "\x0c",
    "upsilon(1)\x0cphi(1)", "# \u2028chi(1)", "# \x85psi(1)", "# \x0bomega(1)", "s = 'a\x1cb'",
    "+ACE-", "# +AAo-hidden(1)", "# \\u000ahidden(1)", "\ufeff", "@deco(1)\ndef f(): pass",
    "async def g():\n  await wait(1)\n  async for x in many(1): each(x)",
    "match subject(1):\n  case Point(x=0) if guard(1): body(1)", "[el(1) for x in it(1) if co(1)]",
    "lambda y=dflt(1): lbody(y)", "print(1)", "exec(1)", "(walrus := wal(1))", "x: ann(1) = val(1)",
    "try:\n  tr(1)\nexcept exc(1) as e:\n  ex(1)\nelse:\n  el2(1)\nfinally:\n  fi(1)",
    "with op(1) as f, op2(1): wi(1)", "assert asr(1), msg(1)", "del de(1).x",
    "raise ra(1) from fr(1)",
    "a(1)(2)(3)", "b[ix(1)](2)", "c.d.e(1)", "f'{x:{wid(1)}}{y!r:>{wid2(1)}}'",
    "g(*st(1), **kw(1))",
    "type X = ty(1)", "global gl; gl(1)", "yy = yield_(1)", "not_(1) if cond(1) else oth(1)",
]  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    file = tmp_path_factory.mktemp("rules") / "call.yaml"
    file.write_text(RULE)
    return load_rules([file])


def calls_that_python_sees(data: bytes) -> set[tuple[int, str]] | None:
    """Return line and last name of each call that CPython compiles, None if it compiles none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError, LookupError, UnicodeError):
        return None
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (name := _last_name(node.func)) is not None
    }  # fmt: skip


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def calls_that_we_see(data: bytes, rules: RuleSet) -> tuple[set[str], tuple[str, ...]]:
    """Return the last name of each call that is found, and what is said not to be in full."""
    try:
        content = decode(data)
    except UnreadableError as error:
        return set(), (str(error),)
    if not content.is_text:
        return set(), ("binary",)
    result = scan_source(content.data, PurePosixPath("a.py"), rules)
    found = {hit.finding.evidence["$F"].split(".")[-1].strip() for hit in result.hits}
    return found, result.problems


def check(data: bytes, rules: RuleSet) -> bool:
    """Fail if a call that CPython compiles is neither found nor in a file that is named."""
    wanted = calls_that_python_sees(data)
    if wanted is None:
        return False
    found, problems = calls_that_we_see(data, rules)
    assert wanted <= found or problems, (wanted - found, data)
    return True


@st.composite
def sources(draw: st.DrawFn) -> bytes:
    """A text of Python with a declared encoding, in the same or another one, or in none."""
    lines = draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=8))
    encoding = draw(st.sampled_from(ENCODINGS))
    before = draw(st.sampled_from(["", "", "\n", "#!/bin/sh\n", "\f\n", "#\r", "'''\n"]))
    cookie = draw(st.sampled_from([*COOKIES, ""])).format(encoding)
    end = draw(st.sampled_from(["\n", "\n", "\r", "\r\n", "\n\r"]))
    text = before + cookie + end + end.join(lines) + draw(st.sampled_from(["", end, "\x1a", "\\"]))
    written = draw(st.sampled_from([encoding, "utf-8", "latin-1"]))
    try:
        data = text.encode(written, "replace")
    except (LookupError, UnicodeError, TypeError):
        data = text.encode()
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + data


SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=300, **SETTINGS)
@given(data=sources())
def test_every_call_that_python_runs_is_seen_or_named(data: bytes, rules: RuleSet) -> None:
    check(data, rules)


@pytest.mark.slow
@settings(max_examples=20_000, **SETTINGS)
@given(data=sources())
def test_every_call_that_python_runs_is_seen_or_named_at_length(
    data: bytes, rules: RuleSet
) -> None:
    check(data, rules)


@pytest.mark.parametrize(
    ("data", "call"),
    [
        (b"# -*- coding: utf-8-unix -*-\nx = '\xc3\xa9'; run(1)\n", "run"),
        (b"# coding: latin-1-dos\nx = '\xe9'; run(1)\n", "run"),
        (b"# coding: ISO_8859_1-mac\nx = '\xe9'; run(1)\n", "run"),
        (b"# coding: utf-7\n# +AAo-run(1)\n", "run"),
        (b"# coding: unicode_escape\n# \\u000arun(1)\n", "run"),
        (b"#\rrun(1)\n", "run"),
        (b"\xef\xbb\xbf\x0c# coding: utf-8\nrun(1)", "run"),
        (b"x = 1 \\\n; run(1)\n", "run"),
    ],
)
def test_calls_that_other_readers_do_not_see(data: bytes, call: str, rules: RuleSet) -> None:
    assert call in (calls_that_python_sees(data) or ()), "the control: Python runs it"
    found, problems = calls_that_we_see(data, rules)
    assert (call in found, problems) == (True, ())


@pytest.mark.parametrize(
    "code", ["[*run(1)]", "[*a.run(1)]", "{*a.b.run(1)}", "x = *a[0].run(1), 2", "[1, *a.run(1).b]",
             "for x in *a.run(1), b: pass", "[*run(1) + b]", "f(*a.run(1))", "x[*run(1)]"]
)  # fmt: skip
def test_a_star_hides_no_call(code: str, rules: RuleSet) -> None:
    assert "run" in (calls_that_python_sees(code.encode()) or ()), "the control: Python runs it"
    data = code.encode()
    result = scan_source(data, PurePosixPath("a.py"), rules)
    assert result.problems == ()
    assert "run" in {hit.finding.evidence["$F"].split(".")[-1] for hit in result.hits}


# -- trees of real code


def places_that_python_sees(text: str) -> set[tuple[int, int, int, int]]:
    """Return first and last line and column of each call outside of f-strings, from 1."""
    lines = text.split("\n")
    found: set[tuple[int, int, int, int]] = set()
    todo: list[ast.AST] = [ast.parse(text)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.JoinedStr):
            continue  # before 3.12 their places are not those of the file
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Call):
            ends = ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
            place: list[int] = []
            for line, offset in ends:
                assert line is not None
                before = lines[line - 1].encode()[:offset]
                place += [line, len(before.decode()) + 1]
            found.add(tuple(place))  # type: ignore[arg-type]
    return found


def check_file(path: Path, rules: RuleSet) -> int:
    """Fail if a call of a file is not found at its place; return how many there are."""
    data = path.read_bytes()
    content = decode(data)
    text = content.data.decode()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = places_that_python_sees(text)
    except (SyntaxError, ValueError, RecursionError):
        return 0
    result = scan_source(content.data, PurePosixPath("a.py"), rules)
    if result.problems:
        return 0  # it is named
    found = set()
    for hit in result.hits:
        region = hit.finding.location.region
        assert region is not None
        found.add((region.start_line, region.start_column, region.end_line, region.end_column))
    lines = text.split("\n")
    missing = [place for place in wanted - found if not _is_known(place, found, lines)]
    assert not missing, (path, sorted(missing)[:5])
    return len(wanted)


def _is_known(
    place: tuple[int, int, int, int], found: set[tuple[int, int, int, int]], lines: list[str]
) -> bool:
    """Tell whether a call was found with the brackets around it, or is one that is known to miss.

    The grammar takes `type(x).y = 1` for a type alias.
    """
    line, column, *end = place
    if lines[line - 1][column - 1 :].startswith("type("):
        return True
    for first, start, *last in found:
        if (first, start) <= (line, column) and end <= last:
            before = "".join([*lines[first - 1 : line - 1], lines[line - 1][: column - 1]])
            if not before[start - 1 :].strip("( \\\t"):
                return True
    return False


def files_of_the_library() -> list[Path]:
    folder = Path(sysconfig.get_paths()["stdlib"])
    return sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)


def test_calls_of_real_code_are_found_at_their_places(rules: RuleSet) -> None:
    chosen = files_of_the_library()[::97]
    assert sum(check_file(path, rules) for path in chosen if b"\0" not in path.read_bytes()) > 500


@pytest.mark.slow
def test_calls_of_the_standard_library_are_found_at_their_places(rules: RuleSet) -> None:
    for path in files_of_the_library():
        if "lib2to3" not in path.parts and "bad" not in path.name:
            check_file(path, rules)
