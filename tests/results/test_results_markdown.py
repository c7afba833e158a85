"""The Markdown report: it fits, it says what it leaves out, and foreign text makes no markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tavo.results.export.markdown import COMMENT, SUMMARY, run_to_markdown
from tavo.results.store import ResultStore
from tavo.results.values import Notice, PluginRun, Reported
from tests.fakes.results import (
    EVAL_RULE,
    NOTICES,
    PLUGIN_RUN,
    everything,
    finding_of,
    location,
    many_findings,
    replace,
    stored_run,
    taint_finding,
)
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
ATTACKS = Path(__file__).parents[1] / "attacks/reports"
HOSTILE = [
    line for name in ("markdown.txt", "markup.txt", "commands.txt")
    for line in (ATTACKS / name).read_text("utf-8").splitlines()
]  # fmt: skip
FILES = "https://github.com/ada/shop/blob/abc123/"
DIALECT = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def report(
    findings: list[Reported], notices: tuple[Notice, ...] = (), *,
    plugins: tuple[PluginRun, ...] = (PLUGIN_RUN,), finished: bool = True, files: str = FILES,
    limit: int = COMMENT,
) -> str:  # fmt: skip
    store = ResultStore()
    run_id = stored_run(store, findings, notices, plugins, exit_code=1, finished=finished)
    return run_to_markdown(store.run(run_id), store.findings(run_id), files=files, limit=limit)


def test_the_report_is_as_kept() -> None:
    check_snapshot(SNAPSHOTS / "everything.md", report(everything(), NOTICES))


def test_counts_come_first_and_then_the_worst() -> None:
    lines = report(everything()).splitlines()
    assert lines[0] == "## 🟣 tavo: 4 findings"
    assert lines[2].startswith("🟣 2 critical · 🔴 1 high · 🔵 1 info · 8 files with 21 rules")
    assert "1 ignored by comments" in lines[2]
    rows = [line for line in lines if re.match(r"\| [🟣🔴🔵]", line)]
    assert [row.split(" | ")[1] for row in rows] == ["critical", "critical", "high", "info"]


def test_a_place_links_to_its_line_where_the_address_is_known() -> None:
    text = report([taint_finding("a (1)/größe.py")])
    assert f"[`a (1)/größe.py:12:12`]({FILES}a%20%281%29/gr%C3%B6%C3%9Fe.py#L12)" in text
    assert "](" not in report([taint_finding()], files="")


def test_a_run_that_is_not_complete_is_not_called_clean() -> None:
    text = report([], NOTICES)
    assert text.startswith("## ⚠️ tavo: Not complete")
    assert "**The scan is not complete:** 5 things not looked at, see the end." in text
    assert "- `plugin acme/slow`: was stopped after 10 s" in text
    assert "it was interrupted" in report([], finished=False)
    assert report([]).startswith("## ✅ tavo: No findings"), "control"


@pytest.mark.parametrize("limit", [4_000, 20_000, COMMENT, SUMMARY])
def test_it_fits_and_says_what_was_cut(limit: int) -> None:
    findings = many_findings(5000)
    text = report(findings, NOTICES, limit=limit)
    assert len(text.encode()) <= limit
    shown = len(re.findall(r"^\| [🟣🔴🟠🟡🔵] ", text, re.M))
    assert 5 < shown <= 1000
    open_findings = sum(one.suppression is None for one in findings)
    assert f"{open_findings - shown} findings of the lowest severity" in text
    assert "not shown here" in text
    assert text.count("<details>") == text.count("</details>")
    assert "Not looked at" in text, "what was not looked at is never cut"


def test_what_fits_is_whole() -> None:
    text = report(everything(), NOTICES)
    assert "not shown here" not in text
    assert len(text) < COMMENT


def shape(text: str) -> list[str]:
    """Return the structure of a page: what everything is, without its text."""

    def kinds(tokens: list[Token]) -> list[str]:
        found = []
        for token in tokens:
            if token.type == "inline":
                found += kinds(token.children or [])
            elif token.type in ("html_block", "html_inline"):
                found.append(f"{token.type} {token.content.strip()}")
            elif token.type == "link_open":
                found.append(f"link {token.attrs['href']}")
            elif token.type not in ("text", "text_special", "softbreak"):
                found.append(token.type)
        return found

    return kinds(DIALECT.parse(text))


def texts(text: str) -> str:
    """Return all text that is no code, where GitHub looks for names to link."""

    def inside(tokens: list[Token]) -> str:
        return "\n".join(
            inside(token.children or []) if token.type == "inline"
            else token.content if token.type in ("text", "text_special") else ""
            for token in tokens
        )  # fmt: skip

    return inside(DIALECT.parse(text))


def hostile(attack: str, path: str) -> tuple[list[Reported], tuple[Notice, ...]]:
    rule = replace(EVAL_RULE, title=attack)
    where = location(path, 1, 1, 2, f"{attack}\n{attack}")
    one = Reported(
        rule=rule,
        finding=finding_of(
            rule, where, f"{attack}\n{attack}",
            flow=tuple(replace(step, location=where, message=attack)
                       for step in taint_finding().finding.flow),
        ),
    )  # fmt: skip
    return [one], (Notice(kind="file", subject=path, reason=attack),)


@pytest.mark.parametrize("attack", HOSTILE)
def test_foreign_text_makes_no_markup(attack: str) -> None:
    path = attack.strip().strip("/") or "x"
    plain = shape(report(*hostile("harmless", "harmless"), files=""))
    text = report(*hostile(attack, path), files="")
    assert shape(text) == plain
    outside = texts(text)
    assert not re.search(r"(?<!\w)@\w", outside), "a mention"
    assert not re.search(r"://\w|www\.\w|\w@\w", outside), "an address"
    assert not re.search(r"(?<!\w)#\d|GH-\d|:\w+:", outside), "a reference"
    assert not re.search(r"##[A-Za-z]*\[", text)
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    assert text.count("](") == text.count(r"\](") == 0 or "](" in attack


@pytest.mark.parametrize("attack", ["[click](https://evil.example)", "@octocat", "a | b", "<b>x"])
def test_the_attacks_would_work_without_the_guard(attack: str) -> None:
    raw = f"| x |\n|---|\n| {attack} |\n"
    assert shape(raw) != shape(raw.replace(attack, "harmless")) or "@" in texts(raw) or (
        "b" not in texts(raw)
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("a`|\\<>&*_[]()!#@:~-$\"' \n1."), min_size=1, max_size=30))
def test_no_combination_of_signs_makes_markup(text: str) -> None:
    plain = shape(report(*hostile("x", "x"), files=""))
    path = f"x{text}".replace("\n", "").strip()
    assert shape(report(*hostile(f"x{text}", path), files="")) == plain


@settings(max_examples=80, deadline=None)
@given(st.text(st.sampled_from("a`|\\<>&*_[]() x"), min_size=1, max_size=20))
def test_code_is_shown_as_it_is(text: str) -> None:
    path = f"x{text}y"
    (cell,) = [
        token.content
        for block in DIALECT.parse(report(*hostile("t", path), files=""))
        for token in block.children or []
        if token.type == "code_inline" and token.content.endswith(":1:1")
    ][:1]
    # a backslash before a bar is set apart, which is the same as one that stood apart
    shown, given = (re.sub(r"\\ (?=\|)", r"\\", one) for one in (cell, " ".join(path.split())))
    assert shown.removesuffix(":1:1") == given
