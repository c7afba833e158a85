"""A run as SARIF 2.1.0, with what code scanning on GitHub asks for beyond the standard.

Rules this module keeps:
- the output validates against the schema of OASIS;
- suppressed results are left out: GitHub would show them as open;
- an incomplete run says so: `executionSuccessful` is false, and each notice is a notification;
- GitHub's limits hold, and what they cut off is said in a notification.

Source: OASIS SARIF 2.1.0; GitHub, "SARIF support for code scanning".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from tavo.plugins import Confidence, Location, Rule, Severity
from tavo.results.values import Notice, Reported, Run

__all__ = ["run_to_sarif", "run_to_sarif_value"]

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_MOST_RESULTS = 25_000
_MOST_STEPS = 1_000
_MOST_TAGS = 20
_LEVELS = {
    Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning",
    Severity.LOW: "note", Severity.INFO: "note",
}  # fmt: skip
_SCORES = {
    Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5",
    Severity.LOW: "3.0", Severity.INFO: "0.0",
}  # fmt: skip
_PRECISION = {Confidence.HIGH: "high", Confidence.MEDIUM: "medium", Confidence.LOW: "low"}
_OWASP_NAMES = {"LLM": "OWASP-LLM-Top-10", "ASI": "OWASP-Agentic-Top-10"}


def run_to_sarif(run: Run, findings: Iterable[Reported]) -> str:
    """Return a run with its findings as SARIF text."""
    return json.dumps(run_to_sarif_value(run, findings), indent=1, ensure_ascii=True)


def run_to_sarif_value(run: Run, findings: Iterable[Reported]) -> dict[str, Any]:
    """Return a run with its findings as JSON-able values."""
    items = [one for one in findings if one.suppression is None]
    notices = list(run.notices)
    if len(items) > _MOST_RESULTS:
        items.sort(key=lambda one: -one.finding.severity.rank)
        cut = f"{len(items) - _MOST_RESULTS} findings of the lowest severity are left out"
        notices.append(Notice(kind="report", subject="sarif", reason=cut, incomplete=False))
        items = items[:_MOST_RESULTS]
    components = _Components(run, items)
    lines = _LineHashes()
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": components.driver, "extensions": components.extensions},
                "automationDetails": {"id": "tavo/", "guid": run.uuid},
                "invocations": [_invocation(run, notices)],
                "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "the scan's root"}}},
                "columnKind": "unicodeCodePoints",
                "taxonomies": components.taxonomies,
                "results": [_result(one, components, lines) for one in items],
            }
        ],
    }


class _Components:
    """Tool components, and where in them each rule and taxon stands."""

    def __init__(self, run: Run, items: Sequence[Reported]) -> None:
        tools: dict[str, dict[str, Rule]] = {"tavo": {}}
        for plugin in run.plugins:
            tools.setdefault(plugin.plugin, {})
        for one in items:
            tools.setdefault(one.tool, {})[one.rule.id] = one.rule
        self._index = {
            (tool, rule_id): number
            for tool, rules in tools.items()
            for number, rule_id in enumerate(sorted(rules))
        }
        self._extension = {t: n for n, t in enumerate(t for t in tools if t != "tavo")}
        taxa = _taxa(items)
        self.taxonomies = [_taxonomy(name, ids) for name, ids in taxa.items()]
        versions = {plugin.plugin: plugin.version for plugin in run.plugins}
        self.driver: dict[str, Any] = {
            "name": "tavo",
            "semanticVersion": run.info.tool_version,
            "informationUri": "https://pypi.org/project/tavo/",
            "rules": [_rule(tools["tavo"][rule_id]) for rule_id in sorted(tools["tavo"])],
            "supportedTaxonomies": [{"name": name} for name in taxa],
        }
        self.extensions = [
            {
                "name": tool,
                "version": versions.get(tool, "0"),
                "rules": [_rule(tools[tool][rule_id]) for rule_id in sorted(tools[tool])],
            }
            for tool in self._extension
        ]

    def reference(self, one: Reported) -> dict[str, Any]:
        """Return how a result names its rule."""
        reference: dict[str, Any] = {
            "id": one.rule.id,
            "index": self._index[one.tool, one.rule.id],
        }
        if one.tool != "tavo":
            reference["toolComponent"] = {"name": one.tool, "index": self._extension[one.tool]}
        return reference


def _taxa(items: Iterable[Reported]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for one in items:
        for cwe in one.rule.cwe:
            found.setdefault("CWE", set()).add(cwe)
        for entry in one.rule.owasp:
            found.setdefault(_OWASP_NAMES[entry[:3]], set()).add(entry)
    return {name: sorted(ids) for name, ids in sorted(found.items())}


def _taxonomy(name: str, ids: Sequence[str]) -> dict[str, Any]:
    organization = "MITRE" if name == "CWE" else "OWASP"
    return {
        "name": name,
        "organization": organization,
        "shortDescription": {"text": name.replace("-", " ")},
        "taxa": [{"id": _taxon(entry)} for entry in ids],
    }


def _taxon(entry: str) -> str:
    return entry.removeprefix("CWE-")


def _rule(rule: Rule) -> dict[str, Any]:
    tags = ["security", *(f"external/cwe/{cwe.lower()}" for cwe in rule.cwe)]
    tags += [*rule.owasp, *rule.tags]
    relationships = [
        {
            "target": {"id": _taxon(entry), "toolComponent": {"name": name}},
            "kinds": ["superset"],
        }
        for name, entries in (
            ("CWE", rule.cwe),
            *((_OWASP_NAMES[entry[:3]], (entry,)) for entry in rule.owasp),
        )
        for entry in entries
    ]
    text = rule.description or rule.title
    help_text = rule.help or text
    value: dict[str, Any] = {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", rule.id)),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": text},
        "help": {"text": help_text, "markdown": help_text},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {
            "security-severity": _SCORES[rule.severity],
            "precision": _PRECISION[rule.confidence],
            "tags": list(dict.fromkeys(tags))[:_MOST_TAGS],
        },
    }
    if relationships:
        value["relationships"] = relationships
    if rule.references:
        value["helpUri"] = rule.references[0]
    return value


def _result(one: Reported, components: _Components, lines: _LineHashes) -> dict[str, Any]:
    finding = one.finding
    result: dict[str, Any] = {
        "ruleId": one.rule.id,
        "rule": components.reference(one),
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": _physical(finding.location)}],
        "partialFingerprints": {
            "primaryLocationLineHash": lines.of(one),
            "tavo/v1": one.fingerprint,
        },
        "properties": {
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "security-severity": _SCORES[finding.severity],
        },
    }
    if "index" in result["rule"] and one.tool == "tavo":
        result["ruleIndex"] = result["rule"]["index"]
    if finding.evidence:
        result["properties"]["evidence"] = dict(finding.evidence)
    if finding.flow:
        steps = [
            {
                "location": {
                    "physicalLocation": _physical(step.location),
                    "message": {"text": step.message},
                }
            }
            for step in finding.flow[:_MOST_STEPS]
        ]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    if finding.fix is not None and finding.location.region is not None:
        artifact, region = _artifact(finding.location), _region(finding.location)
        region.pop("snippet", None)
        result["fixes"] = [
            {
                "description": {"text": f"The fix that {one.rule.id} suggests"},
                "artifactChanges": [
                    {
                        "artifactLocation": artifact,
                        "replacements": [
                            {"deletedRegion": region, "insertedContent": {"text": finding.fix}}
                        ],
                    }
                ],
            }
        ]
    return result


def _physical(location: Location) -> dict[str, Any]:
    value: dict[str, Any] = {"artifactLocation": _artifact(location)}
    if location.region is not None:
        value["region"] = _region(location)
    return value


def _artifact(location: Location) -> dict[str, Any]:
    return {"uri": quote(str(location.path)), "uriBaseId": "%SRCROOT%"}


def _region(location: Location) -> dict[str, Any]:
    region = location.region
    if region is None:
        return {}
    value: dict[str, Any] = {
        "startLine": region.start_line,
        "startColumn": region.start_column,
        "endLine": region.end_line,
        "endColumn": region.end_column,
    }
    if location.snippet:
        value["snippet"] = {"text": location.snippet}
    return value


def _invocation(run: Run, notices: Sequence[Notice]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "executionSuccessful": run.complete,
        "startTimeUtc": run.info.started_at,
        "toolExecutionNotifications": [_notification(notice) for notice in notices],
    }
    if run.finished_at:
        value["endTimeUtc"] = run.finished_at
    if run.exit_code is not None:
        value["exitCode"] = run.exit_code
    return value


def _notification(notice: Notice) -> dict[str, Any]:
    value: dict[str, Any] = {
        "level": "error" if notice.incomplete else "note",
        "message": {"text": f"{notice.kind} {notice.subject}: {notice.reason}"},
        "descriptor": {"id": f"tavo-{notice.kind}-not-done"},
    }
    if notice.kind == "file":
        uri = {"uri": quote(notice.subject), "uriBaseId": "%SRCROOT%"}
        value["locations"] = [{"physicalLocation": {"artifactLocation": uri}}]
    return value


class _LineHashes:
    """GitHub's `primaryLocationLineHash`: a hash of the line, and the count of equal ones.

    The hash is computed over the lines that we have, the finding's own; GitHub's own computation
    takes the following lines as well, and replaces ours only where it is missing.
    """

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()

    def of(self, one: Reported) -> str:
        value = 0
        for character in "".join(one.finding.location.snippet.split()) or one.rule.id:
            value = (value * 37 + ord(character)) & 0xFFFFFFFFFFFFFFFF
        digest = f"{value:x}"
        key = (str(one.finding.location.path), digest)
        self._seen[key] += 1
        return f"{digest}:{self._seen[key]}"
