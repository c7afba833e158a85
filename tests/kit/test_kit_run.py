"""Runs on what the author names, and watching."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tavo.errors import ConfigError, InputError, UsageError
from tavo.host.local import open_local
from tavo.kit import run as kit
from tavo.kit.rehearsal import JobFailedError
from tavo.progress import Reporter
from tavo.runs.plugin_config import read_config
from tests.fakes.authors import ACCEPT, author_plugin

KEY = "sk-" + "a1B2" * 6


def test_a_static_plugin_runs_over_files(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text(f"x = 1\nkey = '{KEY}'\n")
    with open_local(author_plugin(tmp_path / "new")) as local:
        outcome = kit.run_files(
            local, [tmp_path / "src"], accept=ACCEPT, config={}, reporter=Reporter()
        )
        quiet = kit.run_files(
            local, [tmp_path / "src"], accept=ACCEPT, config={"ignore": ["a1B2"]},
            reporter=Reporter(),
        )  # fmt: skip
        with pytest.raises(ConfigError, match="list of texts"):
            kit.run_files(local, [tmp_path / "src"], accept=ACCEPT, config={"ignore": 1},
                          reporter=Reporter())  # fmt: skip
    (found,) = outcome.reported
    assert found.finding.location.region is not None
    assert found.finding.location.region.start_line == 2
    assert outcome.notices == ()
    assert quiet.reported == ()


def test_a_filter_judges_a_prompt_and_an_answer(tmp_path: Path) -> None:
    with open_local(author_plugin(tmp_path / "new", "proxy")) as local:
        judged = kit.run_filter(local, "Pay 4111 1111 1111 1111", "4111111111111111",
                                accept=ACCEPT, config={})  # fmt: skip
        assert judged.results["request"].replacement == ({"role": "user", "content": "Pay [card]"},)
        assert judged.results["response"].decision == "block"
        alone = kit.run_filter(local, "", None, accept=ACCEPT, config={})
    assert {phase: r.decision for phase, r in alone.results.items()} == {"request": "allow"}


def test_a_log_is_analysed(tmp_path: Path) -> None:
    lines = ['{"user": "eve", "finish_reason": "refusal"}'] * 5 + ["plain text", "", "[1]", "{"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    events = kit.read_events(tmp_path / "a.jsonl")
    assert [event["number"] for event in events] == [1, 2, 3, 4, 5, 6, 8, 9]
    assert events[5]["message"] == "plain text"
    with open_local(author_plugin(tmp_path / "new", "log")) as local:
        logged = kit.run_log(local, events, accept=ACCEPT, config={})
    assert [(f.path, f.line) for f in logged.findings] == [("a.jsonl", 5)]
    assert logged.metrics == {"refusals": 5}


def test_events_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    times = ["2026-05-02T00:00:00Z", "2026-05-01T00:00:00", "nonsense"]
    (tmp_path / "a").write_text("\n".join(json.dumps({"time": time}) for time in times))
    assert [event["number"] for event in kit.read_events(tmp_path / "a")] == [3, 2, 1]
    with pytest.raises(InputError):
        kit.read_events(tmp_path / "missing")


def test_an_attack_on_a_scripted_model(tmp_path: Path) -> None:
    with open_local(author_plugin(tmp_path / "new", "dynamic")) as local:
        held = kit.run_attack(local, ["No."], accept=ACCEPT, config={})
        broken = kit.run_attack(local, ["No.", "violet-harbor-1871"], accept=ACCEPT, config={})
    assert [result.score for result in held.results] == [0.0]
    assert [result.score for result in broken.results] == [1.0]
    assert (held.requests, broken.requests) == (3, 2)


def test_another_type_is_named_with_its_way(tmp_path: Path) -> None:
    with open_local(author_plugin(tmp_path / "new", "proxy")) as local:
        with pytest.raises(UsageError) as refused:
            kit.run_log(local, [], accept=ACCEPT, config={})
        assert "--prompt" in refused.value.hint


def test_a_plugin_that_fails_says_where(tmp_path: Path) -> None:
    main = (
        "from tavo.plugins import ProxyFilteringPlugin\n"
        "class Sample(ProxyFilteringPlugin):\n"
        "    def filter_request(self, request): return 1 / 0\n"
        "    def filter_response(self, response): ...\n"
    )
    with (
        open_local(author_plugin(tmp_path / "new", "proxy", main_py=main)) as local,
        pytest.raises(JobFailedError, match="ZeroDivisionError"),
    ):
        kit.run_filter(local, "x", None, accept=ACCEPT, config={})


@pytest.mark.parametrize("content", ["[1]", "{", "\udcff", '{"a": NaN'])
def test_a_configuration_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(content, errors="surrogateescape")
    with pytest.raises(ConfigError):
        read_config(tmp_path / "c.json")


def test_watching_sees_changes_new_files_and_lost_ones(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    changes = [
        lambda: (tmp_path / "a.py").write_text("22"),
        lambda: (tmp_path / ".hidden").write_text("x"),
        lambda: (tmp_path / "b.py").write_text("1"),
        lambda: (tmp_path / "b.py").unlink(),
    ]
    slept: list[float] = []

    def sleep(duration_s: float) -> None:
        slept.append(duration_s)
        if not changes:
            raise KeyboardInterrupt
        changes.pop(0)()

    rounds: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        rounds.extend(kit.watched([tmp_path], sleep=sleep))
    assert rounds == [1, 2, 3, 4]
    assert len(slept) == 5  # the hidden file was no change
