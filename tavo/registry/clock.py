"""What this machine believes about the time, and how a person corrects it.

Rules this module keeps:
- the latest of the system's clock, the time that was confirmed here, the newest signed time that
  was accepted and the build's counts: none of them can be turned back by another;
- a confirmed time counts until another one is confirmed: a wrong one locks nobody out for good;
- confirming takes back what was signed more than a day after it: the way out for a machine that
  believed a thief's time while its own clock was wrong;
- it decides on values and does no I/O.

Units: times UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from signing.errors import VerificationError
from signing.record import AcceptedRecord
from signing.roles import format_time, parse_time
from signing.trust import TrustState
from tavo.errors import UsageError
from tavo.host.state import ConfirmedTime

__all__ = ["Belief", "believe", "confirmed_now", "corrected", "read_time"]

_MOST_AHEAD = timedelta(days=1)
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class Belief(NamedTuple):
    """What is known of the time. `signed` is the newest signed time that was accepted, and
    `accepted` what the clock said when a catalog was accepted last."""

    system: datetime
    confirmed: ConfirmedTime | None
    signed: datetime | None
    accepted: datetime | None
    built: datetime | None

    @property
    def reference(self) -> datetime:
        """Return the time at which expiry is judged."""
        known = (confirmed_now(self.system, self.confirmed), self.signed, self.built)
        return max(time for time in known if time is not None)

    @property
    def behind(self) -> timedelta:
        """Return how far the system's clock is behind everything else that is known."""
        known = (time for time in (self.signed, self.accepted, self.built) if time is not None)
        return max(timedelta(0), max(known, default=self.system) - self.system)


def confirmed_now(system: datetime, confirmed: ConfirmedTime | None) -> datetime:
    """Return the system's clock, or the time that was confirmed if that is later."""
    return system if confirmed is None else max(system, parse_time(confirmed.confirmed))


def believe(
    system: datetime,
    confirmed: ConfirmedTime | None,
    trusted: Mapping[str, Mapping[str, Any]],
    built: datetime | None,
) -> Belief:
    """Collect what is known of the time from what was accepted of each repository."""
    signed: list[datetime] = []
    accepted: list[datetime] = []
    for value in trusted.values():
        if (state := value.get("state")) and (issued := TrustState.from_dict(state).newest_issued):
            signed.append(issued)
        if record := value.get("record"):
            try:
                accepted.append(AcceptedRecord.from_dict(record).accepted_at)
            except VerificationError:
                continue
    return Belief(system, confirmed, max(signed, default=None), max(accepted, default=None), built)


def corrected(
    trusted: Mapping[str, Mapping[str, Any]], time: datetime
) -> dict[str, Mapping[str, Any]]:
    """Return the repositories that were accepted more than a day after `time`, by the signed time
    or by this machine's clock, each as it is to be kept: with that time forgotten."""
    changed: dict[str, Mapping[str, Any]] = {}
    for name, value in trusted.items():
        state, record = value.get("state"), value.get("record")
        issued = TrustState.from_dict(state).newest_issued if state else None
        if issued is not None and issued > time + _MOST_AHEAD:
            changed[name] = {**value, "state": {**(state or {}), "newest_issued": None}}
        if record and parse_time(record["accepted_at"]) > time + _MOST_AHEAD:
            kept = {**record, "accepted_at": format_time(time)}
            changed[name] = {**changed.get(name, value), "record": kept}
    return changed


def read_time(text: str) -> datetime:
    """Read a time that a person typed, such as 2026-11-28 14:30 or with a T and a Z; it is UTC."""
    form = text.strip().replace("T", " ").removesuffix("Z")
    for pattern in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            time = datetime.strptime(form, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        if _EARLIEST <= time < _LATEST:
            return time
        raise UsageError(f"{format_time(time)}: expected a time from 2020 to 2099")
    raise UsageError(
        f"{text!r:.40} is no time", hint="Write it in UTC, such as '2026-11-28 14:30'."
    )
