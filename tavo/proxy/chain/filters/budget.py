"""How much each client may use: requests, tokens and money in a window of time.

Settings: `requests`, `tokens`, `cost`, each for `window_s` (3600); `prices`: a mapping from a model
(or `*`) to a pair, the price of a million tokens asked and answered.

What a request may use at most is reserved before it is sent, and what it did use counts at its end:
many requests at once do not get past a budget together.
"""

from __future__ import annotations

import fnmatch
from collections import OrderedDict, deque
from typing import Any, ClassVar

from tavo.llm.parts import Usage
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Asked, Judged

__all__ = ["BudgetFilter"]

_MOST_CLIENTS = 50_000
_BYTES_A_TOKEN = 4
_STEPS = 60
_ANSWER = 1024
"""Tokens that are reserved for an answer whose length the request does not bound."""


class _Used:
    """What one client used, in a window that moves in steps."""

    __slots__ = ("reserved", "steps")

    def __init__(self) -> None:
        self.steps: deque[list[float]] = deque()  # when, requests, tokens, cost
        self.reserved = [0.0, 0.0]

    def total(self, now: float, window: float) -> tuple[float, float, float]:
        while self.steps and self.steps[0][0] <= now - window:
            self.steps.popleft()
        sums = [sum(step[n] for step in self.steps) for n in (1, 2, 3)]
        return sums[0], sums[1] + self.reserved[0], sums[2] + self.reserved[1]

    def add(self, now: float, window: float, amounts: tuple[float, float, float]) -> None:
        if not self.steps or now - self.steps[-1][0] >= window / _STEPS:
            self.steps.append([now, 0.0, 0.0, 0.0])
        for number, amount in enumerate(amounts, 1):
            self.steps[-1][number] += amount


class BudgetFilter(Filter):
    """Refuses what is over a client's budget."""

    kind: ClassVar[str] = "budget"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._requests = settings.number("requests", None)
        self._tokens = settings.number("tokens", None)
        self._cost = settings.number("cost", None)
        self._window = settings.number("window_s", 3600.0, low=1.0, high=4e7) or 3600.0
        self._prices: dict[str, tuple[float, float]] = {}
        for model, pair in settings.mapping("prices").items():
            if not _is_pair(pair):
                raise settings.error(f"prices.{model}", "two numbers", pair)
            self._prices[model] = float(pair[0]), float(pair[1])
        if self._cost is not None and not self._prices:
            raise settings.error("prices", "a price for each model, because there is a cost", {})
        settings.done()
        self._clients: OrderedDict[str, _Used] = OrderedDict()

    def judge_request(self, asked: Asked) -> Judged | None:
        used = self._clients.get(asked.client)
        if used is None:
            used = self._clients[asked.client] = _Used()
            if len(self._clients) > _MOST_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(asked.client)
        price = self._price(asked.model)
        if price is None and self._cost is not None:
            return self._refused("cost", f"the model {asked.model[:80]!r} has no price")
        tokens, cost = self._most(asked)
        requests, tokens_used, cost_used = used.total(asked.now, self._window)
        for name, bound, would in (
            ("requests", self._requests, requests + 1),
            ("tokens", self._tokens, tokens_used + tokens),
            ("cost", self._cost, cost_used + cost),
        ):
            if bound is not None and would > bound:
                return self._refused(name, f"the budget of {bound:g} {name} is used up")
        used.add(asked.now, self._window, (1.0, 0.0, 0.0))
        used.reserved[0] += tokens
        used.reserved[1] += cost
        return None

    def count(self, asked: Asked, tokens: Usage, *, counted: bool) -> None:
        used = self._clients.get(asked.client)
        if used is None:
            return
        most, cost = self._most(asked)
        used.reserved[0] = max(used.reserved[0] - most, 0.0)
        used.reserved[1] = max(used.reserved[1] - cost, 0.0)
        said = tokens if counted else (asked.size // _BYTES_A_TOKEN, 0)
        real = self._cost_of(asked.model, float(said[0]), float(said[1]))
        used.add(asked.now, self._window, (0.0, float(sum(said)), real))

    def _most(self, asked: Asked) -> tuple[float, float]:
        """Return the tokens and the cost that a request may come to, by what it says itself."""
        sent = asked.size / _BYTES_A_TOKEN
        answer = 0.0 if asked.is_embedding else float(asked.max_tokens or _ANSWER)
        return sent + answer, self._cost_of(asked.model, sent, answer)

    def _price(self, model: str) -> tuple[float, float] | None:
        if model in self._prices:
            return self._prices[model]
        for pattern, price in self._prices.items():
            if fnmatch.fnmatchcase(model, pattern):
                return price
        return None

    def _cost_of(self, model: str, sent: float, answer: float) -> float:
        price = self._price(model)
        return 0.0 if price is None else (sent * price[0] + answer * price[1]) / 1e6

    def _refused(self, label: str, reason: str) -> Judged:
        return Judged(Action.BLOCK, label, f"{reason} ({self.name})", 429, "tavo_over_budget")


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
    )
