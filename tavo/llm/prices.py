"""What models cost: prices by model or pattern, and what an answer comes to.

Units: US dollars, prices for a million tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Money", "Price", "Prices", "amount", "price_of"]

Money = Annotated[float, Meta(ge=0, le=1e12)]
_MOST = 1024


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of one model or pattern, in US dollars for a million tokens."""

    input: Money = 0.0
    output: Money = 0.0
    cached: Money | None = None


def price_of(prices: Mapping[str, Price], model: str) -> Price | None:
    """Return the price of a model: the longest name or pattern that fits."""
    price = prices.get(model)
    if price is None:
        fitting = [name for name in prices if fnmatchcase(model[:256], name)]
        price = prices[max(fitting, key=len)] if fitting else None
    return price


class Prices:
    """Prices by names or patterns of models, which are gone through once for each model."""

    def __init__(self, given: Mapping[str, Price]) -> None:
        self._given = given
        self._found: dict[str, Price | None] = {}

    def of(self, model: str) -> Price | None:
        """Return the price of a model, as `price_of`."""
        try:
            return self._found[model]
        except KeyError:
            if len(self._found) >= _MOST:
                self._found.clear()
            price = self._found[model] = price_of(self._given, model)
            return price


def amount(price: Price | None, tokens_in: int, tokens_out: int, cached: int = 0) -> float:
    """Return what an answer costs in US dollars; nothing where there is no price."""
    if price is None:
        return 0.0
    if not cached:
        return (tokens_in * price.input + tokens_out * price.output) / 1_000_000
    cached = min(cached, tokens_in)
    per_cached = price.cached if price.cached is not None else price.input
    total = (tokens_in - cached) * price.input + cached * per_cached + tokens_out * price.output
    return total / 1_000_000
