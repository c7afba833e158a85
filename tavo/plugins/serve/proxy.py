"""Serving a proxy filter: one message in, one decision out, in the order they came.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tavo.plugins.interfaces import ProxyFilteringPlugin
from tavo.plugins.plain_values import (
    filter_result_to_plain,
    request_from_plain,
    response_from_plain,
)
from tavo.plugins.serve.calls import Calls

__all__ = ["ServedProxy"]


class ServedProxy:
    """A filter on the worker's side."""

    requests = frozenset({"filter"})

    def __init__(
        self,
        plugin: ProxyFilteringPlugin,
        *,
        calls: Calls,
        send: Callable[[dict[str, Any]], None],
    ) -> None:
        self._plugin = plugin
        self._calls = calls
        self._send = send

    def ready(self) -> dict[str, Any]:
        """Return what the plugin declares."""
        deadline = self._plugin.deadline_ms
        if isinstance(deadline, bool) or not isinstance(deadline, int) or deadline < 1:
            raise ValueError(f"deadline_ms is {deadline!r}, expected a whole number from 1")
        return {"deadline_ms": deadline}

    def answer(self, message: dict[str, Any]) -> None:
        """Answer `filter`."""

        def call() -> dict[str, Any]:
            request = request_from_plain(message["request"])
            if message["phase"] == "request":
                return filter_result_to_plain(self._plugin.filter_request(request))
            response = response_from_plain(message["response"], request)
            return filter_result_to_plain(self._plugin.filter_response(response))

        result, error = self._calls.guarded(message["id"], call)
        self._send({"type": "filtered", "id": message["id"], "result": result, "error": error})
