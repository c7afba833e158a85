"""Texts that change piece by piece, and positions in every encoding."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.lsp.lines import Encoding, Lines, Position, Range, Span, moved

TEXT = st.text(st.sampled_from("ab \r\n\t😀éx\u2028\ufeff"), max_size=40)
ENCODING = st.sampled_from(["utf-8", "utf-16", "utf-32"])


def units(text: str, encoding: str) -> int:
    if encoding == "utf-32":
        return len(text)
    return len(text.encode("utf-8" if encoding == "utf-8" else "utf-16-le")) // (
        1 if encoding == "utf-8" else 2
    )


def position(text: str, index: int, encoding: str) -> Position:
    """Return a position by counting, the slow way."""
    before = re.split(r"\r\n|\r|\n", text[:index])
    if text[:index].endswith("\r") and text[index : index + 1] == "\n":
        return position(text, index - 1, encoding)  # the middle of a line end is its beginning
    return Position(len(before) - 1, units(before[-1], encoding))


@given(
    TEXT, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), TEXT), max_size=4), ENCODING
)
def test_changes_give_what_slices_give(
    text: str, changes: list[tuple[int, int, str]], encoding: Encoding
) -> None:
    lines = Lines(text, encoding)
    for first, second, new in changes:
        low, high = sorted((min(first, len(text)), min(second, len(text))))
        start, end = position(text, low, encoding), position(text, high, encoding)
        for at in (low, high):  # no place between the two halves of a line end
            if text[at - 1 : at + 1] == "\r\n" and at:
                break
        else:
            lines.change(Range(start, end), new)
            text = text[:low] + new + text[high:]
            assert lines.text == text
            assert list(lines.pieces) == list(Lines(text, encoding).pieces)


@given(TEXT, ENCODING, st.integers(0, 60))
def test_a_finding_s_column_is_the_client_s(text: str, encoding: Encoding, index: int) -> None:
    text = text.replace("\ufeff", "")
    before = re.split(r"\r\n|\r|\n", text[: min(index, len(text))])
    line, column = len(before), len(before[-1]) + 1
    found = Lines(text, encoding).range_of(Span(line, column, line, column))
    if not (text[:index].endswith("\r") and text[index : index + 1] == "\n"):
        assert found.start == position(text, min(index, len(text)), encoding)


def test_places_beyond_the_text_are_its_end() -> None:
    for line, character in [(0, 99), (99, 0), (99, 99), (1, 1 << 31)]:
        lines = Lines("ab\ncd", "utf-16")
        at = Position(line, character)
        lines.change(Range(at, at), "!")
        assert lines.text == ("ab!\ncd" if line == 0 else "ab\ncd!")


def test_a_range_that_is_turned_round_is_meant_all_the_same() -> None:
    lines = Lines("abcdef", "utf-16")
    lines.change(Range(Position(0, 4), Position(0, 2)), "")
    assert lines.text == "abef"


def test_a_byte_order_mark_moves_columns_of_the_first_line() -> None:
    lines = Lines("\ufeffab\ncd", "utf-16")
    assert lines.range_of(Span(1, 1, 2, 1)).start == Position(0, 1)
    assert lines.range_of(Span(2, 1, 2, 2)).start == Position(1, 0)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("a\nb\nc\nd\n", 3), ("new\na\nb\nc\nd\n", 4), ("b\nc\nd\n", 2), ("a\nb\nC\nd\n", None),
        ("a\nb\n", None), ("a\nb\nc\nd\nmore", 3), ("", None),
    ],
)  # fmt: skip
def test_where_a_line_is_after_changes(after: str, expected: int | None) -> None:
    found = moved(
        Lines("a\nb\nc\nd\n", "utf-8").pieces, Lines(after, "utf-8").pieces, Span(3, 1, 3, 2)
    )
    assert (found and found.start_line) == expected
