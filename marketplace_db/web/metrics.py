"""Counts of what the server does, as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

__all__ = ["Metrics"]

_BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Requests by route, method and status, and how long they took. One thread counts."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request. `route` is a path of the table, never what a client wrote."""
        self._requests[route, method, status] += 1
        times = self._times.setdefault(route, [0] * (len(_BOUNDS) + 1))
        times[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return everything as text; `gauges` are further values by name, each with its help."""
        lines = [
            "# HELP tavo_requests_total Requests that were answered.",
            "# TYPE tavo_requests_total counter",
        ]
        lines += [
            f'tavo_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
            for (route, method, status), count in sorted(self._requests.items())
        ]
        lines += [
            "# HELP tavo_request_seconds How long requests took.",
            "# TYPE tavo_request_seconds histogram",
        ]
        for route, times in sorted(self._times.items()):
            total = 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), times, strict=True):
                total += count
                lines.append(f'tavo_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'tavo_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'tavo_request_seconds_count{{route="{route}"}} {total}')
        for name, (text, value) in sorted(gauges.items()):
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"
