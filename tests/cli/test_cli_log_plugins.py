"""`tavo logs analyze --log-plugins`: plugins see the events of an analysis, locked up."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SECRET = "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
MAIN = """
from pathlib import PurePosixPath
from tavo.plugins import *

R = Rule(id="r", title="R", severity=Severity.MEDIUM)

def claim(event, message):
    region = Region(start_line=event.number, end_line=event.number, end_column=1)
    location = Location(path=PurePosixPath(event.source), region=region)
    return Finding(rule_id="r", message=message, severity=Severity.MEDIUM, location=location)

class Probing(LogAnalysisPlugin):
    rules = (R,)

    def start(self, context):
        self.seen, self.wanted = [], context.config.get("refusals", 5)

    def analyze_logs(self, log_entries):
        found = []
        for event in log_entries:
            self.seen.append(event)
            BODY
        return Analysis(findings=tuple(found), metrics={"seen": len(self.seen)})

    def finish_logs(self):
        order = " ".join(event.fields["user"] for event in self.seen)
        return Analysis(findings=(claim(self.seen[-1], f"order: {order}"),))
"""


def record(user: str, minute: int, prompt: str = "hello") -> str:
    at = f"2026-01-01T00:{minute:02}:00Z"
    return json.dumps({"timestamp": at, "user": user, "prompt": prompt}) + "\n"


@pytest.fixture
def plugin(tavo: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert tavo("plugin", "init", "probing", "--type", "log", "--publisher", "acme").code == 0
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/probing")
    Path("probing/main.py").write_text(MAIN.replace("BODY", "pass"))
    return Path("probing")


def analyzed(tavo: Run, *more: str) -> tuple[int, dict[str, object], str]:
    words = [
        "logs",
        "analyze",
        "logs",
        "--log-plugins",
        "./probing",
        "--no-anomalies",
        "--json",
        *more,
    ]
    refused = tavo(*words)
    assert refused.code == 5, refused.err
    digest = refused.err.split("--accept-local ")[1].split()[0]
    assert len(digest) == hashlib.sha256().digest_size * 2
    done = tavo("-v", *words, "--accept-local", digest)
    return done.code, json.loads(done.out), done.err


def test_a_plugin_sees_all_events_in_order_and_its_findings_have_places(
    tavo: Run, plugin: Path
) -> None:
    body = """if "gen_ai.prompt" in event.fields and "key" in event.fields["gen_ai.prompt"]:
                found.append(claim(event, "a key: " + event.fields["prompt"]))"""
    (plugin / "main.py").write_text(MAIN.replace("BODY", body))
    Path("logs").mkdir()
    Path("logs/a.jsonl").write_text(record("u0", 0) + "\n" + record("u2", 2, f"key {SECRET}"))
    Path("logs/b.jsonl").write_text(record("u1", 1) + record("u3", 3))
    code, report, err = analyzed(tavo)
    assert code == 1
    mine = [one for one in report["findings"] if one["tool"] == "acme/probing"]  # type: ignore[attr-defined]
    first, last = sorted(mine, key=lambda one: one["message"])
    assert first["location"]["path"] == "logs/a.jsonl"
    assert first["location"]["region"]["start_line"] == 3
    start = len(record("u0", 0)) + 1
    size = len(record("u2", 2, f"key {SECRET}")) - 1
    assert first["evidence"]["offsets"] == f"logs/a.jsonl@{start}+{size}"
    assert SECRET not in json.dumps(report)
    assert "ghp_c" not in first["message"]
    assert "key ghp_a1" in first["message"]
    assert last["message"] == "order: u0 u1 u2 u3"
    assert last["location"]["path"] == "logs/b.jsonl"
    assert "acme/probing: seen = 4" in err
    (row,) = report["plugins"]  # type: ignore[misc]
    assert (row["files"], row["findings"], row["skipped"]) == (2, 2, 0)


def test_a_plugin_that_dies_makes_the_run_incomplete(tavo: Run, plugin: Path) -> None:
    (plugin / "main.py").write_text(MAIN.replace("BODY", "__import__('os')._exit(3)"))
    Path("logs").mkdir()
    Path("logs/a.jsonl").write_text(record("u0", 0) * 3)
    code, report, _ = analyzed(tavo)
    assert code == 4
    said = [one["reason"] for one in report["not_done"]]  # type: ignore[attr-defined]
    assert "3 events were not analysed by it" in said
    code, _, _ = analyzed(tavo, "--allow-incomplete", "acme/probing")
    assert code == 0


def test_what_the_configuration_says_reaches_it(tavo: Run, plugin: Path) -> None:
    body = 'found.append(claim(event, f"wanted: {self.wanted}"))'
    (plugin / "main.py").write_text(MAIN.replace("BODY", body))
    Path("logs").mkdir()
    Path("logs/a.jsonl").write_text(record("u0", 0))
    Path("c.yaml").write_text("acme/probing: {refusals: 9}\n")
    _, report, _ = analyzed(tavo, "--plugin-config", "c.yaml")
    assert "wanted: 9" in [one["message"] for one in report["findings"]]  # type: ignore[attr-defined]


def test_what_does_not_fit_is_refused(tavo: Run, plugin: Path) -> None:
    done = tavo("logs", "analyze", "-", "--log-plugins", "./probing")
    assert done.code == 2
    assert "cannot look at standard input" in done.err
    assert tavo("plugin", "init", "other", "--type", "static", "--publisher", "acme").code == 0
    Path("a.jsonl").write_text(record("u0", 0))
    refused = tavo("logs", "analyze", "a.jsonl", "--log-plugins", "./other")
    digest = refused.err.split("--accept-local ")[1].split()[0]
    done = tavo("logs", "analyze", "a.jsonl", "--log-plugins", "./other", "--accept-local", digest)
    assert done.code == 2
    assert "logs analyze: acme/other is a static plugin, not a log one" in done.err
    assert "--static-plugins" in done.err


def test_a_plugin_alone_is_enough_to_look_with(tavo: Run, plugin: Path) -> None:
    (plugin / "main.py").write_text(MAIN.replace("BODY", "found.append(claim(event, 'seen'))"))
    Path("logs").mkdir()
    Path("logs/a.jsonl").write_text(record("u0", 0))
    code, report, _ = analyzed(tavo, "--no-default-rules")
    assert code == 1
    assert {one["tool"] for one in report["findings"]} == {"acme/probing"}  # type: ignore[attr-defined]
