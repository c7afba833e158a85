"""From a configuration to the judge that makes the exchanges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tavo.proxy.config import ProxyConfig
from tavo.proxy.messages import Judge
from tavo.proxy.passing import Passer

if TYPE_CHECKING:
    from tavo.proxy.chain.judge import PluginWorker
    from tavo.proxy.chain.pinned import Pinned

__all__ = ["OBSERVED", "WorkerOf", "judge_of"]

OBSERVED = ("hidden-text", "pii", "secrets", "injection")
"""What is watched for where nothing is configured but to observe."""


WorkerOf = Callable[[str, Mapping[str, Any]], "PluginWorker"]
"""Makes the worker of a plugin by its id and its configuration."""


def judge_of(
    config: ProxyConfig, worker_of: WorkerOf | None = None, pinned: Pinned | None = None
) -> Judge:
    """Return the judge of a configuration, not yet started. Raises ConfigError.

    `pinned` is the table of tools that all workers share.
    """
    entries = config.filters or ([{"filter": one} for one in OBSERVED] if config.observe else [])
    if not entries:
        return Passer(config.unknown_paths)
    from tavo.proxy.chain.judge import ChainJudge  # only who filters loads the filters

    return ChainJudge(
        entries,
        observe=config.observe,
        unknown=config.unknown_paths,
        texts=(config.audit is not None and config.audit.texts)
        or (config.telemetry is not None and config.telemetry.texts),
        worker_of=worker_of,
        pinned=pinned,
    )
