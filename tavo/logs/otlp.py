"""OTLP in JSON -> flat records, one for each span and for each log record.

Rules this module keeps:
- an attribute keeps its whole dotted name as one key; what is nested in it stays nested;
- numbers that OTLP writes as text become numbers; times stay nanoseconds as text;
- the messages in it, in whichever shape, stand beside its attributes (`tavo.logs.spans`);
- a line has at most 50,000 of them: that there are more is said.

Source: the OpenTelemetry protocol, its JSON encoding.
"""

from __future__ import annotations

from typing import Any

from tavo.logs.spans import with_messages

__all__ = ["TOO_MANY", "spans_of"]

_MOST = 50_000
TOO_MANY = f"more than {_MOST:,} spans in a line, those beyond were not read"


def spans_of(value: Any) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the records of an export, and what is wrong; none for a value that is no export."""
    out: list[dict[str, Any]] = []
    for outer, inner, items in (
        ("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords"),
    ):  # fmt: skip
        for resource in _list(value, outer):
            about = _attributes(resource.get("resource")) if isinstance(resource, dict) else {}
            for scope in _list(resource, inner):
                for item in _list(scope, items):
                    if len(out) >= _MOST:
                        return out, (TOO_MANY,)
                    if isinstance(item, dict):
                        out.append(_record(item, about, scope))
    return out, ()


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _record(item: dict[str, Any], resource: dict[str, Any], scope: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        key: item[key]
        for key in ("name", "traceId", "spanId", "parentSpanId", "startTimeUnixNano",
                    "endTimeUnixNano", "timeUnixNano", "observedTimeUnixNano", "severityText",
                    "eventName")
        if key in item
    }  # fmt: skip
    record |= _attributes(item)
    if resource:
        record["resource"] = resource
    if "body" in item:
        record["body"] = _plain(item["body"])
    status = item.get("status")
    if isinstance(status, dict):
        record["status"] = {"code": str(status.get("code", "")), **(
            {"message": status["message"]} if "message" in status else {})}  # fmt: skip
    events = [
        {"name": one.get("name"), **_attributes(one)}
        for one in _list(item, "events") if isinstance(one, dict)
    ]  # fmt: skip
    if events:
        record["events"] = events
    start, end = _number(item.get("startTimeUnixNano")), _number(item.get("endTimeUnixNano"))
    if start is not None and end is not None and end >= start:
        record["duration_ns"] = end - start
    name = scope.get("scope", {}).get("name") if isinstance(scope, dict) and isinstance(
        scope.get("scope"), dict) else None  # fmt: skip
    if name:
        record["scope"] = name
    with_messages(record)
    return record


def _attributes(holder: Any) -> dict[str, Any]:
    return {
        str(one.get("key")): _plain(one.get("value"))
        for one in _list(holder, "attributes")
        if isinstance(one, dict)
    }


def _plain(value: Any, depth: int = 0) -> Any:
    """Return what an AnyValue holds."""
    if not isinstance(value, dict) or depth > 60:
        return value
    for kind, inner in value.items():
        if kind == "intValue":
            number = _number(inner)
            return inner if number is None else number
        if kind == "arrayValue":
            return [_plain(one, depth + 1) for one in _list(inner, "values")]
        if kind == "kvlistValue":
            return {
                str(one.get("key")): _plain(one.get("value"), depth + 1)
                for one in _list(inner, "values")
                if isinstance(one, dict)
            }
        if kind in {"stringValue", "boolValue", "doubleValue", "bytesValue"}:
            return inner
    return value


def _number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lstrip("-").isdigit() and len(value) < 25:
        return int(value)
    return None
