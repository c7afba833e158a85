"""The one door to regular expressions on foreign text."""

import re
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.detect.regex import Regex, RegexError


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)", "look-around"),
        ("(?!a)b", "look-around"),
        ("(?<=a)b", "look-around"),
        (r"(a)\1", "back-references"),
        ("a++", "possessive"),
        ("(?>a)", "possessive and atomic"),
        ("(", "not a regular expression"),
        ("a" * 50_001, "longer than 50000"),
        ("((a{1,1000}){1,1000}){1,1000}", "not a regular expression"),
    ],
)
def test_what_re2_cannot_do_is_refused_by_name(pattern: str, reason: str) -> None:
    with pytest.raises(RegexError, match=reason):
        Regex(pattern)


def test_matches_have_the_bytes_of_their_groups() -> None:
    regex = Regex("(é+)|(?P<name>x)")
    assert regex.groups == ("1", "name")
    assert list(regex.matches("aéébx".encode())) == [
        ((1, 5), (1, 5), (-1, -1)), ((6, 7), (-1, -1), (6, 7)),
    ]  # fmt: skip


def test_matching_from_the_start_and_anywhere() -> None:
    assert Regex("b").found_in("ab")
    assert not Regex("b").starts("ab")
    assert list(Regex("^b", multiline=True).matches(b"a\nb")) == [((2, 3),)]
    assert list(Regex("^b").matches(b"a\nb")) == []


def test_replacement_with_groups_and_a_count() -> None:
    assert Regex("(a)b").replaced("ab ab", r"\1", count=1) == "a ab"
    assert Regex("a").replaced("a", r"\7") == "a"


def test_a_regex_bomb_ends_at_once_here_and_does_not_in_the_standard_library() -> None:
    bomb, text = "(x+x+)+y", "x" * 100_000
    assert not Regex(bomb).found_in(text)

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(TimeoutError):
            re.search(bomb, text[:60])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@given(st.text(max_size=30), st.text(max_size=60))
def test_any_pattern_is_refused_or_gives_spans_inside_the_text(pattern: str, text: str) -> None:
    try:
        regex = Regex(pattern)
    except RegexError:
        return
    data = text.encode("utf-8", "surrogatepass")
    for (start, end), *_ in regex.matches(data):
        assert 0 <= start <= end <= len(data)
