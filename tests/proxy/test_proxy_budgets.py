"""Budgets that one worker counts by what is left are those that are counted cell by cell."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tavo.proxy.budgets import Budgets
from tavo.proxy.config import Budget

KEY = 7
counts = st.none() | st.integers(1, 8)
budgets = st.builds(
    Budget, requests_per_minute=counts, requests_per_day=counts,
    tokens_per_minute=counts, tokens_per_day=counts,
    cost_per_day=st.none() | st.floats(1e-7, 5e-6),
)  # fmt: skip
# the clock goes on, may be set back, and passes minutes and days
steps = st.sampled_from([0.0, 0.5, 30.0, 60.0, 3600.0, 86_400.0, -20.0, -7200.0])
deeds = st.lists(
    st.tuples(
        st.sampled_from(["take", "charge", "used", "refused", "other budget"]),
        steps, st.integers(0, 4), st.floats(0, 3e-6),
    )
)  # fmt: skip


@given(budgets, budgets, deeds)
def test_what_is_left_is_what_the_cells_say(
    one: Budget, other: Budget, script: list[tuple[str, float, int, float]]
) -> None:
    left, cells = Budgets(1), Budgets(2)  # of two workers the second one does nothing
    now, budget = 1_000_000.0, one
    for what, step, tokens, cost in script:
        now = max(now + step, 0.0)
        answers: list[Any] = []
        for each in (left, cells):
            if what == "take":
                answers.append(each.take(KEY, budget, now))
            elif what == "charge":
                answers.append(each.charge(KEY, now, tokens, cost))
            elif what == "used":
                answers.append(each.used(KEY, now))
            elif what == "refused":
                answers.append(each.refused(KEY, budget, now))
        if what == "other budget":
            budget = other if budget is one else one
        assert answers[:1] == answers[1:]
    assert left.used(KEY, now) == cells.used(KEY, now)


def test_a_bound_is_met_exactly() -> None:
    budgets = Budgets()
    budget = Budget(requests_per_minute=3, tokens_per_minute=10)
    for _ in range(3):
        assert budgets.take(KEY, budget, 1000.0) is None
    assert budgets.take(KEY, budget, 1000.0) == ("3 requests per minute", 20)
    assert budgets.take(KEY, budget, 1020.0) is None
    budgets.charge(KEY, 1021.0, 9, 0.0)
    assert budgets.take(KEY, budget, 1022.0) is None
    budgets.charge(KEY, 1023.0, 1, 0.0)
    assert budgets.take(KEY, budget, 1024.0) == ("10 tokens per minute", 56)
    assert budgets.used(KEY, 1024.0)["tokens_per_day"] == 10
    assert budgets.used(KEY, 1024.0)["requests_per_day"] == 5
