"""Rotated parts of a log are looked at in the order of time, and sequences go on across them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tavo.logs.engine import analyze
from tavo.logs.mapping import readers
from tavo.logs.sigma.rules import load_rules
from tavo.logs.sources import find_sources, is_log

NAMES = ["app.log", "app.log.1", "app.log.10.gz", "app.log.2.gz", "audit.log", "audit.log-20261126",
         "audit.log-20261127.gz", "web.log", "web.log.2026-11-26", "web.log.2026-11-27",
         "z.log.old", "z.log"]  # fmt: skip
RULES = """title: Fails
name: fails
logsource: {product: genai}
detection:
  s: {outcome: failure}
  condition: s
---
title: Many failures
name: many
correlation:
  type: event_count
  rules: [fails]
  group-by: [user.id]
  timespan: 10m
  condition: {gte: 4}
---
title: Last words
name: words
logsource: {product: genai}
detection:
  s: {gen_ai.prompt|contains: at last}
  condition: s
---
title: Failures, then the words
name: then
correlation:
  type: temporal_ordered
  rules: [fails, words]
  group-by: [user.id]
  timespan: 10m
"""


def named(given: list[str]) -> list[str]:
    return [source.name for source in find_sources(given, Path.cwd())[0]]


@pytest.mark.parametrize("given", [["."], ["*.log*"], NAMES, NAMES[::-1]])
def test_parts_come_in_the_order_of_time(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        Path(name).write_bytes(gzip.compress(b"x\n") if name.endswith("gz") else b"x\n")
    found = named(given)
    assert [one for one in found if one.startswith("app")] == [
        "app.log.10.gz", "app.log.2.gz", "app.log.1", "app.log"]  # fmt: skip
    assert [one for one in found if one.startswith("audit")] == [
        "audit.log-20261126", "audit.log-20261127.gz", "audit.log"]  # fmt: skip
    assert [one for one in found if one.startswith("web")] == [
        "web.log.2026-11-26", "web.log.2026-11-27", "web.log"]  # fmt: skip
    assert [one for one in found if one.startswith("z")] == ["z.log.old", "z.log"]


def test_logs_of_one_name_in_two_folders_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/app.log", "a/app.log.1", "b/app.log", "b/app.log.1"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("x\n")
    assert named(["."]) == ["a/app.log.1", "a/app.log", "b/app.log.1", "b/app.log"]


@pytest.mark.parametrize(
    ("name", "known"),
    [("app.log.1", True), ("access.log-20261128.gz", True), ("app.jsonl.2026-11-28", True),
     ("app.log.old", True), ("photo.1", False), ("notes.old", False), ("core.123", False)],
)  # fmt: skip
def test_names_of_logs_in_a_folder(name: str, known: bool) -> None:
    assert is_log(name) is known


def line(minute: int, prompt: str = "x") -> str:
    return json.dumps({"timestamp": f"2026-11-28T10:{minute:02}:00Z", "user_id": "eve",
                       "status": ["ok", "failed"][prompt == "x"], "prompt": prompt})  # fmt: skip


@pytest.mark.parametrize("given", [".", "app.log*"])
def test_a_sequence_goes_on_across_the_border(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.log.2.gz").write_bytes(gzip.compress(f"{line(0)}\n{line(1)}\n".encode()))
    Path("app.log.1").write_text(f"{line(2)}\n")
    Path("app.log").write_text(f"{line(3)}\n{line(4, 'at last')}\n")
    Path("rules.yml").write_text(RULES)
    sources, _ = find_sources([given], Path.cwd())
    loaded = load_rules([Path("rules.yml")])
    assert loaded.problems == []
    out = analyze(sources, list(loaded.rules.values()), readers().values(), unusual=False)
    [many] = out.incidents.of_rule("many")
    assert [(place.source, place.line) for place in many.places] == [
        ("app.log.2.gz", 1), ("app.log.2.gz", 2), ("app.log.1", 1), ("app.log", 1)]  # fmt: skip
    assert len(out.incidents.of_rule("then")) == 1
