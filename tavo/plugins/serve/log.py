"""Serving a log plugin: batches of events in, findings and figures out, state over the run.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from tavo.plugins.frames import MOST_FINDINGS_PER_FILE
from tavo.plugins.interfaces import LogAnalysisPlugin
from tavo.plugins.plain import clip, finding_to_plain
from tavo.plugins.plain_values import event_from_plain
from tavo.plugins.serve.calls import Calls
from tavo.plugins.values import Analysis

__all__ = ["ServedLog"]

_MOST_METRICS = 256


class ServedLog:
    """A log plugin on the worker's side."""

    requests = frozenset({"logs"})

    def __init__(
        self,
        plugin: LogAnalysisPlugin,
        *,
        calls: Calls,
        send: Callable[[dict[str, Any]], None],
    ) -> None:
        self._plugin = plugin
        self._calls = calls
        self._send = send
        self._sources: dict[PurePosixPath, int] = {}

    def ready(self) -> dict[str, Any]:
        """Return what the plugin declares: nothing more than its rules."""
        return {}

    def answer(self, message: dict[str, Any]) -> None:
        """Answer `logs`; the last one has no events and asks for what the whole run shows."""
        for name in message["sources"]:
            self._sources.setdefault(PurePosixPath(name), len(self._sources))

        def call() -> dict[str, Any]:
            if message["end"]:
                return self._plain(self._plugin.finish_logs())
            events = [event_from_plain(event) for event in message["events"]]
            return self._plain(self._plugin.analyze_logs(events))

        result, error = self._calls.guarded(message["id"], call)
        self._send({"type": "analyzed", "id": message["id"], "result": result, "error": error})

    def _plain(self, analysis: object) -> dict[str, Any]:
        if not isinstance(analysis, Analysis):
            raise TypeError(f"returned {clip(repr(analysis), 200)}, expected tavo.plugins.Analysis")
        findings = analysis.findings[:MOST_FINDINGS_PER_FILE]
        metrics = list(analysis.metrics.items())[:_MOST_METRICS]
        return {
            "findings": [finding_to_plain(finding, self._sources) for finding in findings],
            "metrics": {clip(name, 200): value for name, value in metrics},
            "capped": len(findings) < len(analysis.findings),
        }
