"""A run as JSON, schema `tavo-results/1`, published in docs/schemas/tavo-results-1.json.

The fields are a contract: one is never renamed or removed within a schema version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from tavo.plugins import Location, Rule
from tavo.results.values import Reported, Run

__all__ = ["SCHEMA", "run_to_json", "run_to_value"]

SCHEMA = "tavo-results/1"


def run_to_json(run: Run, findings: Iterable[Reported]) -> str:
    """Return a run with its findings as indented JSON."""
    return json.dumps(run_to_value(run, findings), indent=2, ensure_ascii=True)


def run_to_value(run: Run, findings: Iterable[Reported]) -> dict[str, Any]:
    """Return a run with its findings as JSON-able values."""
    items = list(findings)
    rules = {(one.tool, one.rule.id): one.rule for one in items}
    return {
        "schema": SCHEMA,
        "run": {
            "id": run.id,
            "uuid": run.uuid,
            "tool_version": run.info.tool_version,
            "command": list(run.info.command),
            "root": run.info.root,
            "started_at": run.info.started_at,
            "finished_at": run.finished_at,
            "complete": run.complete,
            "exit_code": run.exit_code,
            "files": run.files,
            "rules": run.info.rules,
            "cpu_s": round(run.cpu_s, 3),
        },
        "rules": [_rule(tool, rule) for (tool, _), rule in sorted(rules.items(), key=_by_key)],
        "findings": [_finding(one) for one in items],
        "not_done": [asdict(notice) for notice in run.notices],
        "plugins": [asdict(plugin) for plugin in run.plugins],
    }


def _by_key(item: tuple[tuple[str, str], Rule]) -> tuple[str, str]:
    return item[0]


def _rule(tool: str, rule: Rule) -> dict[str, Any]:
    return {
        "tool": tool,
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity.value,
        "confidence": rule.confidence.value,
        "description": rule.description,
        "help": rule.help,
        "cwe": list(rule.cwe),
        "owasp": list(rule.owasp),
        "tags": list(rule.tags),
        "references": list(rule.references),
    }


def _finding(one: Reported) -> dict[str, Any]:
    finding = one.finding
    return {
        "rule_id": finding.rule_id,
        "tool": one.tool,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        "location": _location(finding.location),
        "evidence": dict(finding.evidence),
        "flow": [
            {"location": _location(step.location), "message": step.message} for step in finding.flow
        ],
        "fix": finding.fix,
        "fingerprint": one.fingerprint,
        "suppression": asdict(one.suppression) if one.suppression else None,
    }


def _location(location: Location) -> dict[str, Any]:
    region = location.region
    return {
        "path": str(location.path),
        "region": None
        if region is None
        else {
            "start_line": region.start_line,
            "start_column": region.start_column,
            "end_line": region.end_line,
            "end_column": region.end_column,
        },
        "snippet": location.snippet,
    }
