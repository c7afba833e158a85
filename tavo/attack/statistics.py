"""How often an attack works, and how sure that is: intervals for shares, also after an early stop.

Rules this module keeps:
- an interval for a number of attempts that was fixed before is Clopper and Pearson's: it holds its
  confidence for every share and every number;
- where the number of attempts depended on what came out, the interval is one that holds at every
  stop (a confidence sequence), which is wider;
- two shares are compared by Fisher's exact test; nothing is approximated by a bell curve.

Sources: Clopper and Pearson 1934; Robbins 1970 (mixture of the binomial likelihood over a uniform
share; Ville's inequality); Fisher 1935.
"""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["ALPHA", "always_valid", "clopper_pearson", "decided", "fisher"]

ALPHA = 0.05
_STEPS = 60
_CLOSE = 1e-9


def clopper_pearson(worked: int, tried: int, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the interval of a share from `worked` of `tried` attempts; (0, 1) without any."""
    _check(worked, tried)
    if not tried:
        return 0.0, 1.0
    low = 0.0
    if worked:
        low = _bisect(lambda share: _at_least(worked, tried, share) >= alpha / 2)
    high = 1.0
    if worked < tried:
        high = _bisect(lambda share: _at_least(worked + 1, tried, share) >= 1 - alpha / 2)
    return low, high


def always_valid(worked: int, tried: int, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the interval that holds whenever somebody stops looking; (0, 1) without attempts."""
    _check(worked, tried)
    if not tried:
        return 0.0, 1.0
    mixed = (
        math.lgamma(worked + 1) + math.lgamma(tried - worked + 1) - math.lgamma(tried + 2)
    )  # log of the Beta function: the likelihood averaged over all shares
    least = mixed + math.log(alpha)

    def inside(share: float) -> bool:
        return _log_likelihood(worked, tried, share) > least

    best = worked / tried
    low = 0.0 if inside(0.0) else _edge(inside, out=0.0, within=best)
    high = 1.0 if inside(1.0) else _edge(inside, out=1.0, within=best)
    return low, high


def decided(worked: int, tried: int, *, threshold: float) -> bool:
    """Tell whether more attempts cannot reasonably change on which side of `threshold` it is."""
    low, high = always_valid(worked, tried)
    return low > threshold or high < threshold


def fisher(worked: int, tried: int, worked_before: int, tried_before: int) -> float:
    """Return the two-sided probability of two shares as different as these if nothing changed."""
    _check(worked, tried)
    _check(worked_before, tried_before)
    total, every = worked + worked_before, tried + tried_before
    if not tried or not tried_before:
        return 1.0
    seen = _log_table(worked, tried, total, every)
    low, high = max(0, total - tried_before), min(total, tried)
    every_as_rare = (
        _log_table(one, tried, total, every)
        for one in range(low, high + 1)
    )  # fmt: skip
    return min(1.0, math.fsum(math.exp(one) for one in every_as_rare if one <= seen + 1e-7))


def _check(worked: int, tried: int) -> None:
    if not 0 <= worked <= tried:
        raise ValueError(f"{worked} of {tried} attempts cannot have worked")


def _at_least(worked: int, tried: int, share: float) -> float:
    """Return the probability of `worked` or more of `tried` attempts."""
    if share <= 0:
        return 0.0 if worked else 1.0
    if share >= 1:
        return 1.0
    return math.fsum(
        math.exp(_log_choose(tried, one) + _log_likelihood(one, tried, share))
        for one in range(worked, tried + 1)
    )


def _log_likelihood(worked: int, tried: int, share: float) -> float:
    failed = tried - worked
    if (share <= 0 and worked) or (share >= 1 and failed):
        return -math.inf
    return (worked * math.log(share) if worked else 0.0) + (
        failed * math.log1p(-share) if failed else 0.0
    )


def _log_choose(many: int, few: int) -> float:
    return math.lgamma(many + 1) - math.lgamma(few + 1) - math.lgamma(many - few + 1)


def _log_table(one: int, tried: int, total: int, every: int) -> float:
    return _log_choose(total, one) + _log_choose(every - total, tried - one) - _log_choose(
        every, tried
    )  # fmt: skip


def _bisect(reached: Callable[[float], bool]) -> float:
    """Return where a condition that holds from some share on begins to hold."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return (low + high) / 2


def _edge(inside: Callable[[float], bool], *, out: float, within: float) -> float:
    for _ in range(_STEPS):
        middle = (out + within) / 2
        out, within = (out, middle) if inside(middle) else (middle, within)
        if abs(out - within) < _CLOSE:
            break
    return (out + within) / 2
