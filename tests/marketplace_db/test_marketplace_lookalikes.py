"""Names that a reader takes for another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace_db.lookalikes import distance, look_alike, skeleton


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("acrne", "acme"), ("g00gle", "google"), ("paypa1", "paypal"),
        ("mode1-fi1es", "model-files"),
        ("modelfiles", "model-files"), ("model-flies", "model-files"), ("bandti", "bandit"),
        ("bandits", "bandit"), ("prompt-gaurd-lte", "prompt-guard-lite"), ("vvorld", "world"),
        ("acm", "acme"), ("acme", "acm"), ("langchn", "langchain"),
    ],
)  # fmt: skip
def test_double_is_found(name: str, known: str) -> None:
    assert look_alike(name, ["something-else", known]) == known


@pytest.mark.parametrize(
    ("name", "known"),
    [("bandit", "semgrep"), ("abc", "abd"), ("pii", "api"), ("model-files", "model-names"),
     ("prompt-guard", "prompt-gate"), ("acme", "acme")],
)  # fmt: skip
def test_other_names_are_left_alone(name: str, known: str) -> None:
    assert look_alike(name, [known]) is None


@given(st.text("abcl1o0-", max_size=12), st.text("abcl1o0-", max_size=12))
def test_distance_is_one_of_two_sides(first: str, second: str) -> None:
    exact = distance(first, second, 99)
    assert exact == distance(second, first, 99)
    assert (exact == 0) == (first == second)
    assert abs(len(first) - len(second)) <= exact <= max(len(first), len(second))
    for most in range(4):
        assert distance(first, second, most) == min(exact, most + 1)
    assert skeleton(first) == skeleton(skeleton(first))
