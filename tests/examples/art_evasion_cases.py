"""Cases of test_art_evasion.py, run in a process that has ART's wheels and the plugin's files."""

from __future__ import annotations

import json

from main import ArtEvasion

from tavo.plugins import BudgetError
from tavo.plugins.testing import ScriptedTarget, attack

ROWS = [[0.2, 0.2], [0.3, 0.3], [0.7, 0.8], [0.9, 0.7]]


def straight(request):
    """A classifier: which side of a line."""
    x, y = json.loads(request.messages[-1].content)
    return "above" if x + y > 1.0 else "below"


def probable(request):
    x, y = json.loads(request.messages[-1].content)
    p = min(max((x + y) / 2, 0.0), 1.0)
    return json.dumps([1 - p, p])


def stubborn(request):
    return "always"


def one(answers, **config):
    target = answers if isinstance(answers, ScriptedTarget) else ScriptedTarget(answers)
    (result,) = attack(ArtEvasion, target, config={"samples": ROWS, "range": [0, 1], **config})
    return result


def test_hopskipjump_finds_the_line():
    result = one(straight, largest_change=0.35)
    assert result.score == 1.0
    best = result.attempts[0]
    assert best.prompt.startswith("4 of 4 inputs got another class by a change of at most 0.35")
    assert best.outputs[0] in {"above", "below"}
    # [0.7, 0.8] is 0.354 from the line; as a mean of squares over two numbers that is 0.25
    assert all(attempt.score == 1.0 for attempt in result.attempts)


def test_the_change_is_as_small_as_it_can_be():
    (result,) = attack(ArtEvasion, straight, config={"samples": [[0.7, 0.8]], "range": [0, 1],
                                                     "largest_change": 0.26})  # fmt: skip
    assert result.score == 1.0  # 0.25 is the distance


def test_a_large_change_is_no_evasion():
    result = one(straight, largest_change=0.01)
    assert result.score == 0.0
    assert result.attempts  # they are told, with how large the change was


def test_the_other_attacks():
    assert one(straight, attack="boundary", largest_change=0.4, queries=600).score > 0.5
    assert one(probable, attack="zoo", largest_change=0.5, queries=2000).score > 0.0


def test_who_always_says_the_same_is_not_evaded():
    result = one(stubborn)
    assert (result.score, result.attempts, result.error) == (0.0, (), "")


def test_queries_are_bounded():
    target = ScriptedTarget(straight)
    one(target, queries=60)
    assert len(target.requests) <= 4 * 60


def test_it_asks_the_same_again():
    first, second = ScriptedTarget(straight), ScriptedTarget(straight)
    assert one(first, queries=100) == one(second, queries=100)
    assert first.requests == second.requests


def test_a_budget_that_ends_is_told_and_what_there_is_is_kept():
    asked = 0

    def answers(request):
        nonlocal asked
        asked += 1
        if asked > 350:
            raise BudgetError("the budget of 350 requests is used up")
        return straight(request)

    result = one(answers, largest_change=0.4)
    assert result.error == "the budget of 350 requests is used up"
    assert len(result.attempts) == 1
