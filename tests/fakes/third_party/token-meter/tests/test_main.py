from main import TokenMeter

from tavo.plugins.testing import analyze, event


def test_whoever_passes_the_budget_is_named_once():
    events = [event("x", number=n, user="eve", tokens=60) for n in (1, 2, 3)]
    found = analyze(TokenMeter, events, config={"budget": 100})
    (finding,) = found.findings
    assert finding.location.region.start_line == 2
    assert found.metrics == {"tokens": 180}


def test_what_is_no_number_is_left_out():
    events = [
        event("x", number=1, user="eve", tokens="60"),
        event("x", number=2, user=["a"], tokens=1),
    ]
    assert analyze(TokenMeter, events).metrics == {"tokens": 0}
