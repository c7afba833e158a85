"""The life of one plugin in a run: checked, started as strongly locked up as it must be, counted.

Rules this module keeps:
- only an installation that was verified just now is run, and only a granted one;
- it runs at the level that its trust needs, higher only if it declares hosts, and lower only where
  the user accepted that by name and the system does not give more;
- three deaths disable the plugin for the run; so does the end of its total time;
- an environment variable reaches a plugin only if its manifest names it and the user granted it.

Units: times in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from marketplace_db.manifest import Limits, Manifest
from tavo.errors import ConfigError, NotAvailableError, RefusedError
from tavo.host.answers import check_rules, clean
from tavo.host.arena import Arena
from tavo.host.batches import Failure, Meter, Statistics
from tavo.host.bounds import Cancel
from tavo.host.config_schema import config_problems
from tavo.host.installations import VerifiedInstallation
from tavo.host.lending import Lender
from tavo.host.messages import ItemError, Message, Ready
from tavo.host.sandbox.levels import (
    LevelPolicy,
    SandboxLevel,
    SandboxUnavailableError,
    strongest_here,
)
from tavo.host.session import CrashError, LayerRefusedError, Session
from tavo.host.stopping import Stopper
from tavo.host.worker_plan import WorkerPlan
from tavo.plugins.types import Rule

if TYPE_CHECKING:
    from tavo.host.own_programs import OwnProgramLender

__all__ = ["BY_ITSELF", "HostedPlugin", "checked_config", "unavailable"]

BY_ITSELF = Failure(kind="raised", reason="it raised CancelledCall by itself")
"""The failure of a call that says it was cancelled, and nobody had cancelled it."""

_MOST_CRASHES = 3
_KEPT_OUTPUT = 64 << 10


class HostedPlugin:
    """One plugin of one run. Use it as a context manager, from one thread at a time.

    `output` is the end of what it logged and printed, complete when it is closed.
    """

    plugin_type: ClassVar[str]

    def __init__(
        self,
        installation: VerifiedInstallation,
        *,
        python: Path | None = None,
        limits: Limits | None = None,
        policy: LevelPolicy | None = None,
        config: Mapping[str, Any] | None = None,
        lender: Lender | None = None,
        stopper: Stopper | None = None,
        apart: bool = False,
        cpu_s: float | None = None,
    ) -> None:
        """Prepare to run the plugin; nothing is started yet. `stopper` ends it from outside.

        `apart`: its processes share nothing with others, for who compares two of them. `cpu_s` is
        how much processor time each of them may use.

        Raises NotAvailableError for what this version cannot run, RefusedError when its
        permissions were not accepted, ConfigError.
        """
        manifest = installation.manifest
        _check_available(manifest, self.plugin_type)
        installation.check_granted()
        if missing := {need.full_id for need in manifest.requirements} - {
            one.installation.full_id for one in installation.needs
        }:
            raise RefusedError(
                f"{manifest.full_id}: needs {', '.join(sorted(missing))}, which was not verified"
            )
        self.full_id = manifest.full_id
        self.version = manifest.version
        self.statistics = Statistics()
        self.disabled = ""
        self.level: SandboxLevel | None = None
        self.rules: Mapping[str, Rule] = {}
        self.output = ""
        self._installation = installation
        self._manifest = manifest
        self._python = python or installation.python
        self._limits = limits or manifest.limits
        self._policy = policy or LevelPolicy()
        self._config = checked_config(manifest, config or {})
        self._stopper = stopper or Stopper()
        self._lender = lender
        self._programs: OwnProgramLender | None = None
        if manifest.programs:
            from tavo.host.own_programs import OwnProgramLender

            self._lender = self._programs = OwnProgramLender(
                installation.programs(), python=self._python, limits=self._limits,
                readable=installation.dependency_folders, stopper=self._stopper, behind=lender,
            )  # fmt: skip
        self._apart = apart
        self._cpu_s = cpu_s
        self._session: Session | None = None
        self._arena: Arena | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and self._session is not None:
            self._session.kill()
        self.close()

    def start(self) -> None:
        """Start the plugin now rather than with its first work; its rules are known afterwards.

        Raises SandboxUnavailableError, ConfigError; a plugin that does not start is `disabled`.
        """
        with self._metered():
            self._ensure_started()

    def cpu_now(self) -> float:
        """Return our thread's processor time and that of the worker that runs: for differences."""
        return time.thread_time() + (self._session.cpu_now() if self._session is not None else 0.0)

    @property
    def programs_used(self) -> frozenset[str]:
        """Return the programs of its own that it asked for."""
        return frozenset(self._programs.used if self._programs is not None else ())

    def close(self) -> None:
        """Stop the worker. The statistics are final afterwards."""
        with self._metered():
            self._end_session()
            if self._arena is not None:
                self._arena.close()
                self._arena = None

    def _take(self, ready: Ready) -> None:
        """Note what the plugin declared when it started."""

    def _can_go_on(self) -> bool:
        """Tell whether the plugin may be asked; start it if need be, disable it if it must be."""
        left = self._limits.wall_s_total - self.statistics.wall_s
        if not self.disabled and self._stopper.is_stopped:
            self.disabled = "it was stopped with the run"
        if not self.disabled and left <= 0:
            self.disabled = f"it used up its {self._limits.wall_s_total:g} s for the whole run"
        if not self.disabled:
            self._ensure_started()
        return not self.disabled

    def _request(
        self, kind: str, content: dict[str, Any], collect: Callable[[Message], bool]
    ) -> Cancel | None:
        assert self._session is not None  # noqa: S101
        self.statistics.calls += 1
        began = time.monotonic()
        left = self._limits.wall_s_total - self.statistics.wall_s
        try:
            return self._session.ask(kind, content, collect=collect, left_s=max(left, 0.0))
        finally:
            self.statistics.wall_s += time.monotonic() - began

    def _count_crash(self, crash: CrashError) -> None:
        self.statistics.crashes += 1
        if self.statistics.crashes >= _MOST_CRASHES and not self.disabled:
            self.disabled = (
                f"it was stopped for this run after {_MOST_CRASHES} crashes; the last one:"
                f" {crash.reason}"
            )

    def _ensure_started(self) -> None:
        if self.disabled or (self._session is not None and self._session.is_alive):
            return
        self._end_session()
        lowest = self._policy.lowest(self.full_id)
        strongest = strongest_here()
        if strongest < lowest:
            raise SandboxUnavailableError(
                self.full_id, lowest, "sandbox",
                f"this version builds at most {strongest.label} on {sys.platform}",
            )  # fmt: skip
        if sys.platform == "win32":
            raise NotAvailableError(
                f"{self.full_id}: plugins do not run on Windows in this version"
            )
        refused: LayerRefusedError | None = None
        wanted = self._policy.required
        if self._manifest.permissions.network:
            wanted = SandboxLevel.STRONG  # only there its libraries reach the hosts it declares
        for level in range(min(strongest, wanted), lowest - 1, -1):
            try:
                self._start_at(SandboxLevel(level))
                return
            except LayerRefusedError as error:
                refused = error
            except CrashError as error:
                self.statistics.crashes += 1
                self.disabled = error.reason
                last = error.output.strip().rpartition("\n")[2][:300]
                if last and error.kind != "start":  # a start that failed says all of it itself
                    self.disabled += f" ({last})"
                self._end_session()
                return
        assert refused is not None  # noqa: S101
        raise SandboxUnavailableError(self.full_id, lowest, refused.layer, refused.reason)

    def _start_at(self, level: SandboxLevel) -> None:
        if self._arena is None:
            self._arena = Arena()
        folders = self._installation
        plan = WorkerPlan(
            full_id=self.full_id,
            plugin_type=self.plugin_type,
            entry_point=self._manifest.entry_point,
            plugin_folder=folders.plugin_folder,
            dependency_folders=folders.dependency_folders,
            needs={one.installation.full_id: one.plugin_folder for one in folders.needs},
            config=self._config,
            limits=self._limits,
            level=level,
            python=self._python,
            variables=self._variables(),
            hosts=self._manifest.permissions.network,
            apart=self._apart,
            cpu_s=self._cpu_s,
        )
        began = time.monotonic()
        self._session = Session(plan, self._arena.reader, self._lender)
        self._stopper.attach(self._session.abort)
        self.statistics.starts += 1
        self.statistics.starter_cpu_s += self._session.starter_cpu_s
        try:
            self._session.lock_up()
            self.level = level
            if self._programs is not None:
                self._programs.level = level
            ready = self._session.start_plugin()
            try:
                rules = check_rules(ready.rules)
            except Exception as error:
                self._session.kill()
                raise CrashError("protocol", f"it broke the protocol: {error}") from error
        except BaseException:
            self._end_session()
            raise
        finally:
            self.statistics.wall_s += time.monotonic() - began
        self.rules = rules
        self._take(ready)

    def _variables(self) -> dict[str, str]:
        granted = self._installation.granted_env
        return {
            name: os.environ[name]
            for name in self._manifest.permissions.env
            if name in granted and name in os.environ
        }

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        session.close()
        self.output = (self.output + session.printed)[-_KEPT_OUTPUT:]
        self._stopper.detach(session.abort)
        self.statistics.worker_cpu_s += session.cpu_s
        self.statistics.peak_memory = max(self.statistics.peak_memory, session.peak_memory)

    def _failure(self, error: ItemError) -> Failure:
        """Return the failure of a call that ended by itself, whatever it says about that.

        Nobody had cancelled it: a call that claims so is one that was not done. One that gets no
        more memory may say so before it is seen to use too much.
        """
        if error.kind in {"cancelled", "not_run"}:
            return BY_ITSELF
        text = clean(error.message, 1000)
        reason = f"it raised {text}" if error.kind == "raised" else f"it answered with {text}"
        if text.startswith("MemoryError"):
            reason += f", {self._limits.memory_mb} MB allowed"
        return Failure(kind=error.kind, reason=reason, output=clean(error.traceback, 8192))

    def _metered(self) -> Meter:
        return Meter(self.statistics)


def _check_available(manifest: Manifest, wanted: str) -> None:
    full_id, plugin_type = manifest.full_id, manifest.plugin_type
    if plugin_type != wanted:
        raise NotAvailableError(f"{full_id}: is a {plugin_type} plugin, not a {wanted} one")
    if missing := unavailable(manifest):
        raise NotAvailableError(
            f"{full_id}: the permission {missing} is not available to a {plugin_type} plugin"
        )


def unavailable(manifest: Manifest) -> str:
    """Name a permission that this version cannot give; empty if there is none.

    A proxy and a log have no project, and who waits for an answer there cannot wait for programs.
    """
    if manifest.plugin_type not in {"proxy", "log"}:
        return ""
    if manifest.permissions.subprocess or manifest.programs:
        return "subprocess" if manifest.permissions.subprocess else "programs"
    return "" if manifest.permissions.files == "none" else f"files: {manifest.permissions.files}"


def checked_config(manifest: Manifest, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the configuration that can be sent and fits the plugin's config_schema.

    Raises ConfigError that names all that does not fit.
    """
    full_id = manifest.full_id
    try:
        copied = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{full_id}: its configuration holds more than plain values: {error}",
            hint="Use texts, numbers, true, false, lists and tables; write times as texts.",
        ) from error
    assert isinstance(copied, dict)  # noqa: S101
    if manifest.config_schema and (problems := config_problems(manifest.config_schema, copied)):
        raise ConfigError(
            f"{full_id}: its configuration does not fit: {'; '.join(problems)}",
            hint="The plugin's config_schema in plugin.yaml says what it takes.",
        )
    return copied
