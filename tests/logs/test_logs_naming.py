"""Rules that would find nothing, or everything, by mistake are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tavo.logs.sigma.rules import Rules, load_rules

HEAD = "title: A\nlogsource: {product: genai}\n"


def load(tmp_path: Path, text: str) -> Rules:
    (tmp_path / "a.yml").write_text(text)
    return load_rules([tmp_path / "a.yml"])


@pytest.mark.parametrize(
    ("field", "meant"),
    [("gen_ai.promt", "gen_ai.prompt"), ("gen_ai.Prompt", "gen_ai.prompt"),
     ("prompt", "gen_ai.prompt"),
     ("completion", "gen_ai.completion"), ("user_id", "user.id"), ("usr.id", "user.id"),
     ("gen_ai.tool.arguments", "gen_ai.tool.call.arguments"), ("mcp.method", "mcp.method.name"),
     ("gen_ai.request.model.id", "gen_ai.request.model"), ("usage.tokens", "usage.cost"),
     ("client.adress", "client.address"), ("model", "gen_ai.request.model")],
)  # fmt: skip
def test_a_misspelt_field_is_refused_with_the_right_one(
    field: str, meant: str, tmp_path: Path
) -> None:
    found = load(tmp_path, f"{HEAD}detection:\n  s: {{'{field}|contains': x}}\n  condition: s\n")
    [problem] = found.problems
    assert f"there is no field {field!r} for product genai" in problem.reason
    assert f"did you mean {meant!r}?" in problem.reason
    assert problem.rule_id == "a"
    assert not found.rules


@pytest.mark.parametrize(
    "field",
    ["metadata.requester.team", "eventSource", "cs-uri-query", "acme.score", "gen_ai.prompt"],
)
def test_names_of_raw_records_stay(field: str, tmp_path: Path) -> None:
    found = load(tmp_path, f"{HEAD}detection:\n  s: {{{field}: x}}\n  condition: s\n")
    assert found.problems == []


def test_rules_for_other_sources_name_what_they_like(tmp_path: Path) -> None:
    text = "title: A\nlogsource: {category: webserver}\n"
    found = load(tmp_path, f"{text}detection:\n  s: {{user_id: x}}\n  condition: s\n")
    assert found.problems == []


def test_every_place_of_a_name_is_looked_at(tmp_path: Path) -> None:
    for detection in ("s: [{user.id: a}, {user_id: b}]", "s: {user.id|fieldref: user_id}"):
        found = load(tmp_path, f"{HEAD}detection:\n  {detection}\n  condition: s\n")
        assert "did you mean 'user.id'?" in found.problems[0].reason


CORRELATED = """title: Base
name: base
logsource: {product: genai}
detection:
  s: {outcome: failure}
  condition: s
---
title: Many
name: many
correlation:
  type: %s
  rules: [base]
  group-by: [%s]
  timespan: 5m
  condition: {gte: 3%s}
"""


@pytest.mark.parametrize(
    ("values", "said"),
    [(("event_count", "user_id", ""), "group-by: there is no field 'user_id'"),
     (("value_count", "user.id", ", field: client.adress"),
      "condition: there is no field 'client.adress'")],
)  # fmt: skip
def test_a_correlation_by_a_misspelt_field_is_refused(
    values: tuple[str, str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.yml").write_text(CORRELATED % values)
    found = load_rules([tmp_path / "a.yml"])
    assert [one.rule_id for one in found.problems] == ["many"]
    assert said in found.problems[0].reason
    (tmp_path / "a.yml").write_text(CORRELATED % ("event_count", "user.id", ""))
    assert load_rules([tmp_path / "a.yml"]).problems == []


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    body = "detection:\n  s:\n    user.id: a\n    user.id: b\n  condition: s\n"
    [problem] = load(tmp_path, HEAD + body).problems
    assert "line 6: the key 'user.id' stands twice" in problem.reason
    same = "detection:\n  s:\n  - user.id: a\n  - user.id: b\n  condition: s\n"
    assert load(tmp_path, HEAD + same).problems == []


@pytest.mark.parametrize(
    "test", ["user.id|contains: ''", "user.id|contains:", "user.id|startswith: ''",
             "user.id|contains: [a, '']", "user.id|re: ''", "user.id|endswith|cased: ''"],
)  # fmt: skip
def test_a_text_that_everything_holds_is_refused(test: str, tmp_path: Path) -> None:
    [problem] = load(tmp_path, f"{HEAD}detection:\n  s:\n    {test}\n  condition: s\n").problems
    assert "has an empty text, which every value holds" in problem.reason


def test_an_empty_keyword_is_refused_and_an_empty_value_is_not(tmp_path: Path) -> None:
    keyword = f"{HEAD}detection:\n  s: [a, '']\n  condition: s\n"
    assert "an empty keyword" in load(tmp_path, keyword).problems[0].reason
    value = f"{HEAD}detection:\n  s: {{user.id: ''}}\n  condition: s\n"
    assert load(tmp_path, value).problems == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("title: A\nlogsource: {product: genai, category: inferance}\n%s",
      "logsource: product genai has no category 'inferance'; did you mean 'inference'?"),
     ("title: A\nlogsource: {product: genai, category: web}\n%s",
      "logsource: product genai has no category 'web', only inference, tool, mcp, gateway"),
     ("title: A\nlogsource: {product: gen-ai}\n%s", "no product 'gen-ai'; did you mean 'genai'?"),
     ("title: A\nlogsource: {product: genia}\n%s", "no product 'genia'; did you mean 'genai'?"),
     ("title: A\nlogsorce: {product: genai}\n%s", "no key 'logsorce'; did you mean 'logsource'?"),
     ("title: A\nlvel: high\nlogsource: {product: genai}\n%s", "did you mean 'level'?"),
     ("title: A\nlogsource: {product: genai}\ndetection:\n  s: {user.id|containz: a}\n"
      "  condition: s\n", "user.id: the modifier 'containz' is not supported; did you mean"
      " 'contains'?"),
     ("a: [\ndetection:\n", "is not YAML: line 3, column 1: did not find expected node content")],
)  # fmt: skip
def test_what_is_misspelt_is_named(text: str, said: str, tmp_path: Path) -> None:
    whole = text.replace("%s", "detection:\n  s: {user.id: a}\n  condition: s\n")
    [problem] = load(tmp_path, whole).problems
    assert said in problem.reason


def test_keys_that_are_none_of_ours_stay(tmp_path: Path) -> None:
    text = "references: [x]\nreference: y\nfields: [a]\nlabels: [b]\nx-team: c\nauthors: d\n"
    body = "detection:\n  s: {user.id: a}\n  condition: s\n"
    assert load(tmp_path, f"{HEAD}{text}{body}").problems == []
