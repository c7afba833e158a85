"""Indicators of feeds in the events of logs, judged by what the feed says about them.

Feeds come in the configuration, or lie in the folder `feeds`: a copy of this plugin with other
files there is a feed that is signed, vetted, updated and recalled like every package.

Rules this module keeps:
- an indicator counts for events of the time for which it is valid;
- one indicator is one finding, at its first record, with how often and for whom it was there;
- a run without a feed says so: it would look like one that found nothing.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from feeds import Expression, Indicator, read_feed

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

_FOLDER = Path(__file__).with_name("feeds")
_TEST_FEED = "eicar"
_KINDS = ("stix", "misp", "list")
_MOST_INDICATORS = 300_000
_MOST_PEOPLE = 5
_LONGEST = 256 << 10  # characters of a record that are looked at
_WORD = re.compile(r"[a-z0-9_][a-z0-9._%+@-]{3,}")
_COLONS = re.compile(r"[0-9a-f]{0,4}:[0-9a-f:.]{3,40}")
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,15}://[^\s\"'<>\\]{3,2000}")
_WHO = ("user.id", "api_key.id", "client.address")

_HELP = (
    "Look up what the feed says about it, and what else the user or address did at that time."
    " If it is harmless, tell who publishes the feed."
)
_FOUND = {
    kind: Rule(
        id=f"threat-intel-{kind}", title=title, severity=Severity.HIGH,
        confidence=Confidence.HIGH, description="A record holds an indicator of a feed.",
        help=_HELP, tags=("attack.t1071",),
    )
    for kind, title in (
        ("address", "An address of a feed"), ("domain", "A domain of a feed"),
        ("url", "A URL of a feed"), ("hash", "A hash of a feed"),
        ("email", "A mail address of a feed"), ("pattern", "A pattern of a feed"),
    )
}  # fmt: skip
_NO_FEED = Rule(
    id="threat-intel-no-feed", title="No feed was given", severity=Severity.LOW,
    confidence=Confidence.HIGH, description="Only the harmless EICAR test file was looked for.",
    help="Give a feed under `feeds` in the plugin's configuration, or run without this plugin.",
)  # fmt: skip


@dataclass(slots=True)
class _Sighting:
    first: Event
    value: str
    last: datetime
    count: int = 0
    people: dict[str, None] = field(default_factory=dict)


class ThreatIntel(LogAnalysisPlugin):
    """Looks every word of a record up."""

    rules = (*_FOUND.values(), _NO_FEED)

    def start(self, context) -> None:
        """Read the feeds of the package and of the configuration. Raises ConfigError."""
        self._indicators: list[Indicator] = []
        self._by_value: dict[tuple[str, str], list[int]] = {}
        self._prefixes: dict[int, set[int]] = {4: set(), 6: set()}
        self._unused: Counter[str] = Counter()
        self._expired = 0
        self._seen: dict[int, _Sighting] = {}
        self._first: Event | None = None
        self._most = context.config.get("most", 1000)
        for name, kind, value in (*_packaged(), *_configured(context.config.get("feeds", []))):
            before = len(self._indicators)
            for one in read_feed(name, kind, value, self._unused):
                self._add(one)
            if len(self._indicators) == before:
                why = ", ".join(f"{number} {reason}" for reason, number in self._unused.items())
                raise ConfigError(f"feeds: {name}: holds no indicator that can be used ({why})")
        self._is_empty = all(one.feed == _TEST_FEED for one in self._indicators)

    def _add(self, one: Indicator) -> None:
        if len(self._indicators) >= _MOST_INDICATORS:
            raise ConfigError(
                f"feeds: more than {_MOST_INDICATORS:,} indicators; `tavo logs analyze --intel`"
                " takes a million"
            )
        number = len(self._indicators)
        self._indicators.append(one)
        for kind, value in dict.fromkeys(_leaves(one.expression)):
            if kind == "address" and "/" in value:
                network = ipaddress.ip_network(value)
                self._prefixes[network.version].add(network.prefixlen)
            self._by_value.setdefault((kind, value), []).append(number)

    def analyze_logs(self, log_entries: Iterable[Event]) -> Analysis:
        """Look up the words of every record."""
        for event in log_entries:
            self._first = self._first or event
            found = {key for key in self._words(_text(event)) if key in self._by_value}
            at = event.time.timestamp()
            for number in sorted({n for key in found for n in self._by_value[key]}):
                one = self._indicators[number]
                if not _holds(one.expression, found):
                    continue
                if not one.since <= at < one.until:
                    self._expired += 1
                    continue
                value = next(v for k, v in _leaves(one.expression) if (k, v) in found)
                sighting = self._seen.setdefault(number, _Sighting(event, value, event.time))
                sighting.count += 1
                sighting.last = event.time
                for name in _WHO:
                    who = event.fields.get(name)
                    if isinstance(who, str) and len(sighting.people) < _MOST_PEOPLE:
                        sighting.people[f"{name} {who[:100]}"] = None
                        break
        return Analysis()

    def finish_logs(self) -> Analysis:
        """Return what was seen, an indicator each."""
        seen = sorted(self._seen.items(), key=lambda item: (item[1].first.time, item[0]))
        findings = [_finding(self._indicators[n], one) for n, one in seen[: self._most]]
        if self._is_empty and self._first is not None:
            said = "No feed was given: only the harmless EICAR test file was looked for."
            findings.append(_place(_NO_FEED, self._first, said, Severity.LOW, {}))
        return Analysis(
            findings=tuple(findings),
            metrics={
                "indicators": len(self._indicators),
                "indicators left out": self._unused.total(),
                "hits outside of an indicator's time": self._expired,
                "indicators seen and not listed": max(0, len(seen) - self._most),
            },
        )

    def _words(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield what a text might hold, as kind and value."""
        words = {one.strip(".-") for one in set(_WORD.findall(text))}
        for word in words:
            yield "hash", word
            if "@" in word:
                yield "email", word
                word = word.rpartition("@")[2]
            if "." in word:
                yield from self._addresses(word)
                while "." in word:
                    yield "domain", word
                    word = word.partition(".")[2]
        for word in set(_COLONS.findall(text)):
            yield from self._addresses(word.rstrip(":."))
        for word in set(_URL.findall(text)):
            bare = word.rstrip(".,;)]}/")
            yield "url", bare
            while len(bare) > 12 and bare.rfind("/") > bare.find("://") + 2:
                bare = bare[: bare.rfind("/")]
                yield "url", bare

    def _addresses(self, word: str) -> Iterator[tuple[str, str]]:
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            return
        yield "address", str(address)
        for length in self._prefixes[address.version]:
            yield "address", str(ipaddress.ip_network(f"{address}/{length}", strict=False))


def _packaged() -> Iterator[tuple[str, str, Any]]:
    for path in sorted(_FOLDER.glob("*")):
        text = path.read_text("utf-8")
        if path.suffix != ".json":
            yield path.stem, "list", text.splitlines()
            continue
        value = json.loads(text)
        is_stix = isinstance(value, Mapping) and value.get("type") == "bundle"
        yield path.stem, "stix" if is_stix else "misp", value


def _configured(feeds: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for number, one in enumerate(feeds, start=1):
        kinds = [kind for kind in _KINDS if kind in one]
        if len(kinds) != 1 or not one.get("name"):
            raise ConfigError(
                f"feeds, number {number}: expected a name and one of {', '.join(_KINDS)}"
            )
        if one["name"] == _TEST_FEED:
            raise ConfigError(f"feeds, number {number}: the name {_TEST_FEED} is taken")
        yield one["name"], kinds[0], one[kinds[0]]


def _leaves(expression: Expression) -> Iterator[tuple[str, str]]:
    if expression[0] == "is":
        yield expression[1], expression[2]
    else:
        for part in expression[1]:
            yield from _leaves(part)


def _holds(expression: Expression, found: set[tuple[str, str]]) -> bool:
    if expression[0] == "is":
        return (expression[1], expression[2]) in found
    parts = (_holds(part, found) for part in expression[1])
    return all(parts) if expression[0] == "and" else any(parts)


def _text(event: Event) -> str:
    """Return all texts of a record together, in lower case, up to a length.

    What is percent-encoded stands there a second time, decoded: links in links are.
    """
    out: list[str] = [event.message]
    left = _LONGEST - len(event.message)
    stack: list[Any] = list(event.fields.values())
    while stack and left > 0:
        one = stack.pop()
        if isinstance(one, str):
            out.append(one[:left])
            left -= len(one)
        elif isinstance(one, Mapping):
            stack += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            stack += one
    text = "\n".join(out)
    if _ENCODED.search(text):
        text += f"\n{unquote(text)}"
    return text.lower()


def _finding(one: Indicator, sighting: _Sighting) -> Finding:
    kinds = {kind for kind, _ in _leaves(one.expression)}
    rule = _FOUND["pattern" if one.expression[0] == "and" or len(kinds) > 1 else min(kinds)]
    times = "once" if sighting.count == 1 else f"in {sighting.count:,} records"
    people = f" ({', '.join(sighting.people)})" if sighting.people else ""
    labels = ", ".join(filter(None, one.labels))
    return _place(
        rule, sighting.first,
        f"{sighting.value[:200]} of the feed {one.feed} was seen {times}{people}: {one.about}.",
        one.severity,
        {"indicator": sighting.value[:500], "feed": one.feed, "says the feed": one.about,
         "labels": labels[:500], "count": str(sighting.count), "last": sighting.last.isoformat()},
    )  # fmt: skip


def _place(
    rule: Rule, event: Event, message: str, severity: Severity, evidence: dict[str, str]
) -> Finding:
    return Finding(
        rule_id=rule.id,
        message=message,
        severity=severity,
        confidence=rule.confidence,
        location=Location(
            path=PurePosixPath(event.source),
            region=Region(start_line=event.number, end_line=event.number, end_column=2),
        ),
        evidence=evidence,
    )
