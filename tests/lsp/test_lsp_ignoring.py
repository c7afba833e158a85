"""Where a comment that ignores a finding can stand: at places that the scanner believes."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tavo.lsp.ignoring import insertion
from tavo.scan.suppress import PLACEHOLDER, ignores_in

BODY = f"tavo: ignore[r] {PLACEHOLDER}"


@pytest.mark.parametrize(
    ("name", "text", "line", "at_end", "written"),
    [
        ("a.py", "def f(x):\n    eval(x)\n", 2, False, f"    # {BODY}\n"),
        ("a.py", "x = 1 + \\\n  eval(y)\n", 2, True, f"  # {BODY}"),
        ("a.js", "f(\n  eval(x),\n)\n", 2, False, f"  // {BODY}\n"),
        ("a.tsx", "const a = <p>\n  <b x={y} />\n</p>;\n", 2, True, f"  {{/* {BODY} */}}"),
        ("a.json", '{\n  "b": 1\n}\n', 2, False, f'  "//": "{BODY}",\n'),
        ("a.yaml", "a:\n  - b: 1\n", 2, False, f"  # {BODY}\n"),
        ("Dockerfile", "FROM a\nRUN a \\\n  b\n", 3, False, f"  # {BODY}\n"),
        ("a.md", "hello\nsecret\n", 2, False, f"<!-- {BODY} -->\n"),
        ("a.env", "A=1\r\nB=2\r\n", 2, False, f"# {BODY}\n"),
    ],
)  # fmt: skip
def test_places(name: str, text: str, line: int, *, at_end: bool, written: str) -> None:
    found = insertion(PurePosixPath(name), text.encode(), "r", line)
    assert found is not None
    assert (found.line, found.at_end, found.text) == (line, at_end, written)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", "x = '''\nsk-abc\n'''\n", 2),
        ("a.js", "let a = `\n${eval(x)}\n`", 2),
        ("a.json", '{\n  "a": [\n    "b"\n  ]\n}\n', 3),
        ("a.yaml", "a: |\n  text\n  text\n", 3),
        ("a.py", "x = 1\n", 0),
        ("a.py", "x = 1\n", 99),
    ],
)
def test_no_place_where_it_would_be_text_or_break_something(
    name: str, text: str, line: int
) -> None:
    assert insertion(PurePosixPath(name), text.encode(), "r", line) is None


def test_the_placeholder_does_not_hold_and_a_reason_does() -> None:
    path, text = PurePosixPath("a.py"), f"# {BODY}\neval(x)\n"
    found = ignores_in(path, text.encode())
    assert found.of("r", 2) is None
    assert found.problems == (
        "line 1: `tavo: ignore` does not hold before <why this is safe here> is a reason",
    )
    reason = ignores_in(path, text.replace(PLACEHOLDER, "numbers only").encode())
    assert reason.of("r", 2) is not None
