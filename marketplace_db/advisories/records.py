"""One advisory in the format of OSV: what it says, and whether a version is affected.

Rules this module keeps:
- a record is read as it is: fields that are not needed are skipped, those that are must have their
  form; a record that cannot be read is an error with its id, never a record without effect;
- a version is affected if it is listed, or lies in a range; where that cannot be told, because the
  version or an event has no place in the order, the answer is "unclear", which is never "no".

Source: OSV schema 1.7, sections "affected" and "evaluation".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from marketplace_db.advisories.versions import EARLIEST, ECOSYSTEMS, normal_name, place
from marketplace_db.errors import AdvisoryError

__all__ = ["Advisory", "Affected", "Answer", "Event", "affects", "read_advisory"]

Answer = Literal["yes", "no", "unclear"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,120}\Z")
_EVENTS = ("introduced", "fixed", "last_affected", "limit")
_LABELS = {"LOW": "low", "MODERATE": "medium", "MEDIUM": "medium", "HIGH": "high",
           "CRITICAL": "critical"}  # fmt: skip
_LONGEST_TEXT = 500

Event = tuple[str, str]
"""The kind of an event and its version, such as ("fixed", "1.2.3")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """What an advisory says of one package: versions by name, and ranges of them."""

    ecosystem: str
    package: str
    versions: tuple[str, ...] = ()
    ranges: tuple[tuple[Event, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One advisory. `severity` is low, medium, high, critical, or empty where nobody said.

    Times are as the record has them, RFC 3339; `withdrawn` is empty for one that stands.
    """

    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: str
    published: str
    modified: str
    withdrawn: str
    affected: tuple[Affected, ...]


def read_advisory(value: object) -> Advisory:
    """Read a record. Raises AdvisoryError with its id and what is wrong with it."""
    record = _mapping(value, "the record")
    name = record.get("id")
    if not isinstance(name, str) or not _ID.match(name):
        raise AdvisoryError(f"an advisory has the id {name!r:.80}")
    try:
        affected = [_affected(_mapping(one, "affected")) for one in _list(record, "affected")]
        return Advisory(
            id=name,
            aliases=tuple(_text(one) for one in _list(record, "aliases")),
            summary=(_text(record.get("summary", "")) or _text(record.get("details", "")))[
                :_LONGEST_TEXT
            ],
            severity=_severity(record),
            published=_text(record.get("published", "")),
            modified=_text(record.get("modified", "")),
            withdrawn=_text(record.get("withdrawn") or ""),
            affected=tuple(one for one in affected if one is not None),
        )
    except (ValueError, TypeError) as error:
        raise AdvisoryError(f"{name}: {error}") from None


def affects(affected: Affected, version: str) -> Answer:
    """Tell whether a version is affected."""
    if version in affected.versions:
        return "yes"
    asked = place(affected.ecosystem, version)
    if asked is None:
        return "unclear"
    if any(place(affected.ecosystem, one) == asked for one in affected.versions):
        return "yes"
    answers = [_in_range(affected.ecosystem, events, asked) for events in affected.ranges]
    return "yes" if "yes" in answers else "unclear" if "unclear" in answers else "no"


def _in_range(ecosystem: str, events: Sequence[Event], asked: Any) -> Answer:
    placed = [(place(ecosystem, version), kind) for kind, version in events if version != "*"]
    if any(where is None for where, _ in placed):
        return "unclear"
    limits = [where for where, kind in placed if kind == "limit"]
    if limits and not any(asked < limit for limit in limits):
        return "no"
    inside = False
    # At one place a fix stands before what was introduced: it is affected again.
    order = {"fixed": 0, "last_affected": 2}
    for where, kind in sorted(
        placed, key=lambda item: (item[0] is not EARLIEST, _Key(item[0]), order.get(item[1], 1))
    ):
        if kind == "introduced" and asked >= where:
            inside = True
        elif (kind == "fixed" and asked >= where) or (kind == "last_affected" and asked > where):
            inside = False
    return "yes" if inside else "no"


class _Key:
    """Orders places, of which the earliest compares with all others in one direction only."""

    __slots__ = ("place",)

    def __init__(self, place: Any) -> None:
        self.place = place

    def __lt__(self, other: _Key) -> bool:
        if self.place is EARLIEST or other.place is EARLIEST:
            return self.place is EARLIEST and other.place is not EARLIEST
        return bool(self.place < other.place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and bool(self.place == other.place)

    __hash__ = None  # type: ignore[assignment]


def _affected(value: Mapping[str, Any]) -> Affected | None:
    """Read one entry; None for other ecosystems and for what names commits only."""
    package = _mapping(value.get("package", {}), "affected.package")
    ecosystem = _text(package.get("ecosystem", "")).partition(":")[0]
    if ecosystem not in ECOSYSTEMS:
        return None
    ranges = []
    for one in _list(value, "ranges"):
        form = _mapping(one, "a range")
        if form.get("type") in ("ECOSYSTEM", "SEMVER"):
            ranges.append(tuple(_events(form)))
        elif form.get("type") != "GIT":
            raise ValueError(f"a range has the type {form.get('type')!r:.40}")
    return Affected(
        ecosystem=ecosystem,
        package=normal_name(ecosystem, _text(package.get("name", ""))),
        versions=tuple(_text(one) for one in _list(value, "versions")),
        ranges=tuple(ranges),
    )


def _events(form: Mapping[str, Any]) -> list[Event]:
    events: list[Event] = []
    for one in _list(form, "events"):
        event = _mapping(one, "an event")
        known = [(kind, _text(event[kind])) for kind in _EVENTS if kind in event]
        if len(known) != 1:
            raise ValueError(f"an event has the fields {sorted(event)!s:.80}")
        events += known
    if not any(kind == "introduced" for kind, _ in events):
        raise ValueError("a range begins nowhere: no event is `introduced`")
    return events


def _severity(record: Mapping[str, Any]) -> str:
    """Return the label that the database gives, else that of the CVSS 3 base score."""
    specific = record.get("database_specific")
    label = specific.get("severity") if isinstance(specific, Mapping) else None
    if isinstance(label, str) and label.upper() in _LABELS:
        return _LABELS[label.upper()]
    for one in _list(record, "severity"):
        form = _mapping(one, "severity")
        if form.get("type") == "CVSS_V3":
            score = _cvss3(_text(form.get("score", "")))
            if score is not None:
                return next(name for least, name in _SCALE if score >= least)
    return ""


_SCALE = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.0, "low"))
_WEIGHTS: dict[str, dict[str, float]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}


def _cvss3(vector: str) -> float | None:
    """Return the base score of a CVSS 3 vector (3.1, section 7.1), None for others."""
    parts = dict(part.split(":", 1) for part in vector.split("/") if ":" in part)
    scope = parts.get("S", "")
    try:
        weight = {name: values[parts[name]] for name, values in _WEIGHTS.items()}
        privileges = _PRIVILEGES[scope][parts["PR"]]
    except KeyError:
        return None
    base = 1 - (1 - weight["C"]) * (1 - weight["I"]) * (1 - weight["A"])
    impact = 6.42 * base
    if scope == "C":
        impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15
    if impact <= 0:
        return 0.0
    exploit = 8.22 * weight["AV"] * weight["AC"] * privileges * weight["UI"]
    total = min((1.08 if scope == "C" else 1.0) * (impact + exploit), 10)
    hundred_thousands = round(total * 100_000)
    if hundred_thousands % 10_000 == 0:
        return hundred_thousands / 100_000
    return (hundred_thousands // 10_000 + 1) / 10


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise AdvisoryError(f"{what} is not an object")
    return value


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{name} is not a list")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a text")
    return value
