"""Figures of one worker, and how those of all workers become one text for Prometheus.

Names and labels follow OpenTelemetry's conventions for generative AI where there are any
(`gen_ai.server.request.duration`, `gen_ai.server.time_to_first_token`,
`gen_ai.client.token.usage`), with the dots as underscores.

Rules this module keeps:
- what a client chooses makes a bounded number of series: a model has its own once an upstream has
  answered for it, and the first hundred do; the rest is `other`;
- a snapshot is plain JSON, and snapshots add up.

Units: durations in seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import msgspec

from tavo.proxy.http.flow import Flow
from tavo.proxy.messages import Finished, Record

__all__ = ["SECONDS", "Metrics", "Series", "added", "exposition"]

SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
            81.92)  # fmt: skip
_MOST_SERIES = 2000
_MOST_MODELS = 100
_LONGEST_MODEL = 100
_OTHER = "other"
_MOST_FILTERS = 1000


class Series(msgspec.Struct, gc=False):
    """One series of exchanges: how many, how long, how much."""

    count: int
    seconds: float
    spans: list[int]
    firsts: list[int]
    first_seconds: float
    first_count: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    cost: float
    sent: int
    estimated: int = 0


Labels = tuple[str, str, str, int, str]
_END = Finished.DONE
_DONE = _END.value


class Metrics:
    """Counts exchanges that have ended."""

    def __init__(self) -> None:
        self._series: dict[Labels, Series] = {}
        self._said: dict[tuple[str, str, str], int] = {}
        self._models: set[str] = set()

    def series_of(self, flow: Flow) -> Series:
        """Return where an exchange is counted."""
        exchange = flow.exchange
        record = exchange.record if exchange is not None else None
        dialect, model = (record.dialect, record.model) if record is not None else ("", "")
        if model not in self._models and not self._is_known(model, flow):
            model = _OTHER
        how = flow.how
        labels = (dialect, model, flow.upstream, flow.status, _DONE if how is _END else how.value)
        series = self._series.get(labels)
        return series if series is not None else self._new(labels)

    def count(self, series: Series, flow: Flow, record: Record | None, cost: float) -> None:
        """Count an exchange; `cost` in US dollars."""
        started = flow.started
        span = flow.ended - started
        series.count += 1
        series.seconds += span
        bucket = bisect_left(SECONDS, span)
        series.spans[bucket] += 1
        series.sent += flow.sent
        first_at = flow.first_at
        if first_at:
            first = first_at - started
            series.firsts[bucket if first == span else bisect_left(SECONDS, first)] += 1
            series.first_seconds += first
            series.first_count += 1
        if record is None:
            return
        if record.said:
            for said in record.said:
                self._heard(said.filter, said.action, said.where)
        if record.estimated:
            series.estimated += 1
        elif not record.counted:
            return
        series.tokens_in += record.tokens_in
        series.tokens_out += record.tokens_out
        if record.tokens_cached:
            series.tokens_cached += record.tokens_cached
        series.cost += cost

    def add(
        self, series: Series, spans: Sequence[float], firsts: Sequence[float], sent: int,
        usage: tuple[int, int, int, float],
    ) -> None:  # fmt: skip
        """Count exchanges in which nothing stood out.

        `spans` are their times, `firsts` those to the heads of their answers; `usage` is the sum of
        the tokens in, out and cached, and of the cost.
        """
        for buckets, values in ((series.spans, spans), (series.firsts, firsts)):
            found = Counter(map(bisect_left, repeat(SECONDS), values))
            for bucket, count in found.items():
                buckets[bucket] += count
        series.count += len(spans)
        series.seconds += sum(spans)
        series.first_count += len(firsts)
        series.first_seconds += sum(firsts)
        series.sent += sent
        series.tokens_in += usage[0]
        series.tokens_out += usage[1]
        series.tokens_cached += usage[2]
        series.cost += usage[3]

    def snapshot(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "series": [
                [*labels[:3], str(labels[3]), labels[4], msgspec.to_builtins(one)]
                for labels, one in self._series.items()
            ],
            "said": [[*key, count] for key, count in self._said.items()],
        }

    def _is_known(self, model: str, flow: Flow) -> bool:
        """Tell whether a model has a name of its own: an upstream has answered for it."""
        if model and not (200 <= flow.answered < 300 and len(model) <= _LONGEST_MODEL):
            return False
        if len(self._models) >= _MOST_MODELS:
            return False
        self._models.add(model)
        return True

    def _new(self, labels: Labels) -> Series:
        if len(self._series) >= _MOST_SERIES:  # an upstream that makes statuses up
            labels = (labels[0], _OTHER, labels[2], 0, labels[4])
        found = self._series.get(labels)
        if found is None:
            buckets = len(SECONDS) + 1
            found = Series(0, 0.0, [0] * buckets, [0] * buckets, 0.0, 0, 0, 0, 0, 0.0, 0)
            self._series[labels] = found
        return found

    def _heard(self, name: str, action: str, where: str) -> None:
        key = name, action, where
        if key in self._said or len(self._said) < _MOST_FILTERS:
            self._said[key] = self._said.get(key, 0) + 1


def added(snapshots: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of snapshots."""
    series: dict[tuple[str, ...], dict[str, Any]] = {}
    said: dict[tuple[str, str, str], int] = {}
    gauges: dict[str, float] = {}
    for one in snapshots:
        for *labels, values in one["series"]:
            key = tuple(labels)
            into = series.get(key)
            series[key] = values if into is None else _sum(into, values)
        for *names, count in one["said"]:
            name = tuple(names)
            said[name] = said.get(name, 0) + count
        for name, value in one.get("gauges", {}).items():
            gauges[name] = gauges.get(name, 0) + value
    return {
        "series": [[*labels, values] for labels, values in series.items()],
        "said": [[*key, count] for key, count in said.items()],
        "gauges": gauges,
    }


def exposition(
    total: Mapping[str, Any], *, used: Mapping[str, Mapping[str, float]], workers: int
) -> str:
    """Return the text that Prometheus reads."""
    lines: list[str] = []
    rows = [(_labels(labels), values) for *labels, values in total["series"]]
    _family(lines, "gen_ai_server_request_duration_seconds", "histogram",
            "Time from the head of a request to the end of its answer.")  # fmt: skip
    for labels, values in rows:
        _histogram(lines, "gen_ai_server_request_duration_seconds", labels, values["spans"],
                   values["seconds"], values["count"])  # fmt: skip
    _family(lines, "gen_ai_server_time_to_first_token_seconds", "histogram",
            "Time from the head of a request to the head of its answer.")  # fmt: skip
    for labels, values in rows:
        if values["first_count"]:
            name = "gen_ai_server_time_to_first_token_seconds"
            firsts, seconds = values["firsts"], values["first_seconds"]
            _histogram(lines, name, labels, firsts, seconds, values["first_count"])
    _family(lines, "gen_ai_client_token_usage_total", "counter",
            "Tokens as the providers counted them, or as they were estimated.")  # fmt: skip
    for labels, values in rows:
        for kind in ("in", "out", "cached"):
            if values[f"tokens_{kind}"]:
                name = {"in": "input", "out": "output", "cached": "input_cached"}[kind]
                lines.append(
                    f"gen_ai_client_token_usage_total{{{labels},"
                    f'gen_ai_token_type="{name}"}} {values[f"tokens_{kind}"]}'
                )
    _family(lines, "tavo_proxy_estimated_total", "counter",
            "Answers whose tokens the provider did not count, so that the proxy has.")  # fmt: skip
    lines += [
        f"tavo_proxy_estimated_total{{{labels}}} {values['estimated']}"
        for labels, values in rows
        if values.get("estimated")
    ]
    _family(lines, "tavo_proxy_cost_usd_total", "counter", "Cost by the prices of proxy.yaml.")
    lines += [
        f"tavo_proxy_cost_usd_total{{{labels}}} {values['cost']:.6f}"
        for labels, values in rows
        if values["cost"]
    ]
    _family(lines, "tavo_proxy_sent_bytes_total", "counter", "Bytes of answers to clients.")
    lines += [f"tavo_proxy_sent_bytes_total{{{labels}}} {v['sent']}" for labels, v in rows]
    _family(lines, "tavo_proxy_filter_actions_total", "counter",
            "What filters did: modify, block, or skip because they failed.")  # fmt: skip
    for name, action, where, count in total["said"]:
        lines.append(
            f'tavo_proxy_filter_actions_total{{filter="{_escaped(name)}",'
            f'action="{_escaped(action)}",where="{_escaped(where)}"}} {count}'
        )
    for name, value in sorted(total["gauges"].items()):
        kind = "counter" if name.endswith("_total") else "gauge"
        _family(lines, f"tavo_proxy_{name}", kind, name.replace("_", " "))
        lines.append(f"tavo_proxy_{name} {value:g}")
    _family(lines, "tavo_proxy_key_used", "gauge", "What a key has used in its current windows.")
    for key, figures in sorted(used.items()):
        lines += [
            f'tavo_proxy_key_used{{key="{_escaped(key)}",what="{what}"}} {value:g}'
            for what, value in figures.items()
        ]
    _family(lines, "tavo_proxy_workers", "gauge", "Workers that answer.")
    lines.append(f"tavo_proxy_workers {workers}")
    return "\n".join(lines) + "\n"


# -- inside


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [a + b for a, b in zip(value, other[name], strict=True)]
        if isinstance(value, list)
        else value + other[name]
        for name, value in one.items()
    }


def _labels(labels: list[str]) -> str:
    names = ("gen_ai_operation_name", "gen_ai_request_model", "tavo_upstream",
             "http_response_status_code", "tavo_outcome")  # fmt: skip
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, labels, strict=True)
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _family(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _histogram(
    lines: list[str], name: str, labels: str, buckets: list[int], total: float, count: int
) -> None:
    so_far = 0
    for bound, number in zip((*SECONDS, None), buckets, strict=True):
        so_far += number
        edge = f"{bound:g}" if bound is not None else "+Inf"
        lines.append(f'{name}_bucket{{{labels},le="{edge}"}} {so_far}')
    lines += [f"{name}_sum{{{labels}}} {total:.6f}", f"{name}_count{{{labels}}} {count}"]
