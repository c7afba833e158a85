"""Which findings say the same as a more specific one, at the same place.

Rules this module keeps:
- a rule itself says which rules are more specific; no other rule can silence it;
- only what is at the same place is the same flaw: on the same line, one inside the other;
- what is left out is named in the evidence of what stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tavo.plugins import Finding, Region

__all__ = ["YIELDS_TO", "Settled", "above", "cycles", "settle", "yields_of"]


YIELDS_TO = "metadata.yields_to"
"""Where a rule says which rules are more specific."""


class Settled(msgspec.Struct, frozen=True):
    """Numbers of findings to leave out, and the rules to name in the evidence of others."""

    out: frozenset[int]
    also: Mapping[int, tuple[str, ...]]


def yields_of(entry: Mapping[str, Any], rule_id: str) -> tuple[str, ...]:
    """Return the more specific rules that an entry names. Raises ValueError."""
    metadata = entry.get("metadata")
    named = metadata.get("yields_to", []) if isinstance(metadata, Mapping) else []
    if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
        raise ValueError(f"{YIELDS_TO}: expected a list of ids of rules")
    if rule_id in named:
        raise ValueError(f"{YIELDS_TO}: the rule names itself")
    return tuple(dict.fromkeys(named))


def above(yields: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """Return for each rule those that are more specific, also by way of others."""
    found: dict[str, frozenset[str]] = {}
    for rule in yields:
        seen: set[str] = set()
        todo = list(yields[rule])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += yields.get(name, ())
        found[rule] = frozenset(seen)
    return found


def cycles(yields: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the rules that yield to themselves by way of others, each with its way round."""
    higher = above(yields)
    found: dict[str, tuple[str, ...]] = {}
    for rule in (rule for rule, names in higher.items() if rule in names):
        way, here = [rule], rule
        while True:
            here = next(
                name for name in yields[here] if name == rule or rule in higher.get(name, ())
            )
            way.append(here)
            if here == rule or len(way) > len(yields):
                break
        found[rule] = tuple(way)
    return found


def settle(
    findings: Sequence[tuple[int, Finding, bool]],
    higher: Mapping[str, frozenset[str]],
    named: Mapping[int, str] | None = None,
) -> Settled:
    """Decide about the findings of one file, each with a number and whether it counts.

    `named` has the names of rules of other tools, by the numbers of their findings.

    One that counts is never left out for one that does not. `higher` names for each rule the more
    specific ones, also by way of others.
    """
    out: set[int] = set()
    also: dict[int, list[str]] = {}
    lines: dict[int, list[tuple[int, str, bool, Region]]] = {}
    for number, finding, wins in findings:
        region = finding.location.region
        if region is not None:
            rule = (named or {}).get(number, finding.rule_id)
            lines.setdefault(region.start_line, []).append((number, rule, wins, region))
    for together in lines.values():
        for number, rule, counts, region in together:
            names = higher.get(rule, frozenset())
            if not names:
                continue
            winners = [
                one
                for one in together
                if one[1] in names
                and rule not in higher.get(one[1], ())
                and (one[2] or not counts)
                and _overlap(region, one[3])
            ]
            # Of several, those that yield to none of the others
            for other, winner, _, _ in winners:
                if not any(one[1] in higher.get(winner, ()) for one in winners):
                    out.add(number)
                    also.setdefault(other, []).append(rule)
    return Settled(
        frozenset(out),
        {number: tuple(sorted(set(names))) for number, names in also.items() if number not in out},
    )


def _overlap(one: Region, other: Region) -> bool:
    """Tell whether two regions have something in common."""
    return (one.start_line, one.start_column) < (other.end_line, other.end_column) and (
        other.start_line, other.start_column
    ) < (one.end_line, one.end_column)  # fmt: skip
