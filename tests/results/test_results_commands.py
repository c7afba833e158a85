"""What a CI system would take for a command never reaches its log from scanned text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.printable import printable, uncommanded
from tavo.results.export.json import run_to_json
from tavo.results.export.sarif import run_to_sarif
from tavo.results.export.text import run_to_lines
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tests.fakes.results import EVAL_RULE, finding_of, location, replace, stored_run, taint_finding

ATTACKS = (Path(__file__).parents[1] / "attacks/reports/commands.txt").read_text("utf-8")


def is_command(line: str) -> bool:
    """Tell whether GitHub, Azure or TeamCity would run a line of a log."""
    text = line.strip()
    known = re.search(r"##(vso|teamcity)?\[|##teamcity\[", text, re.I)
    return bool(known) or bool(re.match(r"::[a-z-]+.*?::", text))


def test_some_attacks_are_commands() -> None:
    assert sum(map(is_command, ATTACKS.splitlines())) >= 8


@pytest.mark.parametrize("attack", ATTACKS.splitlines())
def test_no_report_on_standard_output_holds_a_command(attack: str) -> None:
    rule = replace(EVAL_RULE, title=attack, help=f"{attack}\n{attack}")
    where = location(attack.strip().strip("/"), 1, 2, 3, f"{attack}\n{attack}")
    step = replace(taint_finding().finding.flow[0], location=where, message=attack)
    one = Reported(
        rule=rule, tool="acme/x",
        finding=finding_of(rule, where, f"{attack}\n{attack}", flow=(step, step)),
    )  # fmt: skip
    store = ResultStore()
    run_id = stored_run(store, [one], [Notice(kind="file", subject=attack, reason=attack)])
    run = store.run(run_id)
    for width in (24, 60, 100):
        for verbose in (False, True):
            for line in run_to_lines(run, [one], width=width, verbose=verbose):
                assert not is_command("".join(text for _, text in line))
    for text in (run_to_json(run, [one]), run_to_sarif(run, [one])):
        assert not [line for line in text.splitlines() if is_command(line)]
        assert json.dumps(attack) in json.dumps(json.loads(text)), "a reader gets it as it was"


@given(st.text(st.sampled_from("#[:vso ]a"), max_size=30))
def test_no_combination_of_signs_is_a_command(text: str) -> None:
    assert not is_command(uncommanded(printable(text)))
    if "##" not in text:
        assert printable(text) == text
