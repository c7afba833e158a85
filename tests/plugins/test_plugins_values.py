"""The values of the plugin API are frozen, keyword-only, and refuse what cannot be."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

import tavo.plugins as api
from tavo.plugins import (
    Analysis,
    AttackResult,
    Attempt,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Decision,
    Event,
    FilterResult,
    Severity,
    Target,
)

HELLO = ChatMessage(role="user", content="hello")
REQUEST = ChatRequest(messages=(HELLO,))

GOOD: dict[type, dict[str, Any]] = {
    ChatMessage: {"role": "user", "content": "hello"},
    ChatRequest: {"messages": (HELLO,), "parameters": {"temperature": 0.5, "stop": ["a"]}},
    ChatResponse: {"request": REQUEST, "messages": (HELLO,)},
    FilterResult: {"decision": Decision.BLOCK, "reason": "a secret"},
    Target: {"name": "shop", "send": lambda request: None},
    Attempt: {"prompt": "do it", "outputs": ("no",), "score": 0.25},
    AttackResult: {
        "rule_id": "jailbreak", "goal": "leak", "severity": Severity.HIGH, "score": 1.0,
    },
    Event: {"time": datetime(2026, 1, 1, tzinfo=UTC), "source": "a.log", "number": 1},
    Analysis: {"metrics": {"events": 3}},
}  # fmt: skip

BAD = [
    (ChatMessage, {"role": "root"}),
    (ChatMessage, {"content": None}),
    (ChatRequest, {"messages": ()}),
    (ChatRequest, {"messages": [HELLO]}),
    (ChatRequest, {"parameters": {"x": float("nan")}}),
    (ChatRequest, {"parameters": {1: "x"}}),
    (ChatRequest, {"parameters": {"x": object()}}),
    (ChatResponse, {"request": None}),
    (FilterResult, {"decision": "block"}),
    (FilterResult, {"reason": " "}),
    (FilterResult, {"decision": Decision.MODIFY}),
    (FilterResult, {"replacement": (HELLO,)}),
    (Target, {"name": ""}),
    (Target, {"send": "http://example.com"}),
    (Attempt, {"score": 1.5}),
    (Attempt, {"score": True}),
    (Attempt, {"outputs": "no"}),
    (AttackResult, {"goal": ""}),
    (AttackResult, {"score": float("nan")}),
    (AttackResult, {"severity": "high"}),
    (Event, {"time": datetime(2026, 1, 1)}),  # noqa: DTZ001
    (Event, {"number": 0}),
    (Event, {"fields": {"x": {1, 2}.__iter__}}),
    (Analysis, {"findings": [1]}),
    (Analysis, {"metrics": {"x": float("inf")}}),
    (Analysis, {"metrics": {"x": "1"}}),
]


@pytest.mark.parametrize("cls", GOOD, ids=lambda cls: cls.__name__)
def test_good_values_are_made_and_cannot_change(cls: type) -> None:
    value = cls(**GOOD[cls])
    first = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, first, None)
    assert not hasattr(value, "__dict__")
    with pytest.raises(TypeError):
        cls(*GOOD[cls].values())


@pytest.mark.parametrize(("cls", "change"), BAD, ids=lambda x: getattr(x, "__name__", str(x)[:40]))
def test_values_that_cannot_be_are_refused(cls: type, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        cls(**{**GOOD[cls], **change})


def test_nested_parameters_are_bounded_and_copied() -> None:
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ValueError, match="nested"):
        ChatRequest(messages=(HELLO,), parameters={"x": deep})
    given = {"stop": ["a"]}
    request = ChatRequest(messages=(HELLO,), parameters=given)
    given["stop"].append("b")
    assert request.parameters == {"stop": ["a"]}


def test_the_other_interfaces_are_abstract_and_static_plugins_find_nothing_by_default() -> None:
    for cls in (api.DynamicTestingPlugin, api.ProxyFilteringPlugin, api.LogAnalysisPlugin):
        with pytest.raises(TypeError, match="abstract"):
            cls()
    plugin = api.StaticAnalysisPlugin()
    assert list(plugin.analyze_project([])) == []
    assert plugin.languages == frozenset()


def test_the_context_refuses_http(tmp_path: Any) -> None:
    context = api.Context(config={"a": 1}, work_directory=tmp_path)
    with pytest.raises(api.NotAvailableError, match="no host here"):
        context.http("GET", "https://example.com")
