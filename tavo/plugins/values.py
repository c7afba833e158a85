"""The values of dynamic tests, proxy filters and log analysis.

Rules this module keeps:
- standard library only; every value is frozen, slotted, keyword-only and checks itself when made
  (`ValueError`);
- mappings are copied and hold plain JSON values: text, numbers, booleans, None, lists, mappings.

Units: scores from 0.0 (held) to 1.0 (broken), times as timezone-aware `datetime`, durations in
milliseconds.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tavo.plugins.types import Finding, Severity

__all__ = [
    "Analysis",
    "AttackResult",
    "Attempt",
    "ChatMessage",
    "ChatRequest",
    "ChatResponse",
    "Decision",
    "Event",
    "FilterResult",
    "HttpResponse",
    "ProgramResult",
    "Target",
]  # fmt: skip

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One message of a conversation; `role` is system, developer, user, assistant or tool."""

    role: str
    content: str
    name: str = ""

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValueError(f"message: role {self.role!r} is none of {', '.join(sorted(_ROLES))}")
        _check_text(self.content, "message: content")
        _check_text(self.name, "message: name")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a client asks of a model, in one form for all providers."""

    messages: tuple[ChatMessage, ...]
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""

    def __post_init__(self) -> None:
        _check_tuple(self.messages, ChatMessage, "request: messages")
        if not self.messages:
            raise ValueError("request: holds no message")
        _check_text(self.model, "request: model")
        _check_text(self.user, "request: user")
        object.__setattr__(self, "parameters", _plain_mapping(self.parameters, "request"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """What the model answered; `request` is what was asked."""

    request: ChatRequest
    messages: tuple[ChatMessage, ...]
    finish_reason: str = ""

    def __post_init__(self) -> None:
        _check_type(self.request, ChatRequest, "response: request")
        _check_tuple(self.messages, ChatMessage, "response: messages")
        _check_text(self.finish_reason, "response: finish_reason")


class Decision(enum.Enum):
    """What a filter says about one message."""

    ALLOW = "allow"
    MODIFY = "modify"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterResult:
    """A filter's answer: `replacement` holds the new messages for `MODIFY`, and only then."""

    decision: Decision
    reason: str = ""
    replacement: tuple[ChatMessage, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_type(self.decision, Decision, "filter result: decision")
        _check_text(self.reason, "filter result: reason")
        _check_tuple(self.replacement, ChatMessage, "filter result: replacement")
        _check_tuple(self.labels, str, "filter result: labels")
        if (self.decision is Decision.MODIFY) != bool(self.replacement):
            raise ValueError("filter result: MODIFY, and only MODIFY, has replacement messages")
        if self.decision is not Decision.ALLOW and not self.reason.strip():
            raise ValueError(f"filter result: {self.decision.name} needs a reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The system under a dynamic test. `send` is lent by the host; a plugin has no network."""

    name: str
    send: Callable[[ChatRequest], ChatResponse]
    model: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError("target: the name is empty")
        if not callable(self.send):
            raise ValueError("target: send cannot be called")
        _check_text(self.model, "target: model")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What a declared host answered to `Context.http`; the names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramResult:
    """How a program ended that `Context.run` started; the exit code is negative for a signal."""

    code: int
    out: bytes
    errors: str

    @property
    def text(self) -> str:
        """Return the output as text; what is not UTF-8 is replaced."""
        return self.out.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One prompt of an attack, what came back, and how far it got."""

    prompt: str
    outputs: tuple[str, ...]
    score: float

    def __post_init__(self) -> None:
        _check_text(self.prompt, "attempt: prompt")
        _check_tuple(self.outputs, str, "attempt: outputs")
        _check_score(self.score, "attempt: score")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackResult:
    """All attempts at one goal. The attack worked when `score` reaches the plugin's threshold."""

    rule_id: str
    goal: str
    severity: Severity
    score: float
    attempts: tuple[Attempt, ...] = ()
    error: str = ""

    def __post_init__(self) -> None:
        for name in ("rule_id", "goal"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"attack result: {name} is empty")
        _check_type(self.severity, Severity, "attack result: severity")
        _check_score(self.score, "attack result: score")
        _check_tuple(self.attempts, Attempt, "attack result: attempts")
        _check_text(self.error, "attack result: error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One normalised log record; `number` is its position in `source`, from 1."""

    time: datetime
    source: str
    number: int
    message: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_type(self.time, datetime, "event: time")
        if self.time.tzinfo is None:
            raise ValueError("event: time has no time zone")
        _check_text(self.source, "event: source")
        _check_text(self.message, "event: message")
        if not isinstance(self.number, int) or isinstance(self.number, bool) or self.number < 1:
            raise ValueError(f"event: number is {self.number!r}, expected a whole number from 1")
        object.__setattr__(self, "fields", _plain_mapping(self.fields, "event"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a log plugin makes of a batch of events: findings and figures by name."""

    findings: tuple[Finding, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_tuple(self.findings, Finding, "analysis: findings")
        for name, value in self.metrics.items():
            _check_text(name, "analysis: the name of a metric")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"analysis: metric {name} is {value!r}, expected a number")
            if not math.isfinite(value):
                raise ValueError(f"analysis: metric {name} is {value!r}, expected a finite number")
        object.__setattr__(self, "metrics", dict(self.metrics))


def _check_type(value: object, expected: type, what: str) -> None:
    if not isinstance(value, expected):
        raise ValueError(f"{what} is {value!r}, expected a {expected.__name__}")


def _check_text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r}, expected text")


def _check_tuple(value: object, expected: type, what: str) -> None:
    if not isinstance(value, tuple):
        raise ValueError(f"{what} is a {type(value).__name__}, expected a tuple")
    for entry in value:
        _check_type(entry, expected, what)


def _check_score(value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{what} is {value!r}, expected a number from 0.0 to 1.0")


def _plain_mapping(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    copied = _plain(value, what, depth=0)
    if not isinstance(copied, dict):
        raise ValueError(f"{what}: expected a mapping, found a {type(value).__name__}")
    return copied


def _plain(value: object, what: str, *, depth: int) -> object:
    """Return a copy that holds only plain JSON values."""
    if depth > 32:
        raise ValueError(f"{what}: values are nested deeper than 32 levels")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{what}: {value!r} is not a finite number")
        return value
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            raise ValueError(f"{what}: a key is not text")
        return {key: _plain(entry, what, depth=depth + 1) for key, entry in value.items()}
    if isinstance(value, Sequence | Iterable) and not isinstance(value, bytes | bytearray):
        return [_plain(entry, what, depth=depth + 1) for entry in value]
    raise ValueError(f"{what}: {value!r} is not a plain value")
