"""Sigma rules that need to know your systems, and rules about what follows what in a conversation.

`rules.json` holds the rules, in the form of Sigma (JSON is YAML, too). The built-in pack of tavo
says what is suspicious anywhere; these say what is not yours, and what only a sequence shows.

Rules this module keeps:
- a rule that waits for a list of the user's is off, and named;
- one cause is one finding: a rule and a user, or a rule and a conversation;
- everything that is remembered is bounded, and what was forgotten is a figure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from sequences import Correlation, Happened, read_correlation
from sigma import Fields, Missing, SigmaError, Test, compile_detection, values_of

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

_PACK: list[dict[str, Any]] = json.loads(Path(__file__).with_name("rules.json").read_text("utf-8"))
_LEVELS = {"informational": Severity.INFO, "low": Severity.LOW, "medium": Severity.MEDIUM,
           "high": Severity.HIGH, "critical": Severity.CRITICAL}  # fmt: skip
_STATUS = {"stable": Confidence.HIGH, "test": Confidence.MEDIUM}
_OWASP = re.compile(r"owasp\.(llm|asi)(\d\d)-(20\d\d)")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_WHO = ("user.id", "api_key.id", "client.address", "gen_ai.conversation.id")
_MOST_INCIDENTS = 10_000
_MOST_VALUES = 10_000
_LONGEST_SHOWN, _LONGEST_DETAIL = 100, 400


def _about(given: Mapping[str, Any]) -> Rule:
    name = given.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SigmaError("name: expected a-z, 0-9 and '-', at most 64 characters")
    title, level = given.get("title"), given.get("level", "medium")
    if not isinstance(title, str) or not title.strip():
        raise SigmaError("title: is missing")
    if level not in _LEVELS:
        raise SigmaError(f"level: {level!r:.40} is none of {', '.join(_LEVELS)}")
    tags = [str(tag) for tag in given.get("tags") or ()]
    owasp = [_OWASP.fullmatch(tag) for tag in tags]
    wrong = "; ".join(map(str, given.get("falsepositives") or ()))
    return Rule(
        id=name, title=title, severity=_LEVELS[level],
        confidence=_STATUS.get(str(given.get("status")), Confidence.LOW),
        description=str(given.get("description", "")),
        help=f"Harmless where it is: {wrong}." if wrong else "",
        owasp=tuple(f"{one[1].upper()}{one[2]}:{one[3]}" for one in owasp if one),
        tags=tuple(tag for tag, one in zip(tags, owasp, strict=True) if not one),
    )  # fmt: skip


@dataclass(slots=True)
class _Incident:
    """What is reported once: a rule, whom it is about, and how often."""

    rule: Rule
    first: Event
    who: str
    count: int
    until: datetime
    detail: str


class SigmaGenai(LogAnalysisPlugin):
    """Rules over single events and over sequences, completed by the user's own lists."""

    rules = tuple(_about(one) for one in _PACK if "level" in one)

    def start(self, context) -> None:
        """Compile the pack and the user's rules. Raises ConfigError."""
        lists = _lists(context.config.get("values", {}))
        off = set(context.config.get("off", ()))
        own = context.config.get("rules", [])
        self._tests: dict[str, Test] = {}
        self._sequences: dict[str, Correlation] = {}
        self._abouts: dict[str, Rule] = {}
        self._waiting: dict[str, str] = {}
        self._shown: dict[str, list[str]] = {}  # fields that a rule looks at
        self._silent: set[str] = set()
        for given in [one for one in _PACK if one["name"] not in off]:
            self._take(given, lists)
        for number, given in enumerate(own, start=1):
            try:
                self._take({**given, "level": given.get("level", "medium")}, lists)
            except Missing as error:
                raise ConfigError(f"rules, number {number}: {error}") from None
            except SigmaError as error:
                raise ConfigError(f"rules, number {number}: {error}") from None
        if unknown := off - {one["name"] for one in _PACK}:
            raise ConfigError(f"off: there is no rule {min(unknown)!r}")
        used = {name for one in (*_PACK, *own) for name in re.findall(r"%(\w+)%", json.dumps(one))}
        if unknown := set(lists) - used:
            known = ", ".join(sorted(used))
            raise ConfigError(f"values: no rule uses {min(unknown)!r}; they use {known}")
        for name, sequence in self._sequences.items():
            for step in sequence.rules:
                if step not in self._tests:
                    raise ConfigError(f"rules: {name}: there is no rule {step!r} to follow")
        for name, missing in self._waiting.items():
            context.log.info(f"{name} is off: it needs the list {missing} under values")
        self.rules = tuple({**{one.id: one for one in type(self).rules}, **self._abouts}.values())
        self._incidents: dict[tuple[str, str], _Incident] = {}
        self._more = 0

    def _take(self, given: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> None:
        is_pack = given in _PACK
        about = _about({"level": "low", **given})
        if about.id in self._tests or about.id in self._sequences or about.id in self._waiting:
            raise SigmaError(f"name: {about.id!r} is there twice")
        source = given.get("logsource") or {}
        if not isinstance(source, Mapping) or source.get("product", "genai") != "genai":
            raise SigmaError("logsource: only product genai is looked at here")
        if "correlation" in given:
            sequence = read_correlation(given["correlation"])
            self._sequences[about.id] = sequence
            self._silent.update(() if given.get("generate") else sequence.rules)
        else:
            self._shown[about.id] = _fields_of(given.get("detection"))
            try:
                self._tests[about.id] = compile_detection(given.get("detection"), lists)
            except Missing as missing:
                if not is_pack:
                    raise
                self._waiting[about.id] = missing.name
                return
        if "level" in given:
            self._abouts[about.id] = about

    def analyze_logs(self, log_entries: Iterable[Event]) -> Analysis:
        """Match every event, and keep what it means for its conversation."""
        for event in log_entries:
            fields = event.fields
            matched = frozenset(name for name, test in self._tests.items() if test(fields))
            for name in sorted(matched - self._silent):
                if name in self._abouts:
                    self._note(self._abouts[name], event, _who(fields), self._shown[name])
            at = event.time.timestamp()
            for name, sequence in self._sequences.items():
                if not matched.isdisjoint(sequence.rules):
                    happened = sequence.see(matched, fields, at)
                    if happened is not None:
                        self._note(self._abouts[name], event, happened.group, happened=happened)
        return Analysis()

    def finish_logs(self) -> Analysis:
        """Return one finding for each rule and whom it is about."""
        incidents = sorted(
            self._incidents.values(), key=lambda one: (one.first.time, one.rule.id, one.who)
        )
        forgotten = sum(one.forgotten for one in self._sequences.values())
        return Analysis(
            findings=tuple(map(_finding, incidents)),
            metrics={
                "rules waiting for a list": len(self._waiting),
                "incidents not kept": self._more,
                "groups forgotten": forgotten,
            },
        )

    def _note(
        self, rule: Rule, event: Event, who: str, shown: Sequence[str] = (),
        happened: Happened | None = None,
    ) -> None:  # fmt: skip
        known = self._incidents.get((rule.id, who))
        if known is not None:
            known.count += 1
            known.until = event.time
        elif len(self._incidents) >= _MOST_INCIDENTS:
            self._more += 1
        else:
            detail = ", ".join(
                f"{name} {value}"
                for name in shown
                for value in values_of(event.fields, name)
                if len(str(value)) <= _LONGEST_SHOWN
            )[:_LONGEST_DETAIL]
            if happened is not None:
                since = datetime.fromtimestamp(happened.since, UTC)
                detail = f"{happened.detail}since {since:%Y-%m-%d %H:%M:%S}"
            self._incidents[rule.id, who] = _Incident(rule, event, who, 1, event.time, detail)


def _fields_of(detection: object) -> list[str]:
    """Return the names of the fields that a detection looks at, but not who it is about."""
    out: list[str] = []
    stack = [detection]
    while stack:
        one = stack.pop(0)
        if isinstance(one, Mapping):
            out += [name.split("|")[0] for name in one if isinstance(name, str)]
            stack += one.values()
        elif isinstance(one, list):
            stack += one
    return [one for one in dict.fromkeys(out) if "." in one and one not in _WHO]


def _lists(value: object) -> dict[str, list[str]]:
    if not isinstance(value, Mapping):
        raise ConfigError("values: expected names with lists")
    out = {}
    for name, given in value.items():
        if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
            raise ConfigError(f"values: {name}: expected a list of texts")
        if not 0 < len(given) <= _MOST_VALUES:
            raise ConfigError(f"values: {name}: expected 1 to {_MOST_VALUES:,} texts")
        out[str(name)] = given
    return out


def _who(fields: Fields) -> str:
    for name in _WHO:
        for value in values_of(fields, name):
            return f"{name} {str(value)[:200]}"
    return ""


def _finding(one: _Incident) -> Finding:
    about = f" ({one.who})" if one.who else ""
    times = f", {one.count} times until {one.until:%Y-%m-%d %H:%M:%S}" if one.count > 1 else ""
    detail = f": {one.detail.rstrip('.')}" if one.detail else ""
    return Finding(
        rule_id=one.rule.id,
        message=f"{one.rule.title}{about}{detail}{times}."[:2000],
        severity=one.rule.severity,
        confidence=one.rule.confidence,
        location=Location(
            path=PurePosixPath(one.first.source),
            region=Region(start_line=one.first.number, end_line=one.first.number, end_column=2),
        ),
        evidence={"count": str(one.count), "who": one.who},
    )
