"""Expressions that RE2 cannot run: translated, filtered by a wider one, and bounded in time."""

from __future__ import annotations

import os
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.detect import backtracking
from tavo.detect.backtracking import BoundedRegex, perl_regex
from tavo.detect.perl import translate
from tavo.detect.regex import LateError, Regex, RegexError

BOMB = r"(x+x+)+(?!q)y\1"


def found(pattern: str, text: str) -> list[str]:
    data = text.encode()
    regex = perl_regex(pattern, multiline=True)
    return [data[start:end].decode() for (start, end), *_ in regex.matches(data)]


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        (r"a(?=b)", "ab ac ab", ["a", "a"]),
        (r"(?<!x|yy)a", "xa yya a", ["a"]),
        (r"(?<=x|yy)a", "xa yya a", ["a", "a"]),
        (r"(\w)\1", "héé aab", ["aa"]),
        (r"(?<q>['\"]).*?\k<q>", "a 'b\"c' d", ["'b\"c'"]),
        (r"x(?i)yz(?!q)|b", "xYZ XYZ B", ["xYZ", "B"]),
        (r"a++b", "aaab", ["aaab"]),
        (r"(?>a|ab)c", "abc ac", ["ac"]),
        (r"[[:alpha:]]+(?=\d)", "é abc1", ["abc"]),
        (r"\Qa.b\E(?=c)", "axbc a.bc", ["a.b"]),
        ("(?x) a  # a comment (?=\n (?=b)", "ab a b", ["a"]),
        (r"a{2,3000}", "aaa", ["aaa"]),
        (r"^b(?=\z)", "a\nb", ["b"]),
        (r"a(?=\h)", "a\tb ab", ["a"]),
        (r"é(?= )", "aé é b", ["é", "é"]),
        (r"(?:a|b)(?#a note (in brackets\)c", "ac bd", ["ac"]),
    ],
)  # fmt: skip
def test_what_perl_means_is_found(pattern: str, text: str, wanted: list[str]) -> None:
    assert found(pattern, text) == wanted


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?R)", "recursion"),
        ("(a)(?(1)b|c)", "a condition"),
        ("(?|a|b)(?=c)", "a branch reset"),
        ("(*FAIL)(?=a)", "a verb"),
        (r"\Ka(?=b)", r"\\K is not supported"),
        (r"\pL(?=a)", r"\\p is not supported"),
        ("(?<=a*)b", "look-behind requires fixed-width"),
        ("a(?=b", "missing '\\)'"),
        ("(?=a))", "unmatched '\\)'"),
        ("[a(?=b)", "missing ']'"),
        ("(?U)a(?=b)", "the flag in"),
        ("(" * 100 + "(?=a)" + ")" * 100, "nested deeper"),
        ("*(?=a)", "nothing to repeat"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(pattern: str, reason: str) -> None:
    with pytest.raises(RegexError, match=reason):
        BoundedRegex(pattern)


def test_without_look_around_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtracking._WORKER, "ask", lambda *a, **k: pytest.fail("asked"))
    assert found(r"a\(?=b", "a=b a(=b") == ["a=b", "a(=b"]
    assert found(r"secret(?=x)", "nothing of the kind" * 100) == []


def test_a_bomb_is_stopped_in_time_and_given_up_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtracking, "DEADLINE_S", 0.3)
    backtracking._WORKER.stop()
    assert BoundedRegex("a(?=b)").found_in("ab")  # it has started
    regex = BoundedRegex(BOMB)
    text = "x" * 40 + "y"
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(LateError, match="took longer than 0 s on 41 characters"):
            regex.found_in(text)
        assert BoundedRegex("a(?=b)").found_in("ab")  # another child answers again
    with pytest.raises(LateError, match="was given up: it was late 3 times"):
        regex.found_in(text)
    assert time.monotonic() - started < 60


def test_control_without_the_bound_the_bomb_does_not_end() -> None:
    """In this process the same expression runs until a signal stops it."""
    import signal

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(TimeoutError):
            re.search(BOMB, "x" * 40 + "y")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_copied_process_has_a_child_of_its_own() -> None:
    assert BoundedRegex("a(?=b)").found_in("ab")
    first = backtracking._WORKER._child
    assert first is not None
    child = os.fork()
    if child == 0:
        ok = BoundedRegex("c(?=d)").found_in("cd")
        other = backtracking._WORKER._child
        same = other is None or other.pid == first.pid
        backtracking._WORKER.stop()
        os._exit(0 if ok and not same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert first.poll() is None
    assert BoundedRegex("a(?=b)").found_in("ab")


def test_the_proxy_and_the_logs_still_refuse_look_around() -> None:
    with pytest.raises(RegexError, match="look-around"):
        Regex("(?=a)")


PARTS = st.sampled_from(
    ["a", "b", "(?=a)", "(?!b)", "(?<=a)", "(a|b)", "[ab]", "a*", "b+?", "|", "(?:ab)?", r"\b", "."]
)


@given(st.lists(PARTS, max_size=6), st.text("ab\n", max_size=12))
def test_the_wider_expression_finds_whatever_the_real_one_does(parts: list[str], text: str) -> None:
    pattern = "".join(parts)
    translated = translate(pattern)
    assert translated.needs <= {"look-around"}
    if re.search(translated.python, text, re.MULTILINE | re.ASCII) is not None:
        assert Regex(translated.wider, multiline=True, plain=True).found_in(text)


@given(st.text("ab()[]{}|*+?\\^$.1kQEzZ<>=!:P-,", max_size=14))
def test_any_pattern_is_translated_or_refused(pattern: str) -> None:
    try:
        perl_regex(pattern)
    except RegexError:
        return
