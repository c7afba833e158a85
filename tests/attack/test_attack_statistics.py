"""Intervals and tests against known values and against simulation."""

from __future__ import annotations

import functools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.attack.statistics import always_valid, clopper_pearson, decided, fisher


@pytest.mark.parametrize(
    ("worked", "tried", "low", "high"),
    [  # scipy 1.17.1: binomtest(worked, tried).proportion_ci(0.95, 'exact')
        (0, 10, 0.0, 0.308497108),
        (1, 10, 0.002528579, 0.445016117),
        (5, 10, 0.187086028, 0.812913972),
        (10, 10, 0.691502892, 1.0),
        (3, 40, 0.015742180, 0.203864749),
    ],
)
def test_clopper_pearson_is_that_of_scipy(worked: int, tried: int, low: float, high: float) -> None:
    assert clopper_pearson(worked, tried) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(
    ("table", "p"),
    [  # scipy 1.17.1: fisher_exact([[a, b - a], [c, d - c]]).pvalue
        ((3, 4, 1, 4), 0.485714286),
        ((10, 12, 2, 12), 0.003328950),
        ((0, 20, 5, 20), 0.047124047),
        ((5, 5, 5, 5), 1.0),
        ((7, 30, 15, 28), 0.029573807),
    ],
)
def test_fisher_is_that_of_scipy(table: tuple[int, int, int, int], p: float) -> None:
    assert fisher(*table) == pytest.approx(p, abs=1e-6)


@given(st.integers(0, 60), st.integers(0, 60))
def test_intervals_hold_the_share_and_the_always_valid_one_is_wider(a: int, b: int) -> None:
    worked, tried = min(a, b), max(a, b)
    exact, always = clopper_pearson(worked, tried), always_valid(worked, tried)
    share = worked / tried if tried else 0.5
    assert exact[0] <= share <= exact[1]
    assert always[0] <= share <= always[1]
    if tried >= 2:
        assert always[1] - always[0] >= (exact[1] - exact[0]) * 0.9


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.8])
def test_coverage_of_both_by_simulation(share: float) -> None:
    rng = random.Random(20261128)
    runs, most = 600, 40
    fixed, always = functools.cache(clopper_pearson), functools.cache(always_valid)
    missed_fixed = missed_stopped = missed_naive = 0
    for _ in range(runs):
        worked, out, naive = 0, False, False
        for tried in range(1, most + 1):
            worked += rng.random() < share
            low, high = always(worked, tried)
            out = out or not low <= share <= high
            exact = fixed(worked, tried)
            naive = naive or not exact[0] <= share <= exact[1]
        missed_stopped += out
        missed_naive += naive
        low, high = fixed(worked, most)
        missed_fixed += not low <= share <= high
    assert missed_fixed / runs <= 0.05 + 0.02
    assert missed_stopped / runs <= 0.05  # at any of the forty stops
    if share in {0.3, 0.5}:  # the control: an interval for fixed numbers does not survive stopping
        assert missed_naive / runs > 0.08


def test_what_always_or_never_works_is_decided_early() -> None:
    assert not decided(1, 1, threshold=0.1)
    assert decided(2, 2, threshold=0.1)
    assert not decided(0, 10, threshold=0.1)
    assert decided(0, 70, threshold=0.1)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2 attempts"):
        clopper_pearson(3, 2)
