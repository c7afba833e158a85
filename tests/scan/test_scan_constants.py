"""What names stand for: the flow of constants, and what must stay unknown."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.scan.constants import Constant, number
from tavo.scan.languages.python import parse

ANY = Constant("str", None)


def at_run(code: str) -> list[Constant | None]:
    """The constants of the first arguments of all calls of `run`, in order."""
    file = parse(textwrap.dedent(code).encode())
    return [file.constant(call.children[1].children[0]) for call in file.calls["run"]]


def text(value: str) -> Constant:
    return Constant("str", value)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("x = 'a'\nrun(x)", [text("a")]),
        ("run(x)\nx = 'a'", [None]),
        ("x = 'a'\nx = 'b'\nrun(x)", [text("b")]),
        ("x = 'a'\ny = x + 'b'\nrun(y)", [text("ab")]),
        ("x = 'a'\nx += 'b'\nrun(x)", [text("ab")]),
        ("x = 1\nx += 2\nrun(x * 3)", [Constant("int", 9)]),
        ("x = 1.5\nx *= 2\nrun(x)", [Constant("float", None)]),
        ("x = not True\nrun(x)", [Constant("bool", False)]),
        ("run('a' if b else 'c')", [ANY]),
        ("x = 'a'\nrun(f'{x}')\nrun(f'{y}')", [ANY, None]),
        ("x = 'a' * 3\nrun(x)", [ANY]),
        ("x = 'a' + y\nrun(x)", [None]),
        ("x, y = 'a', 'b'\nrun(x)", [None]),
        ("(x := 'a')\nrun(x)", [text("a")]),
        ("x = 'a'\ndel x\nrun(x)", [None]),
        ("x = 'a'\nimport x\nrun(x)", [text("a")]),
        ("def f():\n  run(x)\nx = 'a'\ndef g():\n  run(x)", [None, text("a")]),
        ("from m import x\nx = 'a'\ndef f():\n  run(x)", [None]),
        ("x = 'a'\nfrom m import x\ndef f():\n  run(x)", [text("a")]),
        ("for i in j:\n  if i:\n    x = i\n    break\nelse:\n  x = 'a'\nrun(x)", [None]),
        ("x = 'a'\nwhile run(x):\n  x = y()", [text("a")]),
        ("x = 'a'\nwhile not x or run(x):\n  x = y()", [text("a")]),
        ("x = 'a'\nwhile run(y) and x:\n  x = y()\nrun(x)", [None, None]),
        ("x = 'a'\nx.y = 1\nrun(x)", [None]),
        ("x = 'a'\nif c:\n  x = 'b'\nrun(x)", [ANY]),
        ("x = 'a'\nif c:\n  x = y()\nrun(x)", [None]),
        ("if c:\n  x = 'a'\nrun(x)", [None]),
        ("def f():\n  if c:\n    x = 'a'\n  else:\n    return\n  run(x)", [text("a")]),
        (
            "def f():\n  if c:\n    x = y()\n    raise z\n  else:\n    x = 'a'\n  run(x)",
            [text("a")],
        ),
        ("x = 'a'\nfor i in j:\n  run(x)\n  x = y()\nrun(x)", [None, None]),
        ("x = 'a'\nfor i in j:\n  x = 'b'\nrun(x)", [ANY]),
        ("x = 'a'\nfor x in j:\n  run(x)\nrun(x)", [None, None]),
        ("x = None\nfor i in j:\n  if i:\n    x = i\n    break\nrun(x)", [None]),
        ("x = 'a'\nwhile c:\n  x = x + 'b'\nrun(x)", [ANY]),
        ("x = 'a'\ntry:\n  x = y()\nexcept E:\n  pass\nrun(x)", [None]),
        ("try:\n  x = 'a'\nexcept E:\n  pass\nrun(x)", [None]),
        ("x = 'a'\nwith c as d:\n  run(x)", [text("a")]),
        ("x = 'a'\nwith c as x:\n  run(x)", [None]),
        ("x = 'a'\nmatch y:\n  case 1:\n    x = z\nrun(x)", [None]),
        ("X = 'a'\ndef f():\n  run(X)", [text("a")]),
        ("X = 'a'\nX = 'b'\ndef f():\n  run(X)", [None]),
        ("X = 'a'\ndef f(X):\n  run(X)", [None]),
        ("X = 'a'\ndef f():\n  run(X)\n  X = 'b'", [None]),
        ("X = 'a'\ndef g():\n  global X\n  X = b\ndef f():\n  run(X)", [None]),
        ("try:\n  import X\nexcept E:\n  X = None\ndef f():\n  run(X)", [Constant("none", None)]),
        ("def f():\n  x = 'a'\n  g(lambda: run(x))", [text("a")]),
        ("def f():\n  x = 'a'\n  g(lambda x: run(x))", [None]),
        ("def f():\n  x = 'a'\n  [run(x) for x in y]", [None]),
        ("def f():\n  x = 'a'\n  def g():\n    run(x)", [None]),
        ("class A:\n  x = 'a'\n  run(x)\n  def f(self):\n    run(x)", [text("a"), None]),
        ("def f(x='a'):\n  run(x)", [None]),
        ("self.x = 'a'\nrun(self.x)", [None]),
    ],
)
def test_the_constant_at_a_place(code: str, wanted: list[Constant | None]) -> None:
    assert at_run(code) == wanted


@pytest.mark.parametrize(
    ("label", "wanted"),
    [("0x1F", 31), ("1_000", 1000), ("0o17", 15), ("017", 15), ("10L", 10), ("0b11", 3), ("0", 0)],
)
def test_whole_numbers_by_value(label: str, wanted: int) -> None:
    assert number(label) == Constant("int", wanted)


def test_a_complex_number_has_no_value() -> None:
    assert number("1j") is None


@given(
    st.recursive(
        st.integers(0, 1 << 70).map(str) | st.sampled_from(["'a'", '"b"', "True", "None"]),
        lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        max_leaves=8,
    )
)
def test_a_known_value_is_what_python_computes(expression: str) -> None:
    (known,) = at_run(f"run({expression})")
    if known is not None and known.value is not None and known.kind in {"int", "str"}:
        assert known.value == eval(expression)


def test_a_sum_of_ten_thousand_parts_ends() -> None:
    assert at_run("run(" + " + ".join(["'a'"] * 10_000) + ")") == [None]


def test_code_nested_deeper_than_is_followed_is_unknown_not_wrong() -> None:
    depth = 90
    lines = ["x = 'a'", *("  " * n + "if c:" for n in range(depth)), "  " * depth + "x = 'b'"]
    assert at_run("\n".join([*lines, "run(x)"])) == [None]
