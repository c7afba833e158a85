"""Whether one more run may wait: how many do, by day and by month, against the operator's limits.

It is asked in the transaction that adds the run; what is refused says when there is room again.
Units: seconds, times UTC.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from marketplace_db.errors import QueueFullError
from marketplace_db.execution_limits import ExecutionLimits, OrganizationLimits
from marketplace_db.prices import MICRO
from signing.roles import format_time

__all__ = ["check_room"]


def check_room(
    connection: sqlite3.Connection, organization: str, limits: ExecutionLimits, now: datetime
) -> None:
    """Raise QueueFullError where no further run of an organisation may wait."""
    own = limits.of(organization)
    count = "SELECT count(*) FROM plugin_executions WHERE "
    (waiting,) = connection.execute(f"{count} state = 'waiting'").fetchone()
    if waiting >= limits.waiting:
        raise QueueFullError(f"{waiting} runs wait here already", wait_s=30, whole=True)
    (waiting,) = connection.execute(
        f"{count} state = 'waiting' AND organization = ?", (organization,)
    ).fetchone()
    if waiting >= own.waiting:
        raise QueueFullError(f"{waiting} runs of your organisation wait already", wait_s=30)
    day = format_time(now - timedelta(days=1))
    asked = connection.execute(
        "SELECT asked_at FROM plugin_executions WHERE organization = ? AND asked_at > ?"
        " ORDER BY id DESC LIMIT 1 OFFSET ?",
        (organization, day, own.per_day - 1),
    ).fetchone()
    if asked is not None:
        free = datetime.fromisoformat(asked["asked_at"]) + timedelta(days=1)
        raise QueueFullError(
            f"your organisation asked for {own.per_day} runs within a day",
            wait_s=max(1, int((free - now).total_seconds()) + 1),
        )
    if own.cpu_s_per_month or own.cost_per_month:
        _check_month(connection, organization, own, now)


def _check_month(
    connection: sqlite3.Connection, organization: str, own: OrganizationLimits, now: datetime
) -> None:
    """Raise QueueFullError where a month's time or money is used up."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    cpu_ms, spent = connection.execute(
        "SELECT coalesce(sum(cpu_ms), 0), coalesce(sum(cost_micro), 0) FROM plugin_executions"
        " WHERE organization = ? AND billed = 1 AND finished_at >= ?",
        (organization, format_time(first)),
    ).fetchone()
    most_cpu, most_cost = own.cpu_s_per_month, own.cost_per_month
    if (most_cpu and cpu_ms >= most_cpu * 1000) or (most_cost and spent >= most_cost * MICRO):
        later = (first + timedelta(days=32)).replace(day=1)
        raise QueueFullError(
            "your organisation used up what it may have in this month",
            wait_s=int((later - now).total_seconds()) + 1,
        )
