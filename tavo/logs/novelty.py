"""What was not there before: an address, tool or model of an actor, a sequence of tools, a prompt.

Rules this module keeps:
- new is only what comes after a time in which everything else was seen, often enough that the new
  thing would have been seen, too, had it been usual;
- who is always new (many addresses, a prompt for each request) is not called new again;
- an alarm says what was known, from how many events and since when, and shows the first records.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tavo.logs.times import as_text
from tavo.logs.totals import New, Totals, network_of
from tavo.logs.usual import Usual
from tavo.plugins import Confidence, Rule, Severity

__all__ = ["RULES", "Alarm", "alarms"]

_HISTORY_S = 86_400.0
_LEAST_EVENTS = {"address": 50.0, "model": 50.0, "tool": 20.0}
_MOST_KNOWN = {"address": 4, "model": 6, "tool": 12}
_MOST_VALUES = 200
_LEAST_EACH = 2
_LEAST_PAIRS = 500
_LEAST_EXPECTED = 8.0
_MOST_OBSERVED = 3
_LEAST_PROMPTS = 100
_LEAST_OF_NEW = 3
_MOST_TEMPLATES = 4
_MOST = 200

RULES = {
    what: Rule(
        id=f"anomaly-{ident}",
        title=title,
        severity=severity,
        confidence=confidence,
        description=text,
        owasp=owasp,
        tags=tags,
    )
    for what, ident, title, severity, confidence, owasp, tags, text in (
        ("address", "new-address", "A user comes from a network it never came from",
         Severity.LOW, Confidence.LOW, (), ("attack.t1078",),
         "A user with few known networks came from another one, after a day or more."),
        ("tool", "new-tool", "A tool is called for a user who never called it",
         Severity.MEDIUM, Confidence.LOW, ("LLM06:2025",), ("AML.T0053",),
         "A user for whom few tools are called had another one called, after a day or more."),
        ("model", "new-model", "A user asks a model it never asked",
         Severity.LOW, Confidence.LOW, ("LLM10:2025",), ("AML.T0034",),
         "A user with few known models asked another one, after a day or more."),
        ("sequence", "tool-sequence", "Two tools follow each other that hardly ever do",
         Severity.MEDIUM, Confidence.LOW, ("LLM06:2025",), ("AML.T0053",),
         "Both tools are called often, and one after the other far less than chance has it."),
        ("template", "new-prompt-template", "A system prompt that was not used before",
         Severity.LOW, Confidence.LOW, ("LLM07:2025",), ("AML.T0051",),
         "A team or key with few system prompts used another one: a release, or somebody else."),
    )
}  # fmt: skip


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm about an actor, key, model, team or pair of tools. `rule` is a key of `RULES`;
    `places` as in `Totals`; `count` is how many records it is about.
    """

    rule: str
    kind: str
    name: str
    time: float
    numbers: dict[str, str]
    places: tuple[int, ...]
    count: int

    @property
    def hour(self) -> int:
        """The hour that it is about."""
        return int(self.time // 3600)


def alarms(totals: Totals, usual: Usual) -> Iterator[Alarm]:
    """Yield what is new, of each kind at most 200."""
    found: dict[str, list[tuple[float, Alarm]]] = {}
    candidates = {key[1] for key, values in totals.new.items() if _may_be_new(key, values, usual)}
    requests = {
        name: {one.hour: one.requests for one in hours}
        for name, hours in totals.hours("actor") if name in candidates
    }  # fmt: skip
    for (what, actor), values in totals.new.items():
        if actor not in candidates:
            continue
        for weight, alarm in _of_actor(what, actor, values, requests.get(actor, {}), usual):
            found.setdefault(what, []).append((weight, alarm))
    for weight, alarm in (*_sequences(totals, usual), *_templates(totals, usual)):
        found.setdefault(alarm.rule, []).append((weight, alarm))
    for one in found.values():
        one.sort(key=lambda pair: (-pair[0], pair[1].name, pair[1].time))
        yield from (alarm for _, alarm in one[:_MOST])


def _may_be_new(key: tuple[str, str], values: dict[str, New], usual: Usual) -> bool:
    times = [one.first for one in values.values()]
    times += [time for time, _ in usual.known(*key).values()]
    return len(values) <= _MOST_VALUES and max(times) >= min(times) + _HISTORY_S


def _of_actor(
    what: str, actor: str, values: dict[str, New], requests: dict[int, float], usual: Usual
) -> Iterator[tuple[float, Alarm]]:
    """Yield what an actor used for the first time, long after the first thing that it used."""
    before = usual.known(what, actor)
    names = {one: network_of(one) if what == "address" else one for one in (*values, *before)}
    first: dict[str, float] = {}
    counts: dict[str, int] = {}
    for one, (time, count) in before.items():
        first[names[one]] = min(time, first.get(names[one], time))
        counts[names[one]] = counts.get(names[one], 0) + count
    for one, new in values.items():
        first[names[one]] = min(new.first, first.get(names[one], new.first))
        if one not in before:
            counts[names[one]] = counts.get(names[one], 0) + new.count
    start = min(first.values())
    if max(first.values()) < start + _HISTORY_S:
        return
    hours = {**{hour: one.requests for hour, one in usual.hours("actor", actor).items()},
             **requests}  # fmt: skip
    total = sum(hours.values())
    for one, new in sorted(values.items(), key=lambda pair: pair[1].first):
        name = names[one]
        if new.first > first[name] or new.first < start + _HISTORY_S:
            continue
        known = [other for other, time in first.items() if time < new.first]
        events = sum(count for hour, count in hours.items() if hour < new.first // 3600)
        if what == "tool":
            events *= sum(counts.values()) / max(1.0, total)
        if events < _LEAST_EVENTS[what] or len(known) > _MOST_KNOWN[what]:
            continue
        if any(counts[other] < _LEAST_EACH for other in known):
            continue
        listed = ", ".join(sorted(known)[:4]) + (" …" if len(known) > 4 else "")
        kind = "network" if what == "address" else what
        yield events, Alarm(
            rule=what, kind="actor", name=actor, time=new.first, places=(new.place,),
            count=new.count,
            numbers={
                "actor": actor, f"new {what}": one, f"known {kind}s": f"{len(known)} ({listed})",
                "events before": f"{round(events):,}", "since": as_text(start),
                "times used since": f"{new.count:,}",
            },
        )  # fmt: skip


def _sequences(totals: Totals, usual: Usual) -> Iterator[tuple[float, Alarm]]:
    """Yield pairs of tools that follow each other far less often than both are called."""
    earlier = usual.pairs()
    counts = {key: max(pair.count, 0) for key, pair in totals.pairs.items()}
    for key, count in earlier.items():
        counts[key] = counts.get(key, 0) + count
    every = sum(counts.values())
    if every < _LEAST_PAIRS:
        return
    going: dict[str, int] = {}
    coming: dict[str, int] = {}
    for (before, tool), count in counts.items():
        going[before] = going.get(before, 0) + count
        coming[tool] = coming.get(tool, 0) + count
    for (before, tool), pair in totals.pairs.items():
        expected = going[before] * coming[tool] / every
        seen = counts[before, tool]
        if before == tool or seen > _MOST_OBSERVED or expected < _LEAST_EXPECTED:
            continue
        yield expected / seen, Alarm(
            rule="sequence", kind="tools", name=f"{before} then {tool}", time=pair.first,
            places=tuple(pair.places), count=pair.count,
            numbers={
                "sequence": f"{before}, {tool}", "times": str(seen),
                "expected by chance": f"{expected:.1f}",
                "spread": f"{expected ** 0.5:.1f}",
                "pairs of calls": f"{every:,}",
                "by": ", ".join(sorted(pair.actors)) or "nobody who is named",
            },
        )  # fmt: skip


def _templates(totals: Totals, usual: Usual) -> Iterator[tuple[float, Alarm]]:
    """Yield system prompts that came long after the others of the same owner."""
    for whose, known in totals.templates.items():
        before = usual.templates(whose)
        first = {one: time for one, (time, _) in before.items()}
        counts = {one: count for one, (_, count) in before.items()}
        for one, template in known.items():
            first[one] = min(template.first, first.get(one, template.first))
            counts[one] = max(template.count, counts.get(one, 0))
        start = min(first.values())
        for one, template in known.items():
            if template.first > first[one] or template.first < start + _HISTORY_S:
                continue
            others = [other for other, time in first.items() if time < template.first]
            events = sum(counts[other] for other in others)
            if len(others) > _MOST_TEMPLATES or events < _LEAST_PROMPTS:
                continue
            if template.count < _LEAST_OF_NEW:
                continue
            yield float(template.count), Alarm(
                rule="template", kind="owner", name=whose or "everybody", time=template.first,
                places=(template.place,), count=template.count,
                numbers={
                    "whose": whose or "everybody", "new system prompt": template.text[:160],
                    "times used since": f"{template.count:,}",
                    "known system prompts": str(len(others)),
                    "requests with those": f"{events:,}", "since": as_text(start),
                },
            )  # fmt: skip
