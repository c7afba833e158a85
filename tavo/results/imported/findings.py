"""One run of a SARIF file -> findings, rules, and notices about what it did not do.

Rules this module keeps:
- a result that says "pass" or "absent" is no finding and is counted; one that cannot be read makes
  the import incomplete;
- what a tool could not do stays visible: a failed invocation and its errors are notices;
- an accepted suppression stays one; nothing else in the file takes a finding away.

Source: OASIS SARIF 2.1.0, sections 3.20, 3.27, 3.35 to 3.38, 3.55 to 3.58.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tavo.plugins import Confidence, Finding, Location, Rule, Severity, Step
from tavo.printable import one_line
from tavo.results.imported.descriptors import LEVELS, Descriptors, score_of
from tavo.results.imported.places import NOWHERE, OUTSIDE, Places
from tavo.results.imported.values import (
    Lost,
    bounded,
    index_in,
    mapping,
    mappings,
    plain_text,
    text,
)
from tavo.results.values import Notice, Reported, Suppression

__all__ = ["ImportedRun", "read_run"]

_LONGEST_MESSAGE = 4_000
_LONGEST_EVIDENCE = 400
_MOST_EVIDENCE = 12
_MOST_STEPS = 1_000
_MOST_PLACES = 5
_MOST_NOTICES = 100
_LONGEST_FIX = 200_000
_LONGEST_REASON = 500
_LINE_HASH = re.compile(r"[0-9a-f]{1,16}:[0-9]{1,6}\Z")
_NOT_FAILED = frozenset({"pass", "notApplicable"})
_UNSURE = frozenset({"open", "review"})
_OWN = frozenset({"security-severity", "severity", "confidence", "tags", "evidence", "precision"})


class ImportedRun(msgspec.Struct, frozen=True):
    """What a run of another tool says: its name and version, its findings, and what it left out."""

    tool: str
    version: str
    reported: tuple[Reported, ...]
    notices: tuple[Notice, ...]


def read_run(run: Mapping[str, Any], places: Places) -> ImportedRun:
    """Return what one run of a SARIF file says."""
    return _Reader(run, places).read()


class _Reader:
    def __init__(self, run: Mapping[str, Any], places: Places) -> None:
        self._run = run
        self._places = places
        self._descriptors = Descriptors(run)
        self._known_steps = mappings(run.get("threadFlowLocations"))
        self._lost = Lost()

    def read(self) -> ImportedRun:
        reported: list[Reported] = []
        results = self._run.get("results")
        for number, result in enumerate(mappings(results)):
            try:
                one = self._reported(result)
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                self._lost.add(
                    "results that cannot be read", f"results[{number}]: {error}", finding=True
                )
                continue
            if one is not None:
                reported.append(one)
        outside = sum(one.finding.location.path.parts[0] == OUTSIDE for one in reported)
        notices = [*self._invocations(), *self._losses()]
        if outside:
            notices.append(
                self._notice(
                    f"findings in files that are not below the root, shown under {OUTSIDE}/:"
                    f" {outside}; --base names the folder that the tool looked at",
                    incomplete=False,
                )
            )
        if results is not None and not isinstance(results, list):
            notices.append(self._notice("its results are no list", incomplete=True))
        elif results is None:
            notices.append(self._notice("it has no results: it did not scan", incomplete=True))
        reported.sort(key=_order)
        return ImportedRun(
            self._descriptors.tool, self._descriptors.version, tuple(reported), tuple(notices)
        )

    # -- a result

    def _reported(self, result: Mapping[str, Any]) -> Reported | None:
        kind = result.get("kind", "fail")
        if kind in _NOT_FAILED:
            self._lost.add(f"results that say {kind!r}, so no findings")
            return None
        if result.get("baselineState") == "absent":
            self._lost.add("results that say 'absent', so not there any more")
            return None
        described = self._descriptors.of(result)
        properties = mapping(result.get("properties"))
        level = self._descriptors.level(described, result)
        severity = _severity(kind, level, properties, described.descriptor)
        location, others = self._locations(result)
        rule = _with_taxa(described.rule, self._descriptors.taxa_of(mappings(result.get("taxa"))))
        finding = Finding(
            rule_id=rule.id,
            message=self._message(result, described.descriptor) or rule.title,
            location=location,
            severity=severity,
            confidence=Confidence.LOW if kind in _UNSURE else _confidence(properties, rule),
            evidence=_evidence(result, kind, described.component, others, properties),
            flow=self._flow(result),
            fix=self._fix(result, location),
        )
        return Reported(
            finding=finding,
            rule=rule,
            tool=self._descriptors.tool,
            suppression=_suppression(result, self._descriptors.tool),
            line_hash=_line_hash(result),
        )

    def _message(self, result: Mapping[str, Any], descriptor: Mapping[str, Any]) -> str:
        message = mapping(result.get("message"))
        raw = text(message.get("text")) or text(message.get("markdown"))
        if not raw:
            name = text(message.get("id"))
            known = mapping(descriptor.get("messageStrings")).get(name) or mapping(
                self._descriptors.driver.get("globalMessageStrings")
            ).get(name)
            raw = text(mapping(known).get("text")) or text(mapping(known).get("markdown"))
        arguments = message.get("arguments")
        filled = plain_text(
            bounded(raw, _LONGEST_MESSAGE * 2), arguments if isinstance(arguments, list) else ()
        )
        return bounded(filled.strip(), _LONGEST_MESSAGE)

    def _locations(self, result: Mapping[str, Any]) -> tuple[Location, list[str]]:
        """Return the place of a result, and what else it names, for people."""
        found = [
            self._location(mapping(one.get("physicalLocation")))
            for one in mappings(result.get("locations"))
            if one.get("physicalLocation")
        ]
        others = [f"also {_shown(one)}" for one in found[1:]]
        for one in mappings(result.get("relatedLocations")):
            if physical := mapping(one.get("physicalLocation")):
                said = one_line(plain_text(text(mapping(one.get("message")).get("text"))[:200]))
                others.append(f"{_shown(self._location(physical))} {said}".strip())
        if found:
            return found[0], others
        target = mapping(result.get("analysisTarget"))
        return Location(path=self._places.path(target) if target else NOWHERE), others

    def _location(self, physical: Mapping[str, Any]) -> Location:
        location, problem = self._places.location(physical)
        if problem:
            self._lost.add(f"places {problem}, so the file as a whole is named", str(location.path))
        return location

    def _flow(self, result: Mapping[str, Any]) -> tuple[Step, ...]:
        flows = [
            flow for code in mappings(result.get("codeFlows"))
            for flow in mappings(code.get("threadFlows"))
        ]  # fmt: skip
        if len(flows) > 1:
            self._lost.add("results with several data flows, of which the first is kept")
        known = self._known_steps
        steps: list[Step] = []
        for one in mappings(flows[0].get("locations")) if flows else ():
            index = index_in(one.get("index"), known)
            value = mapping(one.get("location")) or mapping(
                known[index].get("location") if index is not None else None
            )
            physical = mapping(value.get("physicalLocation"))
            if not physical:
                self._lost.add("steps of data flows without a file, left out")
                continue
            said = plain_text(text(mapping(value.get("message")).get("text"))[:_LONGEST_MESSAGE])
            steps.append(Step(location=self._location(physical), message=said.strip() or "goes on"))
        if len(steps) > _MOST_STEPS:
            self._lost.add(f"data flows shortened to {_MOST_STEPS} steps")
            steps = [*steps[: _MOST_STEPS - 1], steps[-1]]
        return tuple(steps)

    def _fix(self, result: Mapping[str, Any], location: Location) -> str | None:
        fixes = mappings(result.get("fixes"))
        for fix in fixes:
            changes = mappings(fix.get("artifactChanges"))
            replaced = mappings(changes[0].get("replacements")) if len(changes) == 1 else []
            if len(replaced) != 1:
                continue
            artifact = mapping(changes[0].get("artifactLocation"))
            region = mapping(replaced[0].get("deletedRegion"))
            place, _ = self._places.location({"artifactLocation": artifact, "region": region})
            inserted = mapping(replaced[0].get("insertedContent"))
            new = inserted.get("text", "" if not inserted else None)
            same = place.path == location.path and place.region == location.region
            fits = isinstance(new, str) and len(new) <= _LONGEST_FIX
            if same and location.region is not None and fits:
                return str(new)
        if fixes:
            self._lost.add("fixes of other places than that of their finding, left out")
        return None

    # -- the invocation

    def _invocations(self) -> Iterator[Notice]:
        told = 0
        for invocation in mappings(self._run.get("invocations")):
            if invocation.get("executionSuccessful") is False:
                why = (
                    text(invocation.get("exitCodeDescription"))
                    or text(invocation.get("processStartFailureMessage"))
                    or text(invocation.get("exitSignalName"))
                )
                reason = f": {one_line(bounded(why, _LONGEST_REASON))}" if why else ""
                yield self._notice(f"it says that it did not succeed{reason}", incomplete=True)
            for key in ("toolExecutionNotifications", "toolConfigurationNotifications"):
                for one in mappings(invocation.get(key)):
                    notice = self._notification(one)
                    if notice is None:
                        continue
                    told += 1
                    if told <= _MOST_NOTICES:
                        yield notice
        if told > _MOST_NOTICES:
            yield self._notice(
                f"notifications beyond the first {_MOST_NOTICES}: {told - _MOST_NOTICES}",
                incomplete=True,
            )

    def _notification(self, value: Mapping[str, Any]) -> Notice | None:
        level = value.get("level", "warning")
        if level == "none":
            return None
        said = plain_text(text(mapping(value.get("message")).get("text"))[:_LONGEST_MESSAGE])
        said = said or text(mapping(value.get("exception")).get("message"))
        said = (
            said or text(mapping(value.get("descriptor")).get("id")) or "it says nothing about it"
        )
        reason = one_line(bounded(said, _LONGEST_REASON))
        for one in mappings(value.get("locations")):
            artifact = mapping(mapping(one.get("physicalLocation")).get("artifactLocation"))
            path = self._places.path(artifact) if artifact else NOWHERE
            if path != NOWHERE:
                reason = f"{path}: {reason}"
                break
        return self._notice(reason, incomplete=level == "error")

    def _losses(self) -> Iterator[Notice]:
        for sentence, findings in self._lost.sentences():
            yield self._notice(sentence, incomplete=findings)

    def _notice(self, reason: str, *, incomplete: bool) -> Notice:
        return Notice(
            kind="engine", subject=self._descriptors.tool, reason=reason, incomplete=incomplete
        )


def _order(one: Reported) -> tuple[str, int, int]:
    region = one.finding.location.region
    line, column = (region.start_line, region.start_column) if region is not None else (0, 0)
    return str(one.finding.location.path), line, column


def _severity(
    kind: Any, level: str, properties: Mapping[str, Any], descriptor: Mapping[str, Any]
) -> Severity:
    if kind == "informational":
        return Severity.INFO
    score = score_of(properties) or score_of(mapping(descriptor.get("properties")))
    return score or LEVELS[level]


def _confidence(properties: Mapping[str, Any], rule: Rule) -> Confidence:
    for key in ("confidence", "issue_confidence", "precision"):
        try:
            return Confidence(text(properties.get(key)).lower())
        except ValueError:
            continue
    return rule.confidence


def _with_taxa(rule: Rule, taxa: Iterator[str]) -> Rule:
    cwe = [one for one in taxa if re.fullmatch(r"CWE-[1-9][0-9]{0,5}", one) and one not in rule.cwe]
    return dataclasses.replace(rule, cwe=(*rule.cwe, *cwe)) if cwe else rule


def _evidence(
    result: Mapping[str, Any], kind: Any, component: str, others: Sequence[str],
    properties: Mapping[str, Any],
) -> dict[str, str]:  # fmt: skip
    """Return what a result says besides: our own evidence, or its properties that are short."""
    own = properties.get("evidence")
    if isinstance(own, dict) and all(isinstance(v, str) for v in own.values()):
        found = {bounded(str(k), 100): bounded(v, 2_000) for k, v in own.items()}
    else:
        found = {
            bounded(str(key), 100): bounded(str(value), _LONGEST_EVIDENCE)
            for key, value in properties.items()
            if key not in _OWN and isinstance(value, str | int | float) and str(value).strip()
        }
        found = dict(list(found.items())[:_MOST_EVIDENCE])
    if kind not in ("fail", None):
        found["kind"] = bounded(str(kind), 60)
    if component and "rule set" not in found:
        found["rule set"] = bounded(component, _LONGEST_EVIDENCE)
    logical = [
        text(one.get("fullyQualifiedName")) or text(one.get("name"))
        for place in mappings(result.get("locations"))
        for one in mappings(place.get("logicalLocations"))
    ]
    if named := [one for one in logical if one]:
        found["in"] = bounded(named[0], _LONGEST_EVIDENCE)
    if others:
        more = f"; and {len(others) - _MOST_PLACES} more" if len(others) > _MOST_PLACES else ""
        found["related"] = bounded("; ".join(others[:_MOST_PLACES]) + more, 2_000)
    return found


def _suppression(result: Mapping[str, Any], tool: str) -> Suppression | None:
    """Return the suppression of a result: one is accepted, none is in doubt (section 3.27.23)."""
    given = mappings(result.get("suppressions"))
    states = [one.get("status", "accepted") for one in given]
    if not given or any(state != "accepted" for state in states):
        return None
    first = given[0]
    kind = "inSource" if first.get("kind") == "inSource" else "external"
    reason = one_line(bounded(text(first.get("justification")), _LONGEST_REASON))
    line = 0
    if kind == "inSource":
        physical = mapping(mapping(first.get("location")).get("physicalLocation"))
        at = mapping(physical.get("region")).get("startLine")
        line = at if isinstance(at, int) and not isinstance(at, bool) and 0 < at < 1 << 31 else 0
    return Suppression(kind=kind, reason=reason or f"suppressed in {tool}", line=line)


def _line_hash(result: Mapping[str, Any]) -> str:
    given = text(mapping(result.get("partialFingerprints")).get("primaryLocationLineHash"))
    return given if _LINE_HASH.match(given) else ""


def _shown(location: Location) -> str:
    region = location.region
    return f"{location.path}:{region.start_line}" if region is not None else str(location.path)
