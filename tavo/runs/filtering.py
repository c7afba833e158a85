"""A plugin that filters what passes through a proxy, for as long as the proxy runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tavo.host.filters import FilterWorker
from tavo.host.installations import VerifiedInstallation
from tavo.runs.hosting import lenders_for, policy_for

__all__ = ["PassingWorker"]


class PassingWorker(FilterWorker):
    """A filter's worker that has its installation to itself, and gives it back at its end.

    `say` is told at which level of the sandbox it judges. Raises as `HostedPlugin`; the
    installation is closed then.
    """

    def __init__(
        self, installation: VerifiedInstallation, *, accept: Sequence[str],
        config: Mapping[str, Any], say: Callable[[str], object],
    ) -> None:  # fmt: skip
        self._say = say
        try:
            super().__init__(
                installation,
                policy=policy_for(installation, accept),
                config=config,
                lender=lenders_for(installation),
            )
        except BaseException:
            installation.close()
            raise

    def start(self) -> None:
        """Start it. Raises NotAvailableError where it cannot start: nothing may pass without it."""
        super().start()
        if self.disabled:
            from tavo.errors import NotAvailableError

            raise NotAvailableError(f"{self.full_id}: does not start: {self.disabled}")
        if self.level is not None:
            self._say(f"{self.full_id} {self.version} judges, sandbox {self.level.label}")

    def close(self) -> None:
        """Answer nothing more, stop the worker, give the installation back."""
        try:
            super().close()
        finally:
            self._installation.close()
