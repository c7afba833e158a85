"""What the gate adds to a report for people: suppressions, what is gone, what a policy said.

Rules this module keeps:
- a suppressed finding is counted with its reason, its last day and who agreed;
- what is known is counted, what is gone is named;
- whatever a policy said is shown, also what an exception of it covers;
- long lists are cut, and say by how much.

Units: widths in columns of a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from tavo.printable import counted
from tavo.results.export.summary import denies, policy_headline, policy_said
from tavo.results.values import Gate, Notice, Reported, Run

__all__ = ["gate_lines", "last_line"]

Line = tuple[tuple[str, str], ...]
Wrap = Callable[[str, str, str], Iterator[Line]]
"""Text, indent and style to lines that fit."""

_MOST_LISTED = 20
_MOST_NAMED = 3
_MISSING = "Not looked at, or not in full"
_STYLES = {"deny": "high", "violation": "high", "warn": "medium"}


def gate_lines(
    run: Run, ignored: Sequence[Reported], every: Sequence[Reported], wrap: Wrap
) -> Iterator[Line]:
    """Yield what the gate did: suppressions of a file, what is gone, the policy."""
    yield from _suppressed(ignored, wrap)
    if run.gate is not None:
        yield from _gone(run.gate, wrap)
        yield from _policy(run.gate, {one.fingerprint: one for one in every}, wrap)


def _suppressed(ignored: Sequence[Reported], wrap: Wrap) -> Iterator[Line]:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for one in ignored:
        why = one.suppression
        if why is not None and why.expires:
            counts[one.rule.id, why.reason, why.expires, why.approved_by] += 1
    if not counts:
        return
    yield (("dim", f"Suppressed ({counts.total()}):"),)
    for (rule, reason, expires, who), count in counts.most_common(_MOST_LISTED):
        agreed = f", approved by {who}" if who else ""
        yield from wrap(f"{count} × {rule}: {reason} (until {expires}{agreed})", "  ", "dim")
    yield from _more(len(counts), "dim")


def _gone(gate: Gate, wrap: Wrap) -> Iterator[Line]:
    if not gate.absent:
        return
    yield (("good", f"Gone since the baseline ({len(gate.absent)}):"),)
    for one in gate.absent[:_MOST_LISTED]:
        place = f"{one.path}:{one.line}" if one.line else one.path
        yield from wrap(f"{place} {one.rule_id}", "  ", "dim")
    yield from _more(len(gate.absent), "dim")


def _policy(gate: Gate, findings: Mapping[str, Reported], wrap: Wrap) -> Iterator[Line]:
    said = policy_headline(gate)
    if not said:
        return
    style = "high" if any(map(denies, gate.policy_results)) else "good"
    name = f" ({gate.evaluator})" if gate.evaluator else ""
    yield ((style, f"Policy{name}: {said}."),)
    results = policy_said(gate, findings)
    for one, text, about in results[:_MOST_LISTED]:
        places = _about(about)
        told = text + ("" if places[2:-1] in one.message else places)
        yield from wrap(told, "  ", "dim" if one.excepted else _STYLES[one.kind])
    yield from _more(len(results), "dim")


def _about(found: Sequence[Reported]) -> str:
    places = []
    for one in found:
        region = one.finding.location.region
        line = f":{region.start_line}" if region is not None else ""
        places.append(f"{one.finding.location.path}{line}")
    if not places:
        return ""
    more = len(places) - _MOST_NAMED
    return f" ({', '.join(places[:_MOST_NAMED])}{f' and {more} more' if more > 0 else ''})"


def _more(count: int, style: str) -> Iterator[Line]:
    if count > _MOST_LISTED:
        yield ((style, f"  and {count - _MOST_LISTED} more; --format json lists all"),)


def last_line(missing: Sequence[Notice], wrap: Wrap) -> Iterator[Line]:
    """Say in one line what was not looked at, and what of that was allowed."""
    kinds: dict[str, list[Notice]] = {}
    for one in missing:
        kinds.setdefault(one.kind, []).append(one)
    parts = []
    for kind, found in kinds.items():
        names = list(dict.fromkeys(one.subject for one in found))
        allowed = {one.subject for one in found if one.allowed}
        shown = [f"{name} (allowed)" if name in allowed else name for name in names]
        more = len(shown) - _MOST_NAMED
        listed = ", ".join(shown[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        parts.append(f"{kind if len(names) == 1 else kind + 's'} {listed}")
    lines = list(wrap(f"{_MISSING}: {'; '.join(parts)}.", "", "warning"))
    if len(lines) > 1:
        counts = [counted(len(found), kind) for kind, found in kinds.items()]
        excused = sum(one.allowed for one in missing)
        tail = f" ({excused} allowed)" if excused else ""
        lines = list(wrap(f"{_MISSING}: {', '.join(counts)}{tail}.", "", "warning"))
    yield from lines
