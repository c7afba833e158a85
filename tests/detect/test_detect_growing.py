"""The open end of a text: whatever the pieces, what is found is what the whole text holds."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.detect import rules as rules_module
from tavo.detect.growing import Growing, derive
from tavo.detect.live import Live
from tavo.detect.regex import RegexError
from tavo.detect.rules import Match, Rule, RuleSet, from_bytes, to_bytes

_LETTERS = "ab1 -"


def live_matches(rules: RuleSet, text: str, sizes: list[int]) -> list[Match]:
    """Feed a text in pieces; nothing final may be found to change its mind later."""
    live, found, at = Live([rules]), [], 0
    for size in sizes:
        if at >= len(text):
            break
        before = live.final
        new = live.feed(to_bytes(text[at : at + size]))[0]
        assert all(match.start >= before and match.end <= live.final for match in new)
        found += new
        at += size
    return found + live.feed(to_bytes(text[at:]), close=True)[0]


def a_pattern(rnd: random.Random, depth: int = 0) -> str:
    kind = rnd.randrange(12 if depth < 3 else 6)
    inner = lambda: a_pattern(rnd, depth + 1)  # noqa: E731
    if kind < 3:
        return rnd.choice("ab1 .é")
    if kind == 3:
        return rnd.choice(["[ab]", "[^a]", r"\d", r"\w", r"\s", "[a-b1]", r"\pL", r"\Qa-\E"])
    if kind == 4:
        return rnd.choice([r"\b", "^", "$", r"\B", r"\z", r"\A", "(?m:^)", "(?m:$)"])
    if kind == 5:
        return rnd.choice("ab1") + rnd.choice("ab1")
    if kind < 8:
        return inner() + inner()
    if kind == 8:
        return f"(?:{inner()}|{inner()})"
    if kind == 9:
        times = ["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??", "{0}"]
        return f"({inner()}){rnd.choice(times)}"
    if kind == 10:
        return rnd.choice(["(?i)", "(?s)", "(?m)", "(?is-m)"]) + inner()
    return inner() + inner() + inner()


def some_rules(rnd: random.Random) -> RuleSet:
    check = lambda text: sum(map(ord, text)) % 3 != 0  # noqa: E731
    while True:
        try:
            return RuleSet([
                Rule(id=str(n), pattern=a_pattern(rnd), check=check if rnd.random() < 0.3 else None)
                for n in range(rnd.choice((1, 1, 2, 3)))
            ])  # fmt: skip
        except RegexError:
            continue


def compare(seed: int, rounds: int, texts: int) -> int:
    rnd, pieces = random.Random(seed), 0
    for _ in range(rounds):
        rules = some_rules(rnd)
        for _ in range(texts):
            text = "".join(rnd.choice(_LETTERS + "\néA") for _ in range(rnd.randrange(25)))
            sizes = [rnd.choice((1, 1, 1, 2, 3, 5, 9)) for _ in text]
            pieces += len(sizes)
            found = live_matches(rules, text, sizes)
            assert found == rules.found_in(text), ([r.pattern for r in rules.rules], text, sizes)
    return pieces


@pytest.mark.parametrize("seed", range(4))
def test_any_expression_in_any_pieces_finds_what_the_whole_text_holds(seed: int) -> None:
    assert compare(seed, rounds=40, texts=12) > 2_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_expressions_in_many_pieces(seed: int) -> None:
    assert compare(seed, rounds=1_500, texts=20) > 100_000


CARDS = RuleSet([
    Rule(id="ssn", pattern=r"\b\d{3}-\d{2}-\d{4}\b"),
    Rule(id="mail", pattern=r"\b[a-z0-9.]{1,20}@(?:[a-z0-9-]{1,20}\.){1,3}[a-z]{2,6}\b"),
])  # fmt: skip


@given(
    st.lists(st.sampled_from(["123-45-6789", "12", "3-4", "a.b@c.de", "x@", " ", "é", "."])),
    st.lists(st.integers(1, 7), min_size=60),
)
@settings(max_examples=150, deadline=None)
def test_fragments_of_what_is_looked_for(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    assert live_matches(CARDS, text, sizes) == CARDS.found_in(text)


def test_only_what_can_still_become_a_match_is_held_back() -> None:
    live = Live([CARDS])
    assert live.feed(b"Hello wor") == [[]]
    assert live.final == len("Hello ")
    live.feed(b"ld, my number is 123-4")
    assert live.length - live.final == len("123-4")
    assert live.feed(b"5-6789") == [[]], "a digit may follow, and then it is none"
    assert [one.rule.id for one in live.feed(b" ")[0]] == ["ssn"]
    assert live.final == live.length


def test_without_the_hold_a_split_value_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = derive
    monkeypatch.setattr(
        rules_module, "derive", lambda pattern: Growing(plain(pattern).match, r"(?:)\z")
    )
    blind = RuleSet(CARDS.rules)
    text = "call 123-45-6789 now"
    assert blind.found_in(text)
    assert live_matches(blind, text, [8, 99]) == []
    assert live_matches(CARDS, text, [8, 99]) == CARDS.found_in(text) != []


def test_what_fails_its_check_hides_nothing() -> None:
    rules = RuleSet([
        Rule(id="long", pattern=r"\d[\d ]{3,30}", check=lambda _: False),
        Rule(id="short", pattern=r"\b77\b"),
    ])  # fmt: skip
    assert [one.rule.id for one in rules.found_in("11 77 11")] == ["short"]


def test_who_tires_the_checks_out_is_not_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_module, "_MOST_REJECTED", 10)
    rules = RuleSet([Rule(id="x", pattern=r"\b\d\b", check=lambda _: False)])
    assert rules.found_in("1 2 3") == []
    text = "1 " * 12
    assert len(rules.found_in(text)) == 2
    assert live_matches(rules, text, [1] * 30) == rules.found_in(text)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=x)y", "look-around"),
        ("x(?!y)", "look-around"),
        ("(?<=x)y", "look-around"),
        ("(?<!x)y", "look-around"),
        (r"(x)\1", "back-references"),
        (r"(?P<n>x)(?P=n)", "back-references"),
        (r"(?P<n>x)\k<n>", "back-references"),
        ("x++", "possessive"),
        ("(?>x)", "possessive"),
        ("(?(1)x)", "condition"),
        ("(?#x)y", "comment"),
        (r"\C", "any byte"),
        ("(?U)x*", "flag 'U'"),
        ("x*", "can match nothing"),
        (r"\b", "can match nothing"),
        ("x|", "can match nothing"),
        ("(x", "missing ')'"),
        ("[x", "missing ']'"),
        ("*x", "nothing to repeat"),
        ("(((x{30}){30}){30})y", "not a regular expression"),
    ],
)
def test_what_cannot_be_held_back_is_refused_by_name(pattern: str, reason: str) -> None:
    with pytest.raises(RegexError, match="my.rule: .*" + re.escape(reason)):
        RuleSet([Rule(id="my.rule", pattern=pattern)])


def test_halves_of_surrogate_pairs_survive() -> None:
    text = "a\ud83d b 123-45-6789 \ude00"
    assert from_bytes(to_bytes(text)) == text
    assert live_matches(CARDS, text, [1] * 30) == CARDS.found_in(text) != []
