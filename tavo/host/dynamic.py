"""Dynamic plugins at work: attacks in, judged results out; each prompt goes through the host.

Rules this module keeps:
- the plugin needs the permission `target`, and a target that the user named;
- results come one by one, so that a plugin that dies keeps what it had found by then;
- an attack is never repeated by itself: it may have changed the system under test.

Units: times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tavo.errors import RefusedError
from tavo.host.batches import Failure
from tavo.host.hosted import HostedPlugin
from tavo.host.installations import VerifiedInstallation
from tavo.host.judgements import check_attack
from tavo.host.messages import Attacked, AttackEnd, ItemError, Message, Ready, ViolationError
from tavo.host.session import CrashError
from tavo.plugins.frames import MOST_FINDINGS_PER_FILE
from tavo.plugins.values import AttackResult

__all__ = ["DynamicOutcome", "DynamicWorker"]

_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicOutcome:
    """What an attack gave; with a failure it is not complete."""

    results: tuple[AttackResult, ...]
    failures: tuple[Failure, ...]


class DynamicWorker(HostedPlugin):
    """Runs one dynamic plugin against one target."""

    plugin_type: ClassVar[str] = "dynamic"
    threshold = 0.5

    def __init__(self, installation: VerifiedInstallation, **options: Any) -> None:
        """Prepare to run the plugin. Raises as `HostedPlugin`, RefusedError without `target`."""
        super().__init__(installation, **options)
        if not self._manifest.permissions.target:
            raise RefusedError(
                f"{self.full_id}: does not declare the permission target, so it has nothing to"
                " attack",
                hint="Its author adds `target: true` below permissions in plugin.yaml.",
            )

    def run(self, *, name: str, model: str = "") -> DynamicOutcome:
        """Attack the target that the lender stands for; `name` is what the plugin is told.

        Raises SandboxUnavailableError and ConfigError before anything ran.
        """
        with self._metered():
            outcome = self._attack(name, model)
        self.statistics.findings += sum(
            result.score >= self.threshold for result in outcome.results
        )
        self.statistics.skipped += len(outcome.failures)
        return outcome

    def _attack(self, name: str, model: str) -> DynamicOutcome:
        results: list[AttackResult] = []
        failures: list[Failure] = []
        ended: list[ItemError] = []
        if not self._can_go_on():
            failed = Failure(kind="disabled", reason=self.disabled)
            return DynamicOutcome(results=(), failures=(failed,))

        def collect(message: Message) -> bool:
            if isinstance(message, Attacked):
                if len(results) + len(message.results) > MOST_FINDINGS_PER_FILE:
                    raise ViolationError(f"more than {MOST_FINDINGS_PER_FILE} results")
                for wire in message.results:
                    try:
                        results.append(check_attack(wire, self.rules))
                    except ValueError as error:
                        if len(failures) < _MOST_PROBLEMS:
                            failures.append(
                                Failure(kind="invalid", reason=f"its answer is not valid: {error}")
                            )
                return False
            if not isinstance(message, AttackEnd):
                raise ViolationError(f"{type(message).__name__.lower()!r} as an answer")
            if message.error is not None:
                ended.append(message.error)
            if message.capped:
                reason = f"it gave more than {MOST_FINDINGS_PER_FILE} results; the rest is left out"
                failures.append(Failure(kind="output", reason=reason))
            return True

        try:
            content: dict[str, Any] = {"target": {"name": name, "model": model}}
            if cancel := self._request("attack", content, collect):
                failures.append(Failure(kind=cancel.kind, reason=cancel.reason))
            failures += [
                self._failure(one) for one in ended if cancel is None or one.kind != "cancelled"
            ]
        except CrashError as error:
            self._count_crash(error)
            self._end_session()
            failures.append(Failure(kind=error.kind, reason=error.reason, output=error.output))
        return DynamicOutcome(results=tuple(results), failures=tuple(failures))

    def _take(self, ready: Ready) -> None:
        self.threshold = ready.threshold
