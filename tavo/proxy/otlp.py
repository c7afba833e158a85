"""An exchange as a span of OTLP, and the figures of a worker as its metrics: values in, values out.

The JSON encoding of OTLP is that of Protocol Buffers with two exceptions, which are kept here: ids
are hexadecimal, and enumerations are numbers. 64-bit integers are texts.

Source: OTLP 1.7, opentelemetry-proto 1.7 (trace.proto, metrics.proto, common.proto), semantic
conventions for generative AI 1.37.

Units: times in seconds, in OTLP in nanoseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tavo import __version__
from tavo.proxy.messages import Finished, Record
from tavo.proxy.metrics import SECONDS

__all__ = ["metrics_of", "resource_of", "span_of"]

_SERVER, _ERROR = 2, 2
_CUMULATIVE = 2
_OPERATIONS = {
    "openai-chat": "chat", "openai-responses": "chat", "anthropic-messages": "chat",
    "ollama": "chat",
    "gemini": "generate_content", "openai-embeddings": "embeddings", "mcp": "execute_tool",
}  # fmt: skip
_PROVIDERS = (
    ("anthropic", "anthropic"), ("gemini", "gcp.gemini"), ("openai", "openai"),
    ("ollama", "ollama"),
)  # fmt: skip
_HOSTS = {
    "api.groq.com": "groq", "api.mistral.ai": "mistral_ai", "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai", "api.cohere.com": "cohere", "api.perplexity.ai": "perplexity",
}  # fmt: skip
_FAILED = frozenset({
    Finished.UPSTREAM_FAILED, Finished.TIMED_OUT, Finished.SHUT_DOWN, Finished.DEFECT,
})  # fmt: skip


def span_of(seen: Mapping[str, Any], ids: tuple[str, str, str]) -> dict[str, Any]:
    """Return a span; `ids` are trace, span and parent, the last empty for none."""
    trace, span, parent = ids
    record: Record | None = seen["record"]
    dialect = record.dialect if record is not None else ""
    operation = _OPERATIONS.get(dialect, "")
    model = record.model[:256] if record is not None else ""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": operation, "gen_ai.request.model": model,
        "gen_ai.provider.name": _provider(dialect, seen["host"]) if operation else "",
        "server.address": seen["host"], "server.port": seen["port"],
        "http.request.method": seen["method"], "url.path": seen["path"],
        "http.response.status_code": seen["status"] or None,
        "http.request.body.size": seen["bytes_in"], "http.response.body.size": seen["bytes_out"],
        "tavo.request_id": seen["id"], "tavo.upstream": seen["upstream"], "tavo.key": seen["key"],
        "tavo.dialect": dialect, "tavo.outcome": seen["how"].value,
    }  # fmt: skip
    if seen["first"] is not None:
        attributes["gen_ai.server.time_to_first_token"] = float(seen["first"])
    events: list[dict[str, Any]] = []
    if record is not None:
        attributes["tavo.verdict"] = record.verdict
        attributes["tavo.observed"] = record.observed or None
        attributes["tavo.unjudged"] = record.unjudged
        attributes["gen_ai.request.stream"] = record.stream
        if record.counted:
            attributes["gen_ai.usage.input_tokens"] = record.tokens_in
            attributes["gen_ai.usage.output_tokens"] = record.tokens_out
            attributes["gen_ai.usage.cache_read.input_tokens"] = record.tokens_cached or None
        events = [
            {
                "timeUnixNano": _nanos(seen["end"]), "name": "tavo.filter",
                "attributes": _attributes({
                    "tavo.filter.name": said.filter, "tavo.filter.action": said.action,
                    "tavo.filter.phase": said.where, "tavo.filter.detail": said.detail,
                }),
            }
            for said in record.said[:32]
        ]  # fmt: skip
    for name, text in (seen["texts"] or {}).items():
        attributes[f"tavo.text.{name}"] = text
    failed = seen["how"] in _FAILED or seen["status"] >= 500
    if failed or seen["status"] >= 400:
        attributes["error.type"] = seen["code"] or str(seen["status"] or seen["how"].value)
    out: dict[str, Any] = {
        "traceId": trace, "spanId": span, "flags": 1,
        "name": f"{operation} {model}".strip() or f"{seen['method']} unknown",
        "kind": _SERVER, "startTimeUnixNano": _nanos(seen["start"]),
        "endTimeUnixNano": _nanos(seen["end"]), "attributes": _attributes(attributes),
        "events": events,
        "status": {"code": _ERROR, "message": seen["code"]} if failed else {},
    }  # fmt: skip
    if parent:
        out["parentSpanId"] = parent
    return out


def resource_of(service: str, instance: str) -> dict[str, Any]:
    """Return what all spans and metrics of a worker come from."""
    return {
        "attributes": _attributes({
            "service.name": service, "service.version": __version__,
            "service.instance.id": instance,
        })
    }  # fmt: skip


def metrics_of(figures: Mapping[str, Any], began: float, now: float) -> list[dict[str, Any]]:
    """Return the metrics of a snapshot; all are sums since the start of the worker."""
    times = {"startTimeUnixNano": _nanos(began), "timeUnixNano": _nanos(now)}
    durations, firsts, tokens, costs = [], [], [], []
    for *labels, values in figures["series"]:
        at = {**times, "attributes": _labels(labels)}
        durations.append(_histogram(at, values["spans"], values["seconds"], values["count"]))
        if values["first_count"]:
            firsts.append(
                _histogram(at, values["firsts"], values["first_seconds"], values["first_count"])
            )
        for kind, name in (("in", "input"), ("out", "output"), ("cached", "input_cached")):
            if values[f"tokens_{kind}"]:
                extra = _attributes({"gen_ai.token.type": name})
                tokens.append({
                    **times, "attributes": _labels(labels) + extra,
                    "asInt": str(values[f"tokens_{kind}"]),
                })  # fmt: skip
        if values["cost"]:
            costs.append({**at, "asDouble": values["cost"]})
    actions = [
        {**times, "asInt": str(count), "attributes": _attributes({
            "tavo.filter.name": name, "tavo.filter.action": action, "tavo.filter.phase": where})}
        for name, action, where, count in figures["said"]
    ]  # fmt: skip
    out = [
        {"name": "gen_ai.server.request.duration", "unit": "s",
         "histogram": {"dataPoints": durations, "aggregationTemporality": _CUMULATIVE}},
        {"name": "gen_ai.server.time_to_first_token", "unit": "s",
         "histogram": {"dataPoints": firsts, "aggregationTemporality": _CUMULATIVE}},
        _sum("tavo.proxy.tokens", "{token}", tokens),
        _sum("tavo.proxy.cost", "{USD}", costs),
        _sum("tavo.proxy.filter.actions", "{action}", actions),
    ]  # fmt: skip
    for name, value in figures["gauges"].items():
        point = {**times, "asDouble": float(value), "attributes": []}
        if name.endswith("_total"):
            out.append(_sum(f"tavo.proxy.{name.removesuffix('_total')}", "1", [point]))
        else:
            out.append(
                {"name": f"tavo.proxy.{name}", "unit": "1", "gauge": {"dataPoints": [point]}}
            )
    return [
        one for one in out if next(v for v in one.values() if isinstance(v, dict))["dataPoints"]
    ]


# -- inside


def _sum(name: str, unit: str, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": name, "unit": unit,
        "sum": {"dataPoints": list(points), "aggregationTemporality": _CUMULATIVE,
                "isMonotonic": True},
    }  # fmt: skip


def _histogram(
    at: Mapping[str, Any], buckets: Sequence[int], total: float, count: int
) -> dict[str, Any]:
    return {
        **at, "count": str(count), "sum": total, "bucketCounts": [str(one) for one in buckets],
        "explicitBounds": list(SECONDS),
    }  # fmt: skip


def _labels(labels: Sequence[str]) -> list[dict[str, Any]]:
    dialect, model, upstream, status, outcome = labels
    return _attributes({
        "gen_ai.operation.name": _OPERATIONS.get(dialect, ""), "gen_ai.request.model": model,
        "tavo.dialect": dialect, "tavo.upstream": upstream, "tavo.outcome": outcome,
        "http.response.status_code": int(status),
    })  # fmt: skip


def _provider(dialect: str, host: str) -> str:
    if host in _HOSTS:
        return _HOSTS[host]
    return next((name for start, name in _PROVIDERS if dialect.startswith(start)), "")


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return attributes; what is empty or None is left out."""
    return [
        {"key": key, "value": _value(value)}
        for key, value in values.items()
        if value is not None and value != ""
    ]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value).encode("utf-8", "replace").decode()}


def _nanos(seconds: float) -> str:
    return str(int(seconds * 1_000_000_000))
