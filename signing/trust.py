"""The decisions about versions and time, as values: no clock, no file, no network.

Rules this module keeps:
- a version once accepted is a floor for ever, also across restarts and, through floors that
  travel with the program, on a new machine; a floor falls only when the role's keys were rotated,
  so that a stolen key cannot lock us out with a huge version (TUF specification, 5.3.11);
- the reference time is the largest of the system clock, the newest accepted signed issue time,
  and the build time: a clock set back revives nothing that was expired;
- an issue time is stored only if it is at most a day ahead of the system clock: neither a stolen
  key nor one wrong moment can push the reference time into the far future;
- metadata that has expired is used only as long as a policy of the site says, never beyond, and
  what is used so says it (`Stale`); the root and the list of releases must always hold.

Units: times UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from signing.errors import ExpiredError, RollbackError, VerificationError
from signing.roles import LONGEST_LIFE, format_time, parse_time

if TYPE_CHECKING:
    from signing.log import SeenLog

__all__ = [
    "FIRM_ROLES",
    "NO_GRACE",
    "Floor",
    "Period",
    "Stale",
    "TrustState",
    "check_floors",
    "check_period",
    "clock_sentence",
    "may_store_issue_time",
    "reference_time",
    "set_back_sentence",
    "stale_by",
]

FIRM_ROLES = frozenset({"root", "releases"})
"""Roles whose metadata is never used after it expired, whatever a policy says."""

NO_GRACE = timedelta(0)
_MOST_AHEAD = timedelta(days=1)
_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Floor:
    """The newest accepted version of a role, and which keys signed for the role then."""

    version: int
    keys: str


@dataclass(frozen=True, slots=True)
class Period:
    """When metadata was signed and when it expires."""

    issued: datetime
    expires: datetime


class Stale(NamedTuple):
    """Expired metadata that a policy of the site still allows; `days` begun since the expiry."""

    role: str
    expires: datetime
    days: int
    allowed: int

    @property
    def sentence(self) -> str:
        """Return the line that each use of it prints."""
        return (
            f"STALE: {self.role} metadata expired {format_time(self.expires)},"
            f" {self.days} day{'s' * (self.days != 1)} ago; the policy of this site allows"
            f" {self.allowed}. Recalls and withdrawals since then are not known here."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {**self._asdict(), "expires": format_time(self.expires)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustState:
    """What a machine remembers about one repository. An empty state knows no repository yet.

    `grace` is how long its site lets it use metadata that expired; it is asked for anew each time,
    and not kept. `log` is what was seen of its log of releases; the state of an earlier tavo has
    none.
    """

    repository: str = ""
    floors: Mapping[str, Floor] = field(default_factory=dict)
    newest_issued: datetime | None = None
    grace: timedelta = NO_GRACE
    log: SeenLog | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {
            "repository": self.repository,
            "floors": {role: [floor.version, floor.keys] for role, floor in self.floors.items()},
            "newest_issued": self.newest_issued and format_time(self.newest_issued),
            "log": self.log and self.log.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrustState:
        """Read `to_dict`'s form. Raises VerificationError for any other."""
        try:
            newest = value["newest_issued"]
            return cls(
                repository=str(value["repository"]),
                floors={
                    str(role): Floor(_version(version), str(keys))
                    for role, (version, keys) in value["floors"].items()
                },
                newest_issued=None if newest is None else parse_time(newest),
                log=_log_of(value.get("log")),
            )
        except (KeyError, TypeError, ValueError, AttributeError, VerificationError) as error:
            raise VerificationError(
                f"the stored trust state cannot be read: {error!s:.120}",
                hint="Restore tavo's state folder from a backup.",
            ) from None

    def union(self, other: TrustState) -> TrustState:
        """Return the stricter of two states, such as this machine's and the program's own.

        Where the keys of a role differ, the state with the newer root (then the newer targets)
        speaks for the role. Raises VerificationError if they are of different repositories.
        """
        if not self.repository or not other.repository:
            return self if self.repository else other
        _same_repository(self.repository, other.repository)
        newer, older = (self, other) if _age(self) >= _age(other) else (other, self)
        floors = {**older.floors, **newer.floors}
        for role, floor in older.floors.items():
            if role == "root" or floor.keys == floors[role].keys:
                floors[role] = max(floors[role], floor, key=lambda item: item.version)
        same = newer.timestamp_keys == older.timestamp_keys
        states = (newer, older) if same else (newer,)
        issued = [state.newest_issued for state in states if state.newest_issued is not None]
        return replace(
            self,
            repository=self.repository,
            floors=floors,
            newest_issued=max(issued, default=None),
        )

    @property
    def timestamp_keys(self) -> str:
        """Return which keys signed the newest accepted timestamp, empty if none."""
        floor = self.floors.get("timestamp")
        return floor.keys if floor else ""

    def issued_by(self, timestamp_keys: str) -> datetime | None:
        """Return the newest accepted issue time, None if these are other keys.

        Rotating the timestamp keys is the way out for a machine that once stored a time signed
        by a thief while its own clock was wrong.
        """
        return self.newest_issued if timestamp_keys == self.timestamp_keys else None

    def advance(
        self,
        repository: str,
        seen: Mapping[str, Floor],
        timestamp: Period,
        *,
        now: datetime,
        log: SeenLog | None = None,
    ) -> TrustState:
        """Return the state after accepting what `check_floors` let through."""
        newest = self.issued_by(seen["timestamp"].keys)
        if may_store_issue_time(timestamp, "timestamp", now=now):
            newest = max(filter(None, (newest, timestamp.issued)))
        return replace(
            self,
            repository=repository,
            floors={**self.floors, **seen},
            newest_issued=newest,
            log=log,
        )


def reference_time(
    *, now: datetime, newest_issued: datetime | None, build_time: datetime | None
) -> datetime:
    """Return the time at which expiry is judged."""
    known = [time for time in (now, newest_issued, build_time) if time is not None]
    if any(time.tzinfo is None for time in known):
        raise ValueError("a time without a time zone")
    return max(known)


def may_store_issue_time(period: Period, role: str, *, now: datetime) -> bool:
    """Say whether a signed issue time may raise the reference time from now on."""
    return (
        period.issued <= period.expires <= period.issued + LONGEST_LIFE[role]
        and period.issued <= now + _MOST_AHEAD
    )


def stale_by(
    periods: Mapping[str, datetime], reference: datetime, grace: timedelta, where: str
) -> Stale | None:
    """Judge when roles expire; return what is used only by the site's grace, None if all hold.

    Raises ExpiredError for what is past its grace, and for a firm role that has expired at all.
    """
    role, expires = min(periods.items(), key=lambda item: item[1])
    for name, end in sorted(periods.items(), key=lambda item: item[1]):
        allowed = NO_GRACE if name in FIRM_ROLES else grace
        if reference >= end + allowed:
            more = f", and the policy of this site allows {allowed.days} days" if allowed else ""
            raise ExpiredError(
                f"{where}: {name} metadata expired {format_time(end)} (now"
                f" {format_time(reference)}{more})",
                hint="Refresh it from a mirror, or check this machine's clock.",
            )
    if reference < expires:
        return None
    return Stale(role, expires, (reference - expires).days + 1, grace.days)


def set_back_sentence(accepted: datetime, now: datetime) -> str:
    """Return a line for the user if the clock says less than when a catalog was accepted."""
    if now >= accepted - _CLOCKS_DIFFER:
        return ""
    return (
        f"This machine's clock was set back: it says {format_time(now)}, and a catalog was accepted"
        f" here at {format_time(accepted)}. Set the clock, or see `tavo trust clock`."
    )


def clock_sentence(issued: datetime, now: datetime) -> str:
    """Return a line for the user if signed metadata shows that the system clock is behind."""
    if issued <= now + _MOST_AHEAD:
        return ""
    return (
        f"This machine's clock says {now:%Y-%m-%d}, but metadata signed {issued:%Y-%m-%d} was "
        "found: check the clock, expiry cannot be judged well. `tavo trust clock` says more."
    )


def check_period(period: Period, role: str, where: str) -> None:
    """Refuse metadata that lives longer than its role allows. Raises VerificationError."""
    longest = LONGEST_LIFE[role]
    if not period.issued <= period.expires <= period.issued + longest:
        raise VerificationError(
            f"{where}: issued {format_time(period.issued)} and expires "
            f"{format_time(period.expires)}; {role} metadata may live at most {longest.days} days",
            hint="Do not use this repository until its operator has explained this.",
        )


def check_floors(state: TrustState, repository: str, seen: Mapping[str, Floor], where: str) -> None:
    """Refuse anything older than what was accepted before.

    Raises RollbackError, or VerificationError if the state is of another repository.
    """
    if state.repository:
        _same_repository(state.repository, repository)
    for role, floor in state.floors.items():
        found = seen.get(role)
        if found is None or found.version >= floor.version:
            continue
        if role == "root" or found.keys == floor.keys:
            raise RollbackError(
                f"{where}: {role} metadata is version {found.version}, but version "
                f"{floor.version} was accepted before",
                hint="This copy is older than what this machine or this file of tavo has seen: "
                "update the mirror.",
            )


def _same_repository(expected: str, found: str) -> None:
    if expected != found:
        raise VerificationError(
            f"the stored trust state is of repository {expected:.12}, found {found:.12}",
            hint="Keep one trust state per repository.",
        )


def _age(state: TrustState) -> tuple[int, int]:
    none = Floor(0, "")
    return state.floors.get("root", none).version, state.floors.get("targets", none).version


def _log_of(value: Mapping[str, Any] | None) -> SeenLog | None:
    if value is None:
        return None
    from signing.log import SeenLog

    return SeenLog.from_dict(value)


def _version(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r:.20} is not a version")
    return value
