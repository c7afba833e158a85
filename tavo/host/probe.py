"""Which sandbox this machine gives, found out by locking up a worker that has no plugin.

Nothing is concluded from kernel versions or from files below /sys: they are wrong in both
directions, in containers, under WSL and on kernels with other defaults.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from marketplace_db.manifest import Limits
from tavo.host.sandbox.levels import SandboxLevel, strongest_here
from tavo.host.session import CrashError, LayerRefusedError, Session
from tavo.host.worker_plan import WorkerPlan

__all__ = ["Probe", "empty_plan", "probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found: the strongest level that holds, and why each stronger one does not.

    `landlock` is the version of the kernel's interface, 0 for none.
    """

    level: SandboxLevel
    missing: tuple[tuple[SandboxLevel, str], ...]
    namespaces: bool = False
    landlock: int = 0
    seccomp: bool = False


def probe(python: Path | None = None, *, level: SandboxLevel | None = None) -> Probe:
    """Lock up an empty worker at each level, from the strongest that this version builds.

    With `level`, that one is tried first and none above it.
    """
    missing: list[tuple[SandboxLevel, str]] = []
    if sys.platform != "win32":
        reader = os.open(os.devnull, os.O_RDONLY)
        try:
            first = strongest_here() if level is None else min(level, strongest_here())
            for number in range(first, 0, -1):
                tried = SandboxLevel(number)
                session = Session(empty_plan(tried, python or Path(sys.executable)), reader)
                try:
                    held = session.lock_up()
                except (LayerRefusedError, CrashError) as error:
                    missing.append((tried, str(error)))
                else:
                    return Probe(
                        level=tried,
                        missing=tuple(missing),
                        namespaces=held.namespaces,
                        landlock=held.landlock,
                        seccomp=held.seccomp,
                    )
                finally:
                    session.kill()
        finally:
            os.close(reader)
    return Probe(level=SandboxLevel.NONE, missing=tuple(missing))


def empty_plan(level: SandboxLevel, python: Path) -> WorkerPlan:
    """Return the plan of a worker that is locked up and has no plugin."""
    return WorkerPlan(
        full_id="tavo/probe",
        plugin_type="static",
        entry_point="nothing:Nothing",
        plugin_folder=Path("/nonexistent"),
        dependency_folders=(),
        config={},
        limits=Limits(),
        level=level,
        python=python,
    )
