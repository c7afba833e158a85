"""The judge with filters: what a configuration becomes, and what makes the exchanges.

Rules this module keeps:
- everything that can be wrong is found when it is built or started, before it judges anything;
- workers of plugins belong to one judge and end with it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tavo.errors import ConfigError, NotAvailableError
from tavo.proxy.chain.build import build_chain
from tavo.proxy.chain.filter import Settings
from tavo.proxy.chain.pinned import Pinned
from tavo.proxy.chain.plugins import PluginFilter, PluginFilters, Worker
from tavo.proxy.chain.scanner import Scanner
from tavo.proxy.chain.scanning import Begin
from tavo.proxy.exchange import ChainExchange
from tavo.proxy.messages import Exchange

__all__ = ["ChainJudge", "PluginWorker"]


class PluginWorker(Worker, Protocol):
    """A worker that a judge starts and ends."""

    def start(self) -> None:
        """Start it. Raises TavoError."""

    def close(self) -> None:
        """End it."""


class ChainJudge:
    """The judge of one configuration. Raises ConfigError, NotAvailableError.

    `entries` is the list `filters`; `worker_of` makes the worker of a plugin by its full id and the
    plugin's own configuration.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        *,
        observe: bool = False,
        unknown: str = "block",
        texts: bool = False,
        worker_of: Callable[[str, Mapping[str, Any]], PluginWorker] | None = None,
        pinned: Pinned | None = None,
    ) -> None:
        plain = [one for one in entries if one.get("filter") != "plugin"]
        self._begin = Begin([dict(one) for one in plain], os.urandom(32), observe)
        self.chain = build_chain(plain, key=self._begin.key, observe=observe, pinned=pinned)
        self._unknown = unknown
        self._texts = texts
        self._workers: list[PluginWorker] = []
        plugins: list[PluginFilter] = []
        for number, entry in enumerate(entries, 1):
            if entry.get("filter") == "plugin":
                plugins.append(self._plugin(entry, f"filters, number {number} (plugin)", worker_of))
        names = {one.name for one in self.chain.filters}
        for one in plugins:
            if one.name in names:
                raise ConfigError(
                    f"filters: two are called {one.name!r}",
                    hint="Give one of them another `name`.",
                )
            names.add(one.name)
        self._plugins = PluginFilters(plugins) if plugins else None
        self._said: Counter[tuple[str, str]] = Counter()

    def _plugin(
        self,
        entry: Mapping[str, Any],
        where: str,
        worker_of: Callable[[str, Mapping[str, Any]], PluginWorker] | None,
    ) -> PluginFilter:
        full_id = entry.get("plugin")
        if not isinstance(full_id, str) or not full_id:
            raise ConfigError(f"{where}: expected the id of a plugin as `plugin`")
        if worker_of is None:
            raise NotAvailableError(f"{where}: plugins cannot be started here")
        values = dict(entry)
        config = values.pop("config", {})
        if not isinstance(config, dict):
            raise ConfigError(f"{where}: config: expected a mapping, found {config!r}")
        values.setdefault("name", full_id)
        worker = worker_of(full_id, config)
        self._workers.append(worker)
        return PluginFilter(Settings(values, where), worker)

    def exchange(self) -> Exchange:
        """Make the exchange of one request."""
        return ChainExchange(
            self.chain,
            unknown=self._unknown,
            plugins=self._plugins,
            keeps_texts=self._texts,
            said=self._said,
        )

    async def start(self) -> None:
        """Start the workers of plugins, for the loop that runs. Raises TavoError."""
        import asyncio

        self.chain.scanner = Scanner(self.chain, self._begin)
        for worker in self._workers:
            await asyncio.to_thread(worker.start)

    async def retire(self) -> None:
        """End the workers of plugins, and the process that looks at long texts."""
        import asyncio

        if self.chain.scanner is not None:
            self.chain.scanner.close()
        workers, self._workers = self._workers, []
        for worker in workers:
            await asyncio.to_thread(worker.close)

    def stats(self) -> Mapping[str, object]:
        """Return figures for each filter, and for what is remembered."""
        figures: dict[str, object] = {}
        for one in self.chain.filters:
            figures[one.name] = {
                "kind": one.kind,
                "on_error": one.on_error.value,
                "failures": self.chain.failures[one.name],
                **{a: self._said[one.name, a] for a in ("modify", "block", "note", "skip")},
            }
        memo = self.chain.memo
        figures["remembered"] = {"texts": len(memo), "hits": memo.hits, "misses": memo.misses}
        return figures
