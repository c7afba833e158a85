"""Secrets in what is shown: length, cuts, words, and texts that are other ones."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from tavo.covering import Cover, Piece, stars

KEY = "Zq7Lw0Xv5Np3Td9Hs1Jb"
COVER = Cover([Piece(3, 6, KEY)])
TEXTS = st.text("abZq7 …*", max_size=40)


def test_where_it_stands_and_elsewhere_it_is_covered() -> None:
    shown = stars(KEY)
    assert shown == "Zq7L" + "*" * 16
    assert COVER.line(3, f"key='{KEY}' # {KEY}") == f"key='{shown}' # {shown}"
    assert COVER.text(f"it is {KEY}, {KEY}") == f"it is {shown}, {shown}"
    assert COVER.line(3, f"key='{KEY[:7]}") == f"key='{shown[:7]}"  # a line that was cut
    assert COVER.text(f"a text that was cut {KEY[:9]}…") == f"a text that was cut {shown[:9]}…"


def test_what_is_another_line_or_another_text_stays() -> None:
    assert COVER.line(3, "key=something_else_that_is_long") == "key=something_else_that_is_long"
    assert COVER.text(f"{KEY[:9]} and more") == f"{KEY[:9]} and more"
    assert COVER.text(KEY[:7]) == KEY[:7]


def test_a_word_is_covered_where_it_stands_and_not_in_other_words() -> None:
    cover = Cover([Piece(1, 10, "langflow"), Piece(2, 1, "correct horse battery staple")])
    assert cover.line(1, "PASSWORD=langflow") == "PASSWORD=la******"
    assert cover.text("image: langflow/langflow") == "image: langflow/langflow"
    assert "battery" not in cover.text("it says correct horse battery staple")


def test_what_overlaps_is_covered_as_a_whole() -> None:
    cover = Cover([Piece(1, 1, "abcdefgh12345678"), Piece(1, 9, "12345678")])
    assert cover.line(1, "abcdefgh12345678") == "abcd" + "*" * 12


def test_many_secrets_take_a_time_in_proportion() -> None:
    secrets = [f"sk-proj-{number:040d}" for number in range(2_000)]
    cover = Cover(Piece(n, 1, one) for n, one in enumerate(secrets, 1))
    began = time.process_time()
    for number, one in enumerate(secrets, 1):
        assert "0" * 20 not in cover.text(cover.line(number, one))
    assert time.process_time() - began < 10


@given(st.lists(TEXTS.filter(str.strip), max_size=4), TEXTS, st.integers(1, 5))
def test_lengths_stay_and_twice_is_once(secrets: list[str], line: str, column: int) -> None:
    cover = Cover(Piece(1, column, one) for one in secrets)
    for found in (cover.line(1, line), cover.text(line)):
        assert len(found) == len(line)
        assert all(new in (old, "*") for new, old in zip(found, line, strict=True))
    assert cover.line(1, line.replace("*", "a")).count("*") <= len(line)
