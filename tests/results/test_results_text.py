"""The report for people: what it says, and what scanned code cannot make it say."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tavo.plugins import Location, Region, Step
from tavo.printable import printable
from tavo.results.export.text import columns_of, run_to_lines
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tests.fakes.results import (
    EVAL_RULE,
    NOTICES,
    PLUGIN_RUN,
    everything,
    finding_of,
    location,
    many_findings,
    stored_run,
    taint_finding,
)
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
HOSTILE = "\x1b]0;owned\x07\x9b2J\r\b\x00\x7f\u202e\u2066\u200b\ufeff\U000e0041\ud800"


def report(
    findings: list[Reported] | None = None,
    notices: tuple[Notice, ...] = (),
    *,
    plugins: bool = False,
    finished: bool = True,
    width: int = 100,
    verbose: bool = False,
) -> str:
    store = ResultStore()
    run_id = stored_run(
        store, findings or [], notices, [PLUGIN_RUN] if plugins else [], finished=finished
    )
    lines = run_to_lines(store.run(run_id), store.findings(run_id), width=width, verbose=verbose)
    return "".join("".join(text for _, text in line).rstrip() + "\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clean", report()),
        ("everything", report(everything(), NOTICES, plugins=True)),
        ("everything-narrow", report(everything(), NOTICES, plugins=True, width=44)),
        ("everything-verbose", report(everything(), NOTICES, plugins=True, verbose=True)),
        ("interrupted", report([taint_finding()], finished=False)),
        ("incomplete-without-findings", report(notices=NOTICES[:3])),
    ],
)
def test_the_report_is_as_kept(name: str, text: str) -> None:
    check_snapshot(SNAPSHOTS / f"{name}.txt", text)


def test_a_clean_run_is_one_line() -> None:
    text = report()
    assert text.count("\n") == 1
    assert text.startswith("No findings: 8 files with 21 rules")


@pytest.mark.parametrize("notices", [NOTICES[:1], NOTICES[3:4], NOTICES[4:5]])
def test_no_findings_is_said_only_by_a_complete_run(notices: tuple[Notice, ...]) -> None:
    text = report(notices=notices)
    assert "No findings" not in text
    assert "Not complete" in text
    assert notices[0].reason in text
    assert notices[0].subject in text
    assert "No findings" in report(notices=NOTICES[5:]), "control: a note alone is no gap"


def test_an_interrupted_run_says_so() -> None:
    assert "interrupted before its end" in report(finished=False)
    assert "No findings" not in report(finished=False)


def test_the_last_lines_name_plugins_with_their_sandbox() -> None:
    assert "tavo/model-files 1.0.0 on 2 files, sandbox L2" in report(plugins=True)


def test_files_with_one_reason_are_one_entry() -> None:
    notices = tuple(
        Notice(kind="file", subject=f"data/{n}.py", reason="binary, not source") for n in range(9)
    )
    text = report(notices=notices)
    assert text.count("binary, not source") == 1
    assert "files data/0.py, data/1.py, data/2.py, data/3.py, data/4.py and 4 more" in text


def test_many_reasons_are_cut_and_counted() -> None:
    notices = tuple(Notice(kind="file", subject=f"{n}.py", reason=f"reason {n}") for n in range(30))
    text = report(notices=notices)
    assert "and 10 more; --format json lists all" in text
    assert "Not looked at, or not in full (30):" in text


def hostile_findings() -> list[Reported]:
    where = location(f"a{HOSTILE.replace(chr(0), '')}.py", 1, 1, 9, f"eval({HOSTILE})")
    return [
        Reported(
            rule=EVAL_RULE,
            finding=finding_of(
                EVAL_RULE,
                where,
                f"message {HOSTILE}",
                evidence={"$X": HOSTILE},
                flow=(Step(location=where, message=f"step {HOSTILE}"),),
            ),
        ),
        Reported(
            rule=EVAL_RULE,
            finding=finding_of(
                EVAL_RULE, Location(path=PurePosixPath("m.pkl")), evidence={HOSTILE: HOSTILE}
            ),
        ),
    ]


def forbidden(text: str) -> set[str]:
    return {c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Cn"}}


def test_scanned_text_cannot_steer_the_terminal() -> None:
    notices = (Notice(kind="file", subject=f"x{HOSTILE}", reason=HOSTILE),)
    for verbose in (False, True):
        text = report(hostile_findings(), notices, verbose=verbose)
        assert forbidden(text) == set()
        assert "eval(" in text
    raw = hostile_findings()[0].finding.location.snippet
    assert forbidden(raw), "control: the code itself does hold such characters"


@given(st.text(max_size=80))
def test_printable_keeps_print_and_nothing_else(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable() and "##" not in text:
        assert shown == text


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=300),
    st.integers(min_value=1, max_value=300),
    st.integers(min_value=24, max_value=130),
)
@example(code="00000000⺀⺀", column=10, width=24)
def test_code_fits_the_terminal_and_shows_where(code: str, column: int, width: int) -> None:
    column = min(column, len(code))
    where = location("a.py", 1, column, column + 1, code)
    one = Reported(rule=EVAL_RULE, finding=finding_of(EVAL_RULE, where))
    store = ResultStore()
    run_id = stored_run(store, [one])
    lines = list(run_to_lines(store.run(run_id), store.findings(run_id), width=width))
    shown = [line for line in lines if line and line[0][0] == "gutter"]
    assert len(shown) == 1
    assert columns_of("".join(text for _, text in shown[0])) <= max(width, 24)
    assert any(style == "marker" and text for style, text in shown[0])


def test_long_code_of_many_lines_is_cut_by_default_and_whole_when_verbose() -> None:
    snippet = "\n".join(f"line_{n}()" for n in range(1, 9))
    where = Location(
        path=PurePosixPath("a.py"),
        region=Region(start_line=1, start_column=1, end_line=8, end_column=9),
        snippet=snippet,
    )
    one = Reported(rule=EVAL_RULE, finding=finding_of(EVAL_RULE, where))
    assert "line_3()" in report([one])
    assert "line_4()" not in report([one])
    assert "line_8()" in report([one], verbose=True)


def test_suppressed_findings_are_counted_and_listed_when_verbose() -> None:
    text = report(everything())
    assert "1 ignored by comments" in text
    assert "DEV-12" not in text
    assert "tools/calc.py:5:1 llm-output-to-exec: constant expression, see DEV-12" in report(
        everything(), verbose=True
    )


def test_what_findings_of_a_file_have_in_common_stands_once() -> None:
    items = [
        Reported(
            rule=EVAL_RULE,
            finding=finding_of(EVAL_RULE, location(path, line, 1, 9, "eval(x)"), "The same."),
        )
        for path, line in (("a.py", 1), ("a.py", 5), ("b.py", 2))
    ]
    assert report(items).count("The same.") == 2
    assert report(items, verbose=True).count("The same.") == 3


def test_a_line_of_code_stands_once() -> None:
    text = report([taint_finding()])
    assert text.count("return eval(answer.output_text)") == 1
    assert text.count("answer = client.responses.create()") == 1


def test_a_long_list_ends_with_a_count_by_rule() -> None:
    lines = report(many_findings(60)).splitlines()
    (end,) = [n for n, line in enumerate(lines) if re.fullmatch(r" +\d+  of \d+ other rules", line)]
    rows = [line.split() for line in lines[end - 10 : end]]
    assert ["2", "critical", "llm-output-to-exec"] in rows
    assert {row[1] for row in rows} == {"critical", "high"}
    assert any(line.startswith("59 findings (") for line in lines[-3:]), "this comes last"
    assert not any("other rules" in line for line in report(many_findings(20)).splitlines())
