"""What is typed wrong, and what is not built yet: one sentence, one next step, one code."""

from __future__ import annotations

import json

import pytest


def test_an_unknown_command_names_the_nearest(tavo) -> None:
    done = tavo("scn", ".")
    assert done.code == 2
    assert done.err == "tavo: 'scn' is not a command\n  Did you mean 'scan'?\n"


def test_without_a_command_the_help_is_shown(tavo) -> None:
    done = tavo()
    assert done.code == 2
    assert "scan" in done.out


def test_version_is_one_line(tavo) -> None:
    assert tavo("--version").out.startswith("tavo 0.")


def test_explain_says_why_and_how(tavo) -> None:
    done = tavo("explain", "llm-output-to-exec")
    assert done.code == 0
    assert "CWE-9" in done.out
    assert "# tavo: ignore[llm-output-to-exec]" in done.out


def test_explain_of_an_unknown_rule_names_the_nearest(tavo) -> None:
    done = tavo("explain", "llm-output-to-exe")
    assert done.code == 2
    assert "Did you mean llm-output-to-exec or " in done.err


def test_a_missing_option_value_is_usage(tavo) -> None:
    done = tavo("scan", ".", "--format", "pdf")
    assert done.code == 2
    assert "'pdf' is not one of" in done.err


@pytest.mark.parametrize(
    "command",
    ["market serve", "mirror serve .", "registry browse --web", "logs explore", "proxy serve"],
)
def test_a_port_that_cannot_be_is_usage(tavo, command: str) -> None:
    done = tavo(*command.split(), "--port", "70000")
    assert done.code == 2
    assert "70000 is not in the range 0<=x<=65535" in done.err


@pytest.mark.parametrize(
    "words",
    [["--json", "rules", "list"], ["rules", "--json", "list"], ["rules", "list", "--json"]],
    ids=" ".join,
)
def test_global_flags_may_stand_anywhere(tavo, words: list[str]) -> None:
    done = tavo(*words)
    assert done.code == 0
    assert json.loads(done.out)[0]["id"]


def test_what_follows_two_dashes_is_no_flag(tavo) -> None:
    done = tavo("scan", "--", "--json")
    assert done.code == 3
    assert "--json: no such file or folder" in done.err
