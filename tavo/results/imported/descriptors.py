"""The rules of a SARIF run, in its driver and extensions -> rules of ours, and which one is meant.

Rules this module keeps:
- a rule is found by guid, by index and component, or by id, also by a part of it (`A/B` is `A`);
- ids become ids of ours in one fixed way; the id in the file stays among the tags;
- a tool is called `sarif:` and its name, which is neither `tavo` nor the id of a plugin.

Source: OASIS SARIF 2.1.0, sections 3.19, 3.27.5 to 3.27.10, 3.49 to 3.54; GitHub, "SARIF support
for code scanning", for security-severity and precision.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tavo.plugins import Confidence, Rule, Severity
from tavo.results.imported.values import bounded, index_in, mapping, mappings, plain_text, text

__all__ = ["LEVELS", "PREFIX", "Described", "Descriptors", "rule_id_of", "score_of", "tool_name"]

PREFIX = "sarif:"
"""What stands before the name of a tool whose findings were imported."""

_LONGEST = {"title": 200, "description": 4_000, "help": 20_000, "tag": 200, "uri": 2_000}
_MOST_TAGS = 50
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")
_CWE = re.compile(r"\bcwe[-/_: ]?0*([1-9][0-9]{0,5})\b", re.IGNORECASE)
_OWASP = re.compile(r"(?:LLM|ASI)(?:0[1-9]|10)(?::20[0-9]{2})?\Z")
_PRECISION = {
    "very-high": Confidence.HIGH, "high": Confidence.HIGH, "medium": Confidence.MEDIUM,
    "low": Confidence.LOW, "undefined": Confidence.LOW,
}  # fmt: skip
LEVELS = {
    "error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW, "none": Severity.INFO,
}  # fmt: skip


class Described(msgspec.Struct, frozen=True):
    """A rule of ours, with what the file says of it: its own descriptor, and its component."""

    rule: Rule
    descriptor: Mapping[str, Any]
    component: str
    level: str


class Descriptors:
    """The rules of one run. `tool` is what its findings are called."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        tool = mapping(run.get("tool"))
        self.driver = mapping(tool.get("driver"))
        self._components = [self.driver, *mappings(tool.get("extensions"))]
        self.tool = tool_name(text(self.driver.get("name")))
        self._taxonomies = mappings(run.get("taxonomies"))
        self._overrides = [
            mappings(invocation.get("ruleConfigurationOverrides"))
            for invocation in mappings(run.get("invocations"))
        ]
        self._rules = [mappings(component.get("rules")) for component in self._components]
        self._by_id: dict[str, tuple[int, int]] = {}
        self._by_guid: dict[str, tuple[int, int]] = {}
        for number, rules in enumerate(self._rules):
            for index, rule in enumerate(rules):
                for table, key in ((self._by_id, "id"), (self._by_guid, "guid")):
                    if name := text(rule.get(key)):
                        table.setdefault(name, (number, index))
                for old in _texts(rule.get("deprecatedIds")):
                    self._by_id.setdefault(old, (number, index))
        self._made: dict[tuple[int, int, str], Described] = {}
        self._ids: dict[str, str] = {}

    @property
    def version(self) -> str:
        """Return the version that the tool says it has."""
        for key in ("semanticVersion", "version", "dottedQuadFileVersion"):
            if value := text(self.driver.get(key)):
                return bounded(" ".join(value.split()), 60)
        return ""

    def of(self, result: Mapping[str, Any]) -> Described:
        """Return the rule of a result. Raises ValueError where it names none."""
        reference = mapping(result.get("rule"))
        name = text(result.get("ruleId")) or text(reference.get("id"))
        place = self._place(result, reference, name)
        if place is None and not name:
            raise ValueError("it names no rule")
        key = (*(place or (0, -1)), name)
        if key not in self._made:
            self._made[key] = self._described(place, name)
        return self._made[key]

    def level(self, described: Described, result: Mapping[str, Any]) -> str:
        """Return the level of a result (section 3.27.10)."""
        own = result.get("level")
        if isinstance(own, str) and own in LEVELS:
            return own
        provenance = mapping(result.get("provenance"))
        invocation = index_in(provenance.get("invocationIndex", 0), self._overrides)
        for override in self._overrides[invocation] if invocation is not None else ():
            at = self._place({}, mapping(override.get("descriptor")), "")
            level = mapping(override.get("configuration")).get("level")
            if at is not None and isinstance(level, str) and level in LEVELS:
                index, number = at[1], at[0]
                if self._rules[number][index] is described.descriptor:
                    return level
        return described.level

    # -- which rule

    def _place(
        self, result: Mapping[str, Any], reference: Mapping[str, Any], name: str
    ) -> tuple[int, int] | None:
        if (guid := text(reference.get("guid"))) in self._by_guid and guid:
            return self._by_guid[guid]
        component = self._component(mapping(reference.get("toolComponent")))
        index = reference.get("index", -1)
        if index_in(index, self._rules[component]) is None:
            index = result.get("ruleIndex", -1)
        at = index_in(index, self._rules[component])
        if at is not None:
            found = text(self._rules[component][at].get("id"))
            if not name or name == found or name.startswith(f"{found}/") or name not in self._by_id:
                return component, at
        name = name or text(reference.get("id"))
        while name and name not in self._by_id:
            name = name.rpartition("/")[0]
        return self._by_id.get(name)

    def _component(self, reference: Mapping[str, Any]) -> int:
        for key in ("guid", "name"):
            wanted = text(reference.get(key))
            for number, component in enumerate(self._components):
                if wanted and text(component.get(key)) == wanted:
                    return number
        index = index_in(reference.get("index"), self._components[1:])
        return 0 if index is None else index + 1

    # -- a rule of ours

    def _described(self, place: tuple[int, int] | None, name: str) -> Described:
        component, index = place or (0, -1)
        value = self._rules[component][index] if place else {}
        full = text(value.get("id")) or name
        level = mapping(value.get("defaultConfiguration")).get("level")
        level = level if isinstance(level, str) and level in LEVELS else "warning"
        properties = mapping(value.get("properties"))
        tags = _texts(properties.get("tags"))
        cwe, owasp, others = self._taxa(value, tags)
        title = _words(value.get("shortDescription")) or text(value.get("name")) or full
        own_id = self._own_id(full)
        rule = Rule(
            id=own_id,
            title=bounded(" ".join(title.split()) or own_id, _LONGEST["title"]),
            severity=score_of(properties) or LEVELS[level],
            confidence=_PRECISION.get(text(properties.get("precision")).lower(), Confidence.MEDIUM),
            description=bounded(_words(value.get("fullDescription")), _LONGEST["description"]),
            help=bounded(_markdown(value.get("help")), _LONGEST["help"]),
            cwe=tuple(cwe),
            owasp=tuple(owasp),
            tags=(*others, *([f"id:{bounded(full, _LONGEST['tag'])}"] if full != own_id else ())),
            references=tuple(_addresses(value)),
        )
        name = text(self._components[component].get("name")) if component else ""
        return Described(rule, value, name, level)

    def _own_id(self, full: str) -> str:
        """Return an id of ours; another for another rule whose id would become the same."""
        own = rule_id_of(full)
        if self._ids.setdefault(own, full) == full:
            return own
        return f"{own[:110]}-{hashlib.sha256(full.encode('utf-8', 'replace')).hexdigest()[:12]}"

    def _taxa(
        self, value: Mapping[str, Any], tags: Sequence[str]
    ) -> tuple[list[str], list[str], list[str]]:
        """Return the CWE and OWASP entries of a rule, and its other tags."""
        properties = mapping(value.get("properties"))
        named = [*tags, *_texts(properties.get("cwe")), *_texts(properties.get("owasp"))]
        named += list(self.taxa_of(mappings(value.get("relationships")), "target"))
        cwe = {f"CWE-{found}": None for one in named for found in _CWE.findall(one)}
        owasp = {one: None for one in named if _OWASP.match(one)}
        others = dict.fromkeys(
            bounded(one, _LONGEST["tag"])
            for one in tags
            if one != "security" and one not in owasp and not _CWE.search(one)
        )
        return list(cwe), list(owasp), list(others)

    def taxa_of(self, references: Sequence[Mapping[str, Any]], key: str = "") -> Iterator[str]:
        """Yield the entries of taxonomies that references name, such as CWE-79."""
        for one in references:
            target = mapping(one.get(key)) if key else one
            component = mapping(target.get("toolComponent"))
            index = index_in(component.get("index"), self._taxonomies)
            known = self._taxonomies[index] if index is not None else {}
            name = text(component.get("name")) or text(known.get("name"))
            entry = text(target.get("id"))
            if not entry:
                at = index_in(target.get("index"), taxa := mappings(known.get("taxa")))
                entry = text(taxa[at].get("id")) if at is not None else ""
            yield f"CWE-{entry}" if name.upper() == "CWE" and entry.isdigit() else entry


def tool_name(name: str) -> str:
    """Return what a tool is called here: `sarif:` and its name in small letters."""
    return PREFIX + (_NOT_IN_NAMES.sub("-", name.lower()).strip("-.")[:60].strip("-.") or "unnamed")


def rule_id_of(full: str) -> str:
    """Return the id of ours for an id of another tool: `py/sql-injection` is `py.sql-injection`."""
    own = _NOT_IN_IDS.sub("-", full.replace("/", ".")).strip("._-")
    if len(own) > 128:
        digest = hashlib.sha256(full.encode("utf-8", "replace")).hexdigest()[:12]
        own = f"{own[:115].rstrip('._-')}-{digest}"
    return own or "unnamed"


def score_of(properties: Mapping[str, Any]) -> Severity | None:
    """Return the severity of GitHub's `security-severity`, a number from 0 to 10 as text."""
    try:
        score = float(properties.get("security-severity", ""))
    except (TypeError, ValueError):
        return None
    if not 0 <= score <= 10:
        return None
    for least, severity in (
        (9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW),
    ):  # fmt: skip
        if score >= least:
            return severity
    return Severity.INFO


def _words(value: Any) -> str:
    return plain_text(bounded(text(mapping(value).get("text")), 20_000)).strip()


def _markdown(value: Any) -> str:
    found = mapping(value)
    return bounded(text(found.get("markdown")), 20_000).strip() or _words(value)


def _addresses(value: Mapping[str, Any]) -> Iterator[str]:
    address = text(value.get("helpUri"))
    if address.startswith(("https://", "http://")) and len(address) <= _LONGEST["uri"]:
        yield address


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [one for one in items if isinstance(one, str)][:_MOST_TAGS]
