"""New, rare and drifting templates of log lines and prompts. The templates are drain3's (MIT).

Of drain3 only the algorithm is used, not its persistence (jsonpickle) and not its masking, whose
patterns run on whatever a log holds.

Rules this module keeps:
- the same events in the same order give the same findings;
- a text is cut before it is looked at, and everything that is remembered is bounded; where texts
  are too varied for templates, that is said and nothing is claimed;
- a finding names the template, value, baseline, of how many events, and the first record.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from drain3.drain import Drain

from tavo.plugins import (
    Analysis,
    Confidence,
    ConfigError,
    Event,
    Finding,
    Location,
    LogAnalysisPlugin,
    Region,
    Rule,
    Severity,
)

_FIELDS = ("log.body", "gen_ai.prompt", "gen_ai.system_instructions")
_MOST_TEMPLATES = 1_000  # of one field; each of a branch is compared with a new text
_LONGEST = 1_000  # characters of a text
_MOST_WORDS = 60
_SHOWN = 160
_MANY_NEW = 0.02  # from this share of new templates on, new is usual
_DEVIATIONS = 8.0
_TIMES = 4.0
_NEAR, _BURST, _LISTED = 50, 6, 20  # texts between new templates, templates together, shown
_LEAST = 20  # events of a template in a window, or expected in it
_LONG_WORD = re.compile(r"\S{41,}")
_SPACE = " "

_ABOUT = "One template is one kind of message; <*> stands for what differs. {0}"
_NEW = Rule(
    id="drain-new-template", title="A kind of message that was never there before",
    severity=Severity.LOW, confidence=Confidence.MEDIUM,
    description="After a time in which all kinds of messages were seen, another one came.",
    help=_ABOUT.format("A release brings new kinds of messages, and so does an attack."),
    tags=("anomaly",),
)  # fmt: skip
_RARE = Rule(
    id="drain-rare-template", title="A kind of message that hardly ever comes",
    severity=Severity.INFO, confidence=Confidence.LOW,
    description="Next to all messages are of few kinds, and this one came once or twice.",
    help=_ABOUT.format("Start-up and shut-down are rare, too."),
    tags=("anomaly",),
)  # fmt: skip
_DRIFT = Rule(
    id="drain-drift", title="The share of a kind of message has moved far",
    severity=Severity.MEDIUM, confidence=Confidence.MEDIUM,
    description=(
        "In a window of events a kind of message was far more, or far less, of all than in the"
        " windows before."
    ),
    help=_ABOUT.format("Compare what else happened at that time: a release, an outage, a flood."),
    tags=("anomaly",),
)  # fmt: skip


@dataclass(slots=True)
class _Template:
    """What is known of a template. `number` is the event's among those of its field, from 1."""

    first: Event
    number: int
    known: int  # templates that were known then
    count: int = 0
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class _Moved:
    """A share that moved in the window that ended with an event."""

    template: int
    first: Event
    until: int
    count: int
    expected: float
    deviations: float
    of: int
    before: int


class _Field:
    """The templates of one field, event by event."""

    def __init__(self, *, warm_up: int, window: int, similarity: float) -> None:
        self._warm_up = warm_up
        self._window = window
        self.drain = Drain(
            depth=4, sim_th=similarity, max_children=100, max_clusters=_MOST_TEMPLATES
        )
        self.templates: dict[int, _Template] = {}
        self.moved: list[_Moved] = []
        self.seen = 0
        self._late = 0  # templates that came in the second half of the warm-up
        self._before: Counter[int] = Counter()
        self._now: Counter[int] = Counter()
        self._starts: dict[int, Event] = {}

    @property
    def is_varied(self) -> bool:
        """Whether new templates come so often that they mean nothing."""
        return (
            self.drain.clusters_counter >= _MOST_TEMPLATES
            or self._late > _MANY_NEW * self._warm_up / 2
        )

    @property
    def is_warm(self) -> bool:
        """Whether enough was seen."""
        return self.seen >= self._warm_up

    def see(self, text: str, event: Event) -> None:
        """Take the text of one event."""
        self.seen += 1
        if self.is_varied and self.is_warm:
            return  # it will not be used; and beyond the bound old templates would be new again
        cluster, _ = self.drain.add_log_message(text)
        number = cluster.cluster_id
        known = self.templates.get(number)
        if known is None:
            known = self.templates[number] = _Template(event, self.seen, len(self.templates))
            known.is_new = self.seen > self._warm_up
            if self._warm_up // 2 < self.seen <= self._warm_up:
                self._late += 1
        known.count += 1
        self._now[number] += 1
        self._starts.setdefault(number, event)
        if sum(self._now.values()) >= self._window:
            self._end_window(event)

    def _end_window(self, last: Event) -> None:
        before, of = self._before.total(), self._now.total()
        if before >= self._warm_up:
            for number in sorted(self._now.keys() | self._before.keys()):
                self._compare(number, last, before, of)
        self._before.update(self._now)
        self._now.clear()
        self._starts.clear()

    def _compare(self, number: int, last: Event, before: int, of: int) -> None:
        count, past = self._now[number], self._before[number]
        if past < _LEAST:
            return  # it is new or rare, and that is another claim
        share = past / before
        expected = share * of
        deviations = (count - expected) / math.sqrt(max(of * share * (1 - share), 1.0))
        large, small = max(count, expected), min(count, expected)
        if abs(deviations) >= _DEVIATIONS and large >= _LEAST and large >= _TIMES * small:
            self.moved.append(
                _Moved(number, self._starts.get(number, last), self.seen, count, expected,
                       deviations, of, before)
            )  # fmt: skip


class DrainAnomaly(LogAnalysisPlugin):
    """Learns templates while it reads, and says at the end what stood out."""

    rules = (_NEW, _RARE, _DRIFT)

    def start(self, context) -> None:
        """Read the configuration. Raises ConfigError."""
        config = context.config
        self._names = tuple(config.get("fields", _FIELDS))
        if any(not isinstance(name, str) or not name for name in self._names):
            raise ConfigError("fields: expected names of fields, such as log.body")
        self._rare = config.get("rare", 2)
        self._most = config.get("most", 100)
        self._settings = {
            "warm_up": config.get("warm_up", 500),
            "window": config.get("window", 500),
            "similarity": config.get("similarity", 0.4),
        }
        self._fields: dict[str, _Field] = {}
        self._without = 0

    def analyze_logs(self, log_entries: Iterable[Event]) -> Analysis:
        """Learn from a batch; what stands out is known at the end only."""
        for event in log_entries:
            found = False
            for name in self._names:
                text = event.fields.get(name)
                if isinstance(text, list):
                    text = text[-1] if text else None
                if isinstance(text, str) and text.strip():
                    found = True
                    self._of(name).see(_short(text), event)
            if not found and event.message.strip():
                found = True
                self._of("message").see(_short(event.message), event)
            self._without += not found
        return Analysis()

    def finish_logs(self) -> Analysis:
        """Return what stood out, of each kind at most `most` for each field."""
        findings: list[Finding] = []
        metrics: dict[str, float] = {"events without a text": self._without}
        for name, field in self._fields.items():
            metrics[f"{name}: texts"] = field.seen
            metrics[f"{name}: templates"] = field.drain.clusters_counter
            metrics[f"{name}: too varied"] = float(field.is_varied)
            if field.is_warm and not field.is_varied:
                for found in (self._new(name, field), self._seldom(name, field),
                              self._drifted(name, field)):  # fmt: skip
                    kept = list(found)
                    metrics["left out"] = metrics.get("left out", 0) + max(
                        0, len(kept) - self._most
                    )
                    findings += kept[: self._most]
        return Analysis(findings=tuple(findings), metrics=metrics)

    def _of(self, name: str) -> _Field:
        if name not in self._fields:
            self._fields[name] = _Field(**self._settings)
        return self._fields[name]

    def _new(self, name: str, field: _Field) -> Iterator[Finding]:
        for burst in _bursts(field.templates):
            if len(burst) < _BURST:
                for number, one in burst:
                    yield _finding(
                        _NEW, one.first, name, _text(field, number),
                        f"came {_times(one.count)} after {one.number - 1:,} texts of"
                        f" {one.known:,} other kinds",
                        {"count": str(one.count), "texts before": str(one.number - 1),
                         "kinds before": str(one.known)},
                    )  # fmt: skip
                continue
            first, last = burst[0][1], burst[-1][1]
            texts = [_text(field, number) for number, _ in burst]
            yield _finding(
                _NEW, first.first, name, texts[0],
                f"{len(burst)} kinds came within {last.number - first.number + 1:,} texts, after"
                f" {first.number - 1:,} texts of {first.known:,} other kinds; the first",
                {"count": str(sum(one.count for _, one in burst)), "new kinds": str(len(burst)),
                 "texts before": str(first.number - 1), "kinds before": str(first.known),
                 "the others": "\n".join(text[:_SHOWN] for text in texts[1:_LISTED])},
            )  # fmt: skip

    def _seldom(self, name: str, field: _Field) -> Iterator[Finding]:
        rare = {n: one for n, one in field.templates.items() if one.count <= self._rare}
        together = sum(one.count for one in rare.values())
        if together > _MANY_NEW * field.seen:
            return  # what is rare is usual here
        for number, one in sorted(rare.items(), key=lambda item: item[1].number):
            if not one.is_new:
                yield _finding(
                    _RARE, one.first, name, _text(field, number),
                    f"came {_times(one.count)} among {field.seen:,} texts; all kinds that are as"
                    f" rare make {together / field.seen:.2%}",
                    {"count": str(one.count), "texts": str(field.seen)},
                )  # fmt: skip

    def _drifted(self, name: str, field: _Field) -> Iterator[Finding]:
        worst: dict[int, _Moved] = {}
        windows: Counter[int] = Counter()
        for one in field.moved:
            windows[one.template] += 1
            known = worst.get(one.template)
            if known is None or abs(one.deviations) > abs(known.deviations):
                worst[one.template] = one
        for number, one in sorted(worst.items(), key=lambda item: -abs(item[1].deviations)):
            yield _finding(
                _DRIFT, one.first, name, _text(field, number),
                f"{one.count:,} of {one.of:,} texts up to text {one.until:,},"
                f" {one.expected:.1f} expected from the {one.before:,} before"
                f" ({one.deviations:+.1f} deviations; {windows[number]} windows like that)",
                {"value": str(one.count), "baseline": f"{one.expected:.1f}",
                 "deviations": f"{one.deviations:.1f}", "texts": str(one.of),
                 "texts before": str(one.before), "up to text": str(one.until),
                 "windows": str(windows[number])},
            )  # fmt: skip


def _bursts(templates: Mapping[int, _Template]) -> list[list[tuple[int, _Template]]]:
    """Put new templates together that came close to each other, as at the start of a program."""
    out: list[list[tuple[int, _Template]]] = []
    for item in sorted(templates.items(), key=lambda item: item[1].number):
        if item[1].is_new:
            if out and item[1].number - out[-1][-1][1].number <= _NEAR:
                out[-1].append(item)
            else:
                out.append([item])
    return out


def _short(text: str) -> str:
    """Return the first words of the first lines of a text, very long ones as one kind."""
    return _SPACE.join(_LONG_WORD.sub("<*>", text[:_LONGEST]).split()[:_MOST_WORDS])


def _text(field: _Field, number: int) -> str:
    return field.drain.id_to_cluster[number].get_template()


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _finding(
    rule: Rule, event: Event, name: str, template: str, figures: str, evidence: dict[str, str]
) -> Finding:
    shown = template if len(template) <= _SHOWN else template[: _SHOWN - 1] + "…"
    return Finding(
        rule_id=rule.id,
        message=f"{rule.title}: {figures}: {shown}",
        severity=rule.severity,
        confidence=rule.confidence,
        location=Location(
            path=PurePosixPath(event.source),
            region=Region(start_line=event.number, end_line=event.number, end_column=2),
        ),
        evidence={"field": name, "template": template[:_LONGEST], **evidence},
    )
