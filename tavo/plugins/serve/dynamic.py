"""Serving a dynamic plugin: each prompt goes through the host, each result comes when it is there.

Rules this module keeps:
- the plugin has no network and no credentials: `target.send` asks the host and waits;
- a result is sent as soon as it is yielded, so that a crash loses only the goal that it was at;
- standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tavo.plugins.frames import MOST_FINDINGS_PER_FILE
from tavo.plugins.interfaces import DynamicTestingPlugin
from tavo.plugins.plain_values import attack_to_plain, request_to_plain, response_from_plain
from tavo.plugins.raised import one_of
from tavo.plugins.serve.calls import Calls
from tavo.plugins.values import ChatRequest, ChatResponse, Target

__all__ = ["ServedDynamic"]


class ServedDynamic:
    """A dynamic plugin on the worker's side."""

    requests = frozenset({"attack"})

    def __init__(
        self,
        plugin: DynamicTestingPlugin,
        *,
        config: Mapping[str, Any],
        calls: Calls,
        send: Callable[[dict[str, Any]], None],
        lend: Callable[[str, dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._plugin = plugin
        self._config = config
        self._calls = calls
        self._send = send
        self._lend = lend

    def ready(self) -> dict[str, Any]:
        """Return what the plugin declares."""
        threshold = self._plugin.threshold
        if isinstance(threshold, bool) or not isinstance(threshold, int | float):
            raise TypeError(f"threshold is {threshold!r}, expected a number from 0.0 to 1.0")
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold is {threshold!r}, expected a number from 0.0 to 1.0")
        return {"threshold": threshold}

    def answer(self, message: dict[str, Any]) -> None:
        """Answer `attack`."""
        request = message["id"]
        described = message["target"]
        target = Target(name=described["name"], model=described["model"], send=self._ask)

        def attack() -> bool:
            results = one_of(
                self._plugin.run_attack(target, dict(self._config)), "run_attack", "results"
            )
            for yielded, result in enumerate(results):
                if yielded >= MOST_FINDINGS_PER_FILE:
                    return True
                plain = attack_to_plain(result)
                self._send({"type": "attacked", "id": request, "results": [plain]})
            return False

        capped, error = self._calls.guarded(request, attack)
        self._send({"type": "attack_end", "id": request, "error": error, "capped": bool(capped)})

    def _ask(self, request: ChatRequest) -> ChatResponse:
        if not isinstance(request, ChatRequest):
            raise TypeError(f"target.send was given {request!r}, expected a ChatRequest")
        return response_from_plain(self._lend("send", request_to_plain(request)), request)
