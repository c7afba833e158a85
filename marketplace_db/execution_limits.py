"""What the operator lets others run: `[execution]` of market.toml. Without it nothing is run.

Units: seconds, MB of 10^6 bytes, days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from marketplace_db.prices import PriceList

__all__ = ["ExecutionLimits", "OrganizationLimits"]


class OrganizationLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one organisation may have: waiting and running at once, by day, by month.

    0 for `cpu_s_per_month` and `cost_per_month`, in the currency, means that there is no end.
    """

    waiting: Annotated[int, Meta(ge=1, le=100_000)] = 20
    running: Annotated[int, Meta(ge=1, le=64)] = 1
    per_day: Annotated[int, Meta(ge=1, le=10_000_000)] = 1000
    cpu_s_per_month: Annotated[float, Meta(ge=0)] = 0
    cost_per_month: Annotated[float, Meta(ge=0)] = 0


class ExecutionLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether others may run plugins here, how many at once, and how much each run may use."""

    enabled: bool = False
    at_once: Annotated[int, Meta(ge=1, le=64)] = 1
    waiting: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    result_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    result_mb: Annotated[float, Meta(gt=0, le=4)] = 2
    memory_mb: Annotated[int, Meta(ge=64, le=65536)] = 512
    cpu_s: Annotated[int, Meta(ge=1, le=86400)] = 120
    wall_s: Annotated[int, Meta(ge=1, le=86400)] = 900
    output_mb: Annotated[int, Meta(ge=1, le=64)] = 4
    requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 500
    tokens: Annotated[int, Meta(ge=0)] = 0
    network_mb: Annotated[float, Meta(gt=0, le=100_000)] = 64
    limits: OrganizationLimits = OrganizationLimits()
    organizations: Mapping[str, OrganizationLimits] = {}
    prices: PriceList = PriceList()

    def of(self, organization: str) -> OrganizationLimits:
        """Return the limits of an organisation, its own where it has some."""
        return self.organizations.get(organization, self.limits)

    @property
    def quotas(self) -> dict[str, float]:
        """Return what one run may use, as it is kept with it."""
        names = (
            "memory_mb", "cpu_s", "wall_s", "output_mb", "requests", "tokens", "network_mb",
            "result_mb",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}
