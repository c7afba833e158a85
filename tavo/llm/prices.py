"""What models cost: prices by model or pattern, and what an answer comes to.

Units: US dollars, prices for a million tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Money", "Price", "amount", "price_of"]

Money = Annotated[float, Meta(ge=0, le=1e12)]


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


def amount(price: Price | None, tokens_in: int, tokens_out: int, cached: int = 0) -> float:
    """Return what an answer costs in US dollars; nothing where there is no price."""
    if price is None:
        return 0.0
    cached = min(cached, tokens_in)
    per_cached = price.cached if price.cached is not None else price.input
    total = (tokens_in - cached) * price.input + cached * per_cached + tokens_out * price.output
    return total / 1_000_000
