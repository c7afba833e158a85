"""Stars of Python outside of brackets, which the grammar does not know before all values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.scan.languages.python import parse
from tavo.scan.languages.stars import without_stars

VALUES = [
    "*[b]", "*(b, c)", "*{b}", "*'äbc'", "*[i for i in b]", "*(b)", "*-b", "* [b]",
    "*f(*[a], *b)[0]",
]  # fmt: skip
PLACES = [
    "def f():\n    return %s\n", "def f():\n    yield %s\n", "x = %s\n", "x += %s\n",
    "def f():\n    x = yield %s\n", "for i in %s: pass\n", "é = 'ü', %s\r\n",
    "x = (\n1), \\\n  %s\n",
]  # fmt: skip
PIECES = [
    "a", ", ", "*", "[", "]", "(", ")", "\n", " ", "return ", "=", "'", '"', "#", "é", "\r\n", "\\",
    "{", "}", "1",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("order", ["a, %s", "%s, a"])
def test_what_python_takes_is_read_in_full(place: str, value: str, order: str) -> None:
    source = place % (order % value)
    compile(source, "x.py", "exec")
    data = source.encode()
    assert parse(data).problems == []
    mended = without_stars(data)
    assert mended.replace(b" ", b"*") == data.replace(b" ", b"*")
    assert data.count(b"*") - mended.count(b"*") <= 1


@pytest.mark.parametrize("source", [
    "x = a *[b]\n", "x = f(*[a], *(b))\n", "x = [a, *[b]]\n", "def f(a, *b): pass\n", "x = a, *b\n",
    "from a import *\n", "x = a ** -b\n", "'return a, *[b]'\n", "# x = *[b], z\n",
    "print((a, *[b]))\n",
])  # fmt: skip
def test_other_stars_stay(source: str) -> None:
    data = source.encode()
    assert without_stars(data) == data
    assert parse(data).problems == []


@pytest.mark.parametrize("data", [
    b"x = a, *[b\n", b"x = a, *[b]\n" * 30_000, b"\xff = a, *[b]\n", b"x = '''a, *[b]\n",
    b"\x00 = a, *[b]\n", b"(" * 5_000 + b", *[b]\n", b"\t x = 1\n  y\n x = a, *[b]\n",
], ids=["open", "long", "no text", "quotes", "zeros", "deep", "indents"])  # fmt: skip
def test_what_is_no_python_stays_as_long_as_it_is(data: bytes) -> None:
    assert len(without_stars(data)) == len(data)
    parse(data.decode("utf-8", "replace").encode())


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_nothing_but_a_star_becomes_a_blank(source: str) -> None:
    data = source.encode()
    mended = without_stars(data)
    assert len(mended) == len(data)
    assert all(
        old == new or (old == 0x2A and new == 0x20) for old, new in zip(data, mended, strict=True)
    )
