"""What goes in and comes out, and one attack; more of them: tests/examples/test_art_evasion.py."""

import json

from inputs import Answers, read_rows
from main import ArtEvasion

from tavo.plugins import BudgetError, ConfigError
from tavo.plugins.testing import attack, started


def stubborn(request):
    return "always"


def test_without_inputs_it_says_what_is_missing():
    (result,) = attack(ArtEvasion, stubborn)
    assert "`samples`" in result.error
    assert "to [0.0] the target says 'always'" in result.error
    assert result.score == 0.0


def test_a_target_that_says_nothing_is_told():
    def none_left(request):
        raise BudgetError("the budget of 1 request is used up")

    (result,) = attack(ArtEvasion, none_left)
    assert "is used up" in result.error


def test_a_line_is_found():
    def straight(request):
        x, y = json.loads(request.messages[-1].content)
        return "above" if x + y > 1.0 else "below"

    (result,) = attack(
        ArtEvasion, straight,
        config={"samples": [[0.7, 0.8]], "range": [0, 1], "largest_change": 0.26, "queries": 200},
    )  # fmt: skip
    assert result.rule_id == "art-evasion-small-change"
    assert result.score == 1.0  # 0.25 is the distance


def refusal(call, *given):
    try:
        call(*given)
    except ConfigError as error:
        return str(error)
    return ""


def test_inputs_out_of_files():
    assert read_rows("a.csv", b"x,y\n1,2\n3,4\n") == [[1.0, 2.0], [3.0, 4.0]]
    assert read_rows("a.json", b"[[[1, 2], [3, 4]]]") == [[1.0, 2.0, 3.0, 4.0]]
    made = started(ArtEvasion, {"samples": "a.csv"}, project={"a.csv": b"1,2\n"})
    assert made._rows == [[1.0, 2.0]]
    assert "no such file" in refusal(
        lambda: started(ArtEvasion, {"samples": "b.csv"}, project={"a.csv": b"1,2\n"})
    )
    for data, sentence in (
        (b"1,2\n3\n", "row 2 has 1 numbers"), (b"1,x\n", "row 1, number 2: 'x' is no number"),
        (b"[[1, NaN]]", "no number"), (b"", "1 to 10,000 rows"), (b"[1", "is not JSON"),
        (b"\xff", "is not UTF-8"), (b"[" * 5000, "is not JSON"),
    ):  # fmt: skip
        assert sentence in refusal(read_rows, "a", data), data


def test_answers():
    known = Answers(3)
    assert known.scores("cat") == [1.0, 0.0, 0.0]
    assert known.scores("dog") == [0.0, 1.0, 0.0]
    assert known.scores('"cat"') == [1.0, 0.0, 0.0]
    assert known.scores("[0.1, 0.7, 0.2]") == [0.1, 0.7, 0.2]
    assert known.scores('{"label": "dog"}') == [0.0, 1.0, 0.0]
    assert known.scores('{"a": 0.9, "b": 0.1}') == [0.9, 0.1, 0.0]
    assert known.scores("[7]") == [0.0, 0.0, 1.0]
    try:
        known.scores("a fourth")
    except ValueError as error:
        said = str(error)
    assert "more than 3 classes" in said
