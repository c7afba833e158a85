"""What a worker is to run, where it lies, what it may use, and how both sides are told so.

The messages are those of `tavo-worker/1`; who sends them when is the business of
`tavo.host.session`. Pure, no I/O. Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketplace_db.manifest import Limits
from tavo.host.bounds import resource_limits, sandbox_order
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.work_folder import LockedUpFolder

__all__ = ["WorkerPlan"]

_ENDLESS = frozenset({"proxy", "log"})  # they work as long as there is work
_CERTIFICATES = (
    "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted", "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
)  # fmt: skip
_PROXY_PORT = 3128


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What to run, where it lies, and what it may use.

    `needs` are the folders of the plugins whose code it uses, by their ids. `hosts` are those that
    its libraries may connect to through us, which needs the strongest level. `apart`: its process
    is never a copy of one that is ready, because copies share the seed of their hashes. `cpu_s` is
    the processor time that its process may use at most, None for what its limits come to.
    """

    full_id: str
    plugin_type: str
    entry_point: str
    plugin_folder: Path
    dependency_folders: tuple[Path, ...]
    config: Mapping[str, Any]
    limits: Limits
    level: SandboxLevel
    python: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    needs: Mapping[str, Path] = field(default_factory=dict)
    apart: bool = False
    cpu_s: float | None = None

    @property
    def proxy_port(self) -> int:
        """Return the port of its proxy inside its own network, 0 if it has none."""
        return _PROXY_PORT if self.hosts and self.level is SandboxLevel.STRONG else 0

    def sandbox(self, folder: LockedUpFolder) -> dict[str, Any]:
        """Return what the sandbox is told when the worker works in this folder."""
        endless = self.plugin_type in _ENDLESS
        order = sandbox_order(
            self.level, self.limits, folder,
            kernel=resource_limits(self.limits, endless=endless, cpu_s=self.cpu_s),
            readable=(self.plugin_folder, *self.dependency_folders, *self.needs.values()),
            proxy=self.proxy_port, more=_CERTIFICATES if self.proxy_port else (),
        )  # fmt: skip
        return {"host_pid": os.getpid(), **order}

    def configure(self) -> dict[str, Any]:
        """Return the message that names the plugin, for a worker that is locked up."""
        return {
            "type": "configure",
            "plugin_type": self.plugin_type,
            "entry_point": self.entry_point,
            "plugin_folder": str(self.plugin_folder),
            "dependency_folders": [str(path) for path in self.dependency_folders],
            "needs": {name: str(path) for name, path in self.needs.items()},
            "config": dict(self.config),
            "environment": dict(self.variables),
        }
