"""What every plugin of a run is given, whatever its type: its level, its lenders, its row.

Rules this module keeps:
- the level comes from where the plugin is from, and from what the user accepted for it;
- lent is what the manifest declares and the user granted with it: the hosts of `network`, the files
  of what is scanned, the programs of `subprocess`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tavo.host.hosted import HostedPlugin
from tavo.host.installations import VerifiedInstallation
from tavo.host.lending import Lender, Lenders
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, parse_acceptances
from tavo.host.stopping import Stopper
from tavo.results.values import Notice, PluginRun

__all__ = ["Project", "lenders_for", "notices_of", "plugin_run", "policy_for"]


class Project(NamedTuple):
    """What is scanned: paths that the user named, and the folder that findings are relative to."""

    root: Path
    targets: tuple[Path, ...]


def policy_for(installation: VerifiedInstallation, accept: Sequence[str]) -> LevelPolicy:
    """Return what a plugin needs; `accept` are acceptances like `L1:tavo/x`."""
    return LevelPolicy(
        required=SandboxLevel(installation.required),
        accepted=parse_acceptances(",".join(accept)),
    )


def lenders_for(
    installation: VerifiedInstallation,
    more: Mapping[str, Lender] | None = None,
    *,
    project: Project | None = None,
    stopper: Stopper | None = None,
) -> Lenders:
    """Return what is lent to a plugin: `more`, and what it declares.

    `project` is what is scanned in this run, None where nothing is; `stopper` ends programs.
    """
    permissions = installation.manifest.permissions
    lenders: dict[str, Lender] = dict(more or {})
    if permissions.network:
        from tavo.host.brokered_http import HttpLender

        lenders["http"] = HttpLender(permissions.network)
    if permissions.files == "project" and project is not None:
        from tavo.host.brokered_files import FileLender

        lenders["files"] = lenders["read"] = FileLender(project.root, project.targets)
    if permissions.subprocess:
        from tavo.host.brokered_programs import ProgramLender

        lenders["run"] = ProgramLender(
            permissions.subprocess, stopper=stopper or Stopper(),
            seconds=installation.manifest.limits.wall_s_total,
        )  # fmt: skip
    return Lenders(lenders)


def plugin_run(
    worker: HostedPlugin,
    installation: VerifiedInstallation,
    *,
    findings: int,
    host_cpu_s: float,
    requests: int = 0,
    cached: int = 0,
    level: SandboxLevel | None = None,
) -> PluginRun:
    """Return the row of a plugin that has been closed; `level` is that of answers kept before.

    `host_cpu_s` is the processor time of what the caller did for it, reading files included; what
    was spent on its verification and on starting processes is added.
    """
    statistics = worker.statistics
    return PluginRun(
        plugin=worker.full_id,
        version=worker.version,
        package=installation.installation.package.hex,
        sandbox=ran.label if (ran := _weaker(worker.level, level)) is not None else "not started",
        files=statistics.files + cached,
        calls=statistics.calls,
        findings=findings,
        skipped=statistics.skipped,
        host_cpu_s=host_cpu_s + installation.cpu_s + statistics.starter_cpu_s,
        worker_cpu_s=statistics.worker_cpu_s,
        wall_s=statistics.wall_s,
        peak_bytes=statistics.peak_memory,
        requests=requests,
        cached=cached,
    )


def _weaker(one: SandboxLevel | None, other: SandboxLevel | None) -> SandboxLevel | None:
    known = [level for level in (one, other) if level is not None]
    return min(known) if known else None


def notices_of(worker: HostedPlugin) -> list[Notice]:
    """Say why a plugin was stopped for the run, if it was."""
    if not worker.disabled:
        return []
    return [Notice(kind="plugin", subject=worker.full_id, reason=worker.disabled)]
