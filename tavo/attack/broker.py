"""Lending a target to a dynamic plugin: a budget, a record of every exchange, no credentials.

Rules this module keeps:
- every request that reaches the target is recorded, with what came back or why nothing did;
- the budget is one for the run, whoever asks; what it does not cover is not sent, and counted, so
  that a run can say that it did not do all it was asked to;
- a target that was never reached is not waited for again and again;
- what a plugin asks is hostile: its shape and size are judged before it is sent.

Units: sizes in characters, times in seconds of the monotonic clock unless they are times of day.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from tavo.attack.targets import TargetFailedError
from tavo.host.lending import LendError
from tavo.llm.openai_chat import Usage
from tavo.llm.prices import Money, Price, amount, price_of
from tavo.plugins.plain_values import (
    request_from_plain,
    request_to_plain,
    response_to_plain,
)
from tavo.plugins.values import ChatRequest, ChatResponse
from tavo.printable import counted
from tavo.results.values import Exchange

__all__ = ["MOST_UNREACHED", "Budget", "Purse", "Reach", "SendsRequests", "TargetLender"]

_LONGEST_REQUEST = 1 << 20
_LONGEST_LENT = 4 << 20
_MOST_MESSAGES = 1024
MOST_UNREACHED = 3
"""Requests in vain after which a target that was never reached is given up."""


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run may spend on its target; 0 tokens and no cost mean that these are not limited.

    `cost` is in US dollars, by `prices` of models for a million tokens.
    """

    requests: Annotated[int, Meta(ge=1, le=10_000_000)] = 500
    tokens: Annotated[int, Meta(ge=0)] = 0
    time_s: Annotated[float, Meta(gt=0)] = 1800.0
    cost: Money = 0.0
    prices: dict[str, Price] = {}


class SendsRequests(Protocol):
    """A target, as far as an attack uses it. May be used from several threads."""

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Send one request; return the answer and the tokens. Raises TargetFailedError."""


class Purse:
    """What is left of a budget. May be shared by threads."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._ends = time.monotonic() + budget.time_s
        self._lock = threading.Lock()
        self.requests = 0
        self.tokens = 0
        self.cost = 0.0
        self._uncounted = False

    def take(self) -> None:
        """Take one request out. Raises LendError when the budget is used up."""
        with self._lock:
            if self.requests >= self._budget.requests:
                raise LendError("budget", _used_up(self._budget.requests, "request"))
            if self._budget.tokens and self.tokens >= self._budget.tokens:
                raise LendError("budget", _used_up(self._budget.tokens, "token"))
            if self._budget.tokens and self._uncounted:
                raise LendError(
                    "budget",
                    f"the budget of {counted(self._budget.tokens, 'token')} cannot be kept, for an"
                    " answer came without its tokens",
                )
            if self._budget.cost and self.cost >= self._budget.cost:
                raise LendError(
                    "budget", f"the budget of {self._budget.cost:g} US dollars is used up"
                )
            if self._budget.cost and self._uncounted:
                raise LendError(
                    "budget", "what it costs is not known, for an answer came without its tokens"
                )
            if time.monotonic() >= self._ends:
                raise LendError("budget", f"the budget of {self._budget.time_s:g} s is used up")
            self.requests += 1

    def pay(self, usage: Usage, model: str = "") -> None:
        """Note what an answer of a model cost."""
        with self._lock:
            self.tokens += sum(usage)
            self.cost += amount(price_of(self._budget.prices, model), *usage)
            self._uncounted = self._uncounted or not sum(usage)


class Reach:
    """Whether a target was ever reached, and whether it is to be given up."""

    def __init__(self) -> None:
        self._unreached = 0
        self._reached = False

    def note(self, failed: TargetFailedError | None = None) -> None:
        """Note an answer, or a failure, of which most are answers, too."""
        if failed is not None and failed.unreachable:
            self._unreached += 1
        else:
            self._reached = True

    @property
    def is_given_up(self) -> bool:
        """Whether no request has reached the target, after some tries."""
        return not self._reached and self._unreached >= MOST_UNREACHED


class TargetLender:
    """Serves `target.send` of one plugin.

    `refused` counts the requests that the budget did not cover, `refusal` says why; `given_up` says
    that the target is not asked any more, or is empty.
    """

    def __init__(
        self,
        target: SendsRequests,
        *,
        plugin: str,
        purse: Purse,
        record: Callable[[Exchange], None],
    ) -> None:
        self._target = target
        self._plugin = plugin
        self._purse = purse
        self._record = record
        self.refused = 0
        self.refusal = ""
        self.given_up = ""
        self._reach = Reach()

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Send one request to the target. Raises LendError."""
        if kind != "send":
            raise LendError("not_available", f"{kind} is not lent to this plugin")
        request = _judged(content)
        self._check_reached()
        try:
            self._purse.take()
        except LendError as refusal:
            self.refused += 1
            self.refusal = self.refusal or str(refusal)
            raise
        started, began = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
        response, error, usage = None, "", (0, 0)
        try:
            leaves_out = getattr(self._target, "leaves_out", None)
            if leaves_out is not None and (reason := leaves_out(request)):
                raise TargetFailedError(f"not sent as it is, for {reason}")
            response, usage = self._target.send(request)
        except TargetFailedError as problem:
            error = str(problem)
            self._reach.note(problem)
        else:
            self._reach.note()
        if response is not None:
            self._purse.pay(usage, getattr(self._target, "model", ""))
        plain = None if response is None else response_to_plain(response)
        self._record(
            Exchange(
                plugin=self._plugin, request=request_to_plain(request), response=plain,
                error=error, started_at=started, wall_s=time.monotonic() - began,
                prompt_tokens=usage[0], answer_tokens=usage[1],
            )
        )  # fmt: skip
        if response is None or plain is None:
            raise LendError("target", error)
        if sum(len(one.content) for one in response.messages) > _LONGEST_LENT:
            raise LendError("target", f"the answer is longer than {_LONGEST_LENT} characters")
        return plain

    def _check_reached(self) -> None:
        """Raise LendError for a target that no request has reached, after some tries."""
        if self._reach.is_given_up:
            self.given_up = f"the target was not reached {MOST_UNREACHED} times; it is given up"
            raise LendError("target", self.given_up)


def _used_up(number: int, what: str) -> str:
    return f"the budget of {counted(number, what)} is used up"


def _judged(content: dict[str, Any]) -> ChatRequest:
    """Return what the plugin asked as a request. Raises LendError."""
    try:
        request = request_from_plain(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LendError("target", f"this is no chat request: {error}") from None
    size = sum(len(one.content) for one in request.messages)
    if size > _LONGEST_REQUEST or len(request.messages) > _MOST_MESSAGES:
        raise LendError("target", f"a request of {size} characters is not sent")
    for one in request.messages:
        if any(0xD800 <= ord(char) < 0xE000 for char in one.content):
            raise LendError("target", "a message holds half a character, which no JSON can carry")
    return request
