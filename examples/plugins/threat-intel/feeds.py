"""Feeds -> indicators: STIX 2.1 bundles, MISP events, plain lists.

Rules this module keeps:
- what a feed says about an indicator counts: revoked, not valid any more, context and no indicator
  (`to_ids`); what cannot be used is counted by its reason, never guessed;
- a pattern is looked for as it is written: all of its values where it says AND.

Sources: STIX 2.1, sections 4.7 and 9; the core format of MISP.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tavo.plugins import Severity

__all__ = ["Expression", "Indicator", "read_feed"]

# ("is", kind, value) or ("and" | "or", (expression, ...))
Expression = tuple[Any, ...]
_PATHS = {
    "ipv4-addr:value": "address", "ipv6-addr:value": "address", "domain-name:value": "domain",
    "url:value": "url", "email-addr:value": "email",
}  # fmt: skip
_MISP = {
    "ip-src": "address", "ip-dst": "address", "domain": "domain", "hostname": "domain",
    "url": "url", "uri": "url", "link": "url", "md5": "hash", "sha1": "hash", "sha256": "hash",
    "sha512": "hash", "email": "email", "email-src": "email", "email-dst": "email",
    "ip-src|port": "address", "ip-dst|port": "address", "hostname|port": "domain",
    "domain|ip": "domain", "filename|md5": "hash", "filename|sha1": "hash",
    "filename|sha256": "hash",
}  # fmt: skip
_LEVELS = {"1": Severity.HIGH, "2": Severity.MEDIUM, "3": Severity.LOW, "4": Severity.MEDIUM}
_HASH = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})")
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)+[a-z0-9-]{2,63}")
_EMAIL = re.compile(r"[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}")
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>[\[\]()=,])|(?P<word>AND|OR|IN|NOT|LIKE|MATCHES|FOLLOWEDBY|WITHIN|REPEATS"
    r"|START|STOP|ISSUBSET|ISSUPERSET|[<>!]=?)|'(?P<text>(?:[^'\\]|\\.)*)'"
    r"|(?P<path>[a-z0-9-]+:[A-Za-z0-9_.'-]+))"
)
_LONGEST_PATTERN = 20_000
_DEEPEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """What is looked for, and what the feed says of it. Times are seconds since 1970."""

    feed: str
    about: str
    expression: Expression
    severity: Severity
    labels: tuple[str, ...] = ()
    since: float = float("-inf")
    until: float = float("inf")


class _UnusableError(ValueError):
    """Why an indicator cannot be used."""


def read_feed(name: str, kind: str, value: object, unused: Counter[str]) -> Iterator[Indicator]:
    """Yield the indicators of a feed; `kind` is stix, misp or list. Counts what cannot be used."""
    if kind == "list":
        for text in value if isinstance(value, list) else ():
            words = str(text).split("#", 1)[0].replace(",", " ").split()
            if words:
                try:
                    yield Indicator(feed=name, about=name, expression=_plain(words[0]),
                                    severity=Severity.HIGH)  # fmt: skip
                except _UnusableError as reason:
                    unused[str(reason)] += 1
        return
    for one in _indicators(value) if kind == "stix" else _attributes(value):
        try:
            yield _of_stix(name, one) if kind == "stix" else _of_misp(name, *one)
        except _UnusableError as reason:
            unused[str(reason)] += 1


# -- STIX


def _indicators(bundle: object) -> Iterator[Mapping[str, Any]]:
    """Yield the newest version of each indicator of a bundle."""
    newest: dict[str, Mapping[str, Any]] = {}
    objects = bundle.get("objects") if isinstance(bundle, Mapping) else None
    for one in objects if isinstance(objects, list) else ():
        if isinstance(one, Mapping) and one.get("type") == "indicator":
            key = str(one.get("id"))
            if key not in newest or str(one.get("modified")) > str(newest[key].get("modified")):
                newest[key] = one
    yield from newest.values()


def _of_stix(feed: str, one: Mapping[str, Any]) -> Indicator:
    if one.get("revoked") is True:
        raise _UnusableError("revoked")
    if one.get("pattern_type", "stix") != "stix":
        raise _UnusableError("a pattern that is not STIX")
    confidence = one.get("confidence")
    sure = confidence if isinstance(confidence, int) and not isinstance(confidence, bool) else 70
    kinds = [str(kind) for kind in one.get("indicator_types") or ()]
    severity = Severity.HIGH if sure >= 70 else Severity.MEDIUM if sure >= 30 else Severity.LOW
    return Indicator(
        feed=feed, about=str(one.get("name") or one.get("id") or feed)[:300],
        expression=_Pattern(str(one.get("pattern", ""))).read(),
        severity=Severity.INFO if kinds == ["benign"] else severity,
        labels=tuple([*kinds, *map(str, one.get("labels") or ())][:10]),
        since=_time(one.get("valid_from"), float("-inf")),
        until=_time(one.get("valid_until"), float("inf")),
    )  # fmt: skip


class _Pattern:
    """Reads `[a = 'x' AND b IN ('y', 'z')] OR [c = 'w']`; what needs several records is refused."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST_PATTERN:
            raise _UnusableError("a pattern that is too long")
        self._tokens: list[tuple[str, str]] = []
        self._deep = 0
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise _UnusableError("a pattern that is not understood")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def read(self) -> Expression:
        expression = self._joined("OR")
        if self._tokens:
            word = self._tokens[0][1]
            raise _UnusableError(f"a pattern with {word:.20}")
        return expression

    def _take(self, wanted: str = "") -> tuple[str, str]:
        if not self._tokens or (wanted and self._tokens[0][1] != wanted):
            raise _UnusableError("a pattern that is not understood")
        return self._tokens.pop(0)

    def _joined(self, word: str) -> Expression:
        parts = [self._joined("AND") if word == "OR" else self._one()]
        while self._tokens and self._tokens[0] == ("word", word):
            self._tokens.pop(0)
            parts.append(self._joined("AND") if word == "OR" else self._one())
        return parts[0] if len(parts) == 1 else (word.lower(), tuple(parts))

    def _one(self) -> Expression:
        kind, text = self._take()
        if text in {"[", "("} and kind == "sign":
            self._deep += 1
            if self._deep > _DEEPEST:
                raise _UnusableError("a pattern that is nested too deep")
            inner = self._joined("OR")
            self._take("]" if text == "[" else ")")
            self._deep -= 1
            return inner
        if kind != "path":
            raise _UnusableError(f"a pattern with {text:.20}")
        what = "hash" if text.startswith("file:hashes.") else _PATHS.get(text)
        if what is None:
            raise _UnusableError(f"a pattern about {text:.60}")
        kind, sign = self._take()
        if (kind, sign) == ("word", "IN"):
            self._take("(")
            values = [self._take()[1]]
            while self._take()[1] == ",":
                values.append(self._take()[1])
            return "or", tuple(("is", what, _value(what, one)) for one in values)
        if sign != "=":
            raise _UnusableError(f"a pattern with {sign:.20}")
        return "is", what, _value(what, re.sub(r"\\(.)", r"\1", self._take()[1]))


# -- MISP


def _attributes(value: object) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield attributes with the event that they stand in."""
    stack: list[tuple[Any, Mapping[str, Any]]] = [(value, {})]
    while stack:
        one, event = stack.pop()
        if isinstance(one, list):
            stack += [(entry, event) for entry in reversed(one)]
        elif isinstance(one, Mapping):
            if isinstance(one.get("type"), str) and isinstance(one.get("value"), str):
                yield one, event
                continue
            event = one if "info" in one else event
            stack += [(entry, event) for entry in reversed(list(one.values()))]


def _of_misp(feed: str, one: Mapping[str, Any], event: Mapping[str, Any]) -> Indicator:
    if one.get("to_ids") is not True:
        raise _UnusableError("context, not an indicator (to_ids)")
    if one.get("deleted") is True:
        raise _UnusableError("deleted")
    kind = _MISP.get(one["type"])
    if kind is None:
        raise _UnusableError(f"the type {one['type']:.40}")
    parts = one["value"].split("|")
    text = parts[1] if one["type"].startswith("filename|") and len(parts) > 1 else parts[0]
    tags = [tag["name"] for place in (event, one) for tag in place.get("Tag") or ()
            if isinstance(tag, Mapping) and isinstance(tag.get("name"), str)]  # fmt: skip
    return Indicator(
        feed=feed, about=str(one.get("comment") or event.get("info") or feed)[:300],
        expression=("is", kind, _value(kind, text)),
        severity=_LEVELS.get(str(event.get("threat_level_id")), Severity.MEDIUM),
        labels=tuple([str(one.get("category", "")), *tags][:10]),
    )  # fmt: skip


# -- values


def _plain(text: str) -> Expression:
    for kind in ("address", "hash", "url", "email", "domain"):
        try:
            return "is", kind, _value(kind, text)
        except _UnusableError:
            continue
    raise _UnusableError("a line that is no address, network, domain, URL, hash or mail address")


def _value(kind: str, text: str) -> str:
    """Return a value in the form in which it is looked for. Raises _UnusableError."""
    low = text.strip().lower().replace("[.]", ".").replace("hxxp", "http")
    if kind == "address":
        try:
            network = ipaddress.ip_network(low, strict=False)
        except ValueError:
            raise _UnusableError("an address that is none") from None
        if network.prefixlen < (8 if network.version == 4 else 16):
            raise _UnusableError("a network that is too wide")
        return str(network.network_address) if network.num_addresses == 1 else str(network)
    form = {"hash": _HASH, "domain": _DOMAIN, "email": _EMAIL}.get(kind)
    low = low.strip(".") if kind == "domain" else low.rstrip("/") if kind == "url" else low
    if form is not None and not form.fullmatch(low):
        raise _UnusableError(f"a {kind} that is none")
    if kind == "url" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[!-~]{3,2000}", low):
        raise _UnusableError("a URL that is none")
    return low


def _time(value: object, otherwise: float) -> float:
    if not isinstance(value, str):
        return otherwise
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise _UnusableError("a time that is none") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
