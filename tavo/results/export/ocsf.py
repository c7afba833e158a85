"""Findings as events of the Open Cybersecurity Schema Framework: JSON lines, one for each finding.

Rules this module keeps:
- each is a Detection Finding (class 2004) of OCSF 1.8.0, and has only attributes of that version; a
  test holds that against the published schema;
- what OCSF has no place for is in `unmapped`;
- a finding that does not count is there, with the status Suppressed;
- the text is plain ASCII, one line for each event.

Source: schema.ocsf.io, version 1.8.0. Times in milliseconds since 1970.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tavo import __version__
from tavo.plugins import Confidence, Location, Rule, Severity
from tavo.results.export.json import uncommanded_json
from tavo.results.values import Reported, Run

__all__ = ["VERSION", "ocsf_event", "ocsf_line", "run_to_ocsf"]

VERSION = "1.8.0"
_CLASS = 2004
_ACTIVITIES = {1: "Create", 2: "Update", 3: "Close"}
_SEVERITIES = {
    Severity.INFO: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_CONFIDENCES = {
    Confidence.LOW: (1, "Low"), Confidence.MEDIUM: (2, "Medium"), Confidence.HIGH: (3, "High"),
}  # fmt: skip
_RULE, _STATISTICAL = (1, "Rule"), (3, "Statistical")
_REGULAR_FILE = 1
_IP_ADDRESS = (2, "IP Address")
_USER_NAME = (4, "User Name")


def run_to_ocsf(run: Run, findings: Iterable[Reported]) -> str:
    """Return the findings of a run as JSON lines."""
    return "".join(
        ocsf_line(ocsf_event(one, run=run.uuid, at=run.finished_at or run.info.started_at))
        for one in findings
    )


def ocsf_line(event: Mapping[str, Any]) -> str:
    """Return an event as a line of JSON in ASCII."""
    return uncommanded_json(json.dumps(event, separators=(",", ":"))) + "\n"


def ocsf_event(
    one: Reported, *, run: str, at: str, activity: int = 1, uid: str = "", sequence: int = 0
) -> dict[str, Any]:
    """Return a finding as an event.

    `run` is the run's identity and `at` the time at which it was found. `activity` is 1 for new, 2
    for grown, 3 for over; `uid` stands for the fingerprint where that is not the identity.
    """
    finding, rule = one.finding, one.rule
    severity_id, severity = _SEVERITIES[finding.severity]
    confidence_id, confidence = _CONFIDENCES[finding.confidence]
    status_id, status = (1, "New") if one.suppression is None else (3, "Suppressed")
    found = _milliseconds(at)
    first, last = (_milliseconds(finding.evidence.get(name, "")) for name in ("first", "last"))
    evidences = _evidences(one)
    event: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Detection Finding",
        "type_uid": _CLASS * 100 + activity,
        "type_name": f"Detection Finding: {_ACTIVITIES[activity]}",
        "time": found or 0,
        "start_time": first,
        "end_time": last,
        "severity_id": severity_id,
        "severity": severity,
        "confidence_id": confidence_id,
        "confidence": confidence,
        "status_id": status_id,
        "status": status,
        "status_detail": one.suppression.reason if one.suppression is not None else None,
        "is_alert": activity == 1 and one.suppression is None,
        "message": finding.message,
        "metadata": _some({
            "version": VERSION,
            "product": {"name": "tavo", "vendor_name": "tavo", "version": __version__},
            "correlation_uid": run,
            "sequence": sequence or None,
            "uid": f"{run}/{uid or one.fingerprint}/{activity}{f'/{sequence}' if sequence else ''}",
        }),
        "finding_info": _info(one, uid or one.fingerprint, found, first, last),
        "evidences": evidences,
        "observables": _observables(evidences),
        "resources": [_resource(finding.location)],
        "remediation": _remediation(rule),
        "unmapped": {
            "tool": one.tool,
            "baseline_state": one.baseline_state or None,
            "fix": finding.fix,
            "evidence": dict(finding.evidence),
        },
    }  # fmt: skip
    event["unmapped"] = _some(event["unmapped"])
    return _some(event)


def _some(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what there is of an object."""
    return {name: one for name, one in value.items() if one not in (None, "", [], {})}


def _info(
    one: Reported, uid: str, found: int | None, first: int | None, last: int | None
) -> dict[str, Any]:
    finding, rule = one.finding, one.rule
    type_id, kind = _STATISTICAL if rule.id.startswith("anomaly-") else _RULE
    tags = [
        {"name": name, "values": list(values)}
        for name, values in (("cwe", rule.cwe), ("owasp", rule.owasp), ("tags", rule.tags))
        if values
    ]
    return _some({
        "uid": uid,
        "title": rule.title,
        "desc": rule.description,
        "created_time": found,
        "first_seen_time": first,
        "last_seen_time": last,
        "data_sources": [str(finding.location.path)],
        "analytic": {"uid": rule.id, "name": rule.title, "type_id": type_id, "type": kind},
        "attacks": [
            {"technique": {"uid": tag}} for tag in rule.tags if tag.startswith(("AML.T", "T1"))
        ],
        "tags": tags,
        "types": ["log" if "records" in finding.evidence else "code"],
    })  # fmt: skip


def _evidences(one: Reported) -> list[dict[str, Any]]:
    """Return the places that a finding is made of."""
    finding = one.finding
    places = [(finding.location, "")]
    places = [(step.location, step.message) for step in finding.flow] or places
    user = _only(finding.evidence.get("user.id", ""))
    address = _only(finding.evidence.get("client.address", ""))
    out = []
    for location, said in places:
        region = location.region
        out.append(_some({
            "name": f"{location.path}:{region.start_line}" if region else str(location.path),
            "file": _file(location),
            "actor": {"user": {"name": user}} if user else None,
            "src_endpoint": {"ip": address} if _is_address(address) else None,
            "data": _some({
                "said": said, "line": region.start_line if region else None,
                "text": location.snippet,
            }),
        }))  # fmt: skip
    return out


def _only(text: str) -> str:
    """Return the value of evidence that has one only: several are counted, as `a (2), b (1)`."""
    return "" if text.endswith(")") and " (" in text else text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _observables(evidences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first = evidences[0]
    out = []
    if "src_endpoint" in first:
        kind, name = _IP_ADDRESS
        out.append({
            "name": "evidences[0].src_endpoint.ip", "type_id": kind, "type": name,
            "value": first["src_endpoint"]["ip"],
        })  # fmt: skip
    if "actor" in first:
        kind, name = _USER_NAME
        out.append({
            "name": "evidences[0].actor.user.name", "type_id": kind, "type": name,
            "value": first["actor"]["user"]["name"],
        })  # fmt: skip
    return out


def _file(location: Location) -> dict[str, Any]:
    path = location.path
    return {"name": path.name, "path": str(path), "type_id": _REGULAR_FILE, "type": "Regular File"}


def _resource(location: Location) -> dict[str, Any]:
    return {"name": str(location.path), "type": "file"}


def _remediation(rule: Rule) -> dict[str, Any] | None:
    if not rule.help:
        return None
    return _some({"desc": rule.help, "references": list(rule.references)})


def _milliseconds(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
