"""The threads that do runs for organisations: claim, do, write down how it ended, once.

Rules this module keeps:
- a run is claimed in the database before anything of it is done, and nothing is claimed twice;
- a claim is kept while its run is done; who cannot keep it any more, or is told that the run is
  cancelled, ends the plugin at once;
- told to end, a run that is being done has failed and costs nothing: it is not put back, because it
  may have reached its target;
- what cannot be written down now, because the disk is full, is tried again until the claim is over.

Units: seconds, times UTC.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from marketplace_db.catalog import Catalog
from marketplace_db.errors import MarketplaceError
from marketplace_db.execution_limits import ExecutionLimits
from marketplace_db.executions import Claimed, End, Executions
from marketplace_db.intake import Market
from signing.client import DirectorySource, TrustState, prune, refresh
from signing.errors import SigningError
from tavo.host.stopping import Stopper
from tavo.operator.execution import Offer, Resolve, carry_out

__all__ = ["Executors"]

_log = logging.getLogger("tavo.executions")
_NO_BUILD_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_IDLE_S = 0.3
_LOOK_S = 0.5
_SWEEP_S = 60.0
_AFTER_ERROR_S = 5.0
_STOPPED = "the service was stopped; an attack is never begun a second time, and this one is free"
_LOST = "its worker lost its claim"


class Executors:
    """Does runs of the market in a folder, `limits.at_once` at a time, until `stopped` is set."""

    def __init__(
        self,
        directory: Path,
        limits: ExecutionLimits,
        *,
        clock: Callable[[], datetime],
        stopped: threading.Event,
        environment: Mapping[str, str] = os.environ,
        resolve: Resolve | None = None,
        lease_s: float = 60.0,
    ) -> None:
        """`environment` has the credentials of targets; `lease_s` is how long a claim is kept."""
        self.directory = directory
        self.limits = limits
        self._clock = clock
        self._stopped = stopped
        self._environment = environment
        self._resolve = resolve
        self._lease_s = lease_s
        self._state = TrustState()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads, if the operator lets others run anything."""
        if not self.limits.enabled:
            return
        for number in range(self.limits.at_once):
            thread = threading.Thread(target=self._work, args=(number,), name=f"run-{number}")
            thread.start()
            self._threads.append(thread)

    def join(self) -> None:
        """Wait for the threads, which end soon after `stopped` is set."""
        for thread in self._threads:
            thread.join()

    def once(self, executions: Executions, worker: str) -> bool:
        """Do one run, if one waits; return whether there was one."""
        claimed = executions.claim(
            worker,
            running=lambda organization: self.limits.of(organization).running,
            lease_s=self._lease_s,
            now=self._clock(),
        )
        if claimed is None:
            return False
        watch = _Watch(self, claimed, worker)
        watch.start()
        try:
            end = self._done(claimed, watch.stopper)
        finally:
            watch.close()
        self._write(executions, claimed, worker, watch.judged(end))
        return True

    # -- inside

    def _work(self, number: int) -> None:
        worker = f"{os.getpid()}-{number}-{uuid.uuid4().hex[:8]}"
        while not self._stopped.is_set():
            try:
                with Market.open(self.directory) as market:
                    self._go_on(Executions(market.connection), worker, sweeps=number == 0)
            except (MarketplaceError, OSError) as error:
                _log.error("runs cannot be claimed now: %s", error)
                self._stopped.wait(_AFTER_ERROR_S)

    def _go_on(self, executions: Executions, worker: str, *, sweeps: bool) -> None:
        """Do what waits, and delete results whose time is over, until told to end."""
        next_sweep = 0.0
        while not self._stopped.is_set():
            if sweeps and time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + _SWEEP_S
                executions.delete_results(now=self._clock())
            if not self.once(executions, worker):
                self._stopped.wait(_IDLE_S)

    def _done(self, claimed: Claimed, stopper: Stopper) -> End:
        try:
            with self._lock:  # one at a time, as the state of trust is one
                offer = self._offer()
        except (MarketplaceError, SigningError, OSError) as error:
            return End(state="failed", outcome=f"the catalog cannot be used: {error}")
        try:
            return carry_out(
                claimed,
                offer,
                environment=self._environment,
                stopper=stopper,
                resolve=self._resolve,
            )
        except Exception:  # noqa: BLE001  # a defect of ours is no reason for a run without an end
            _log.exception("a run failed")
            return End(state="failed", outcome="a defect of this service; its log says what")
        finally:
            offer.catalog.close()

    def _offer(self) -> Offer:
        """Verify the repository as it is now."""
        repository = self.directory / "repository"
        cache = self.directory / "executed"
        done = refresh(
            DirectorySource(repository.resolve()),
            root=(repository / "metadata" / "1.root.json").read_bytes(),
            cache=cache,
            state=self._state,
            now=self._clock(),
            build_time=_NO_BUILD_TIME,
        )
        self._state = done.state
        catalog = Catalog.open(done.catalog)
        prune(cache, [done.record])
        return Offer(catalog=catalog, publishers=done.publishers, repository=repository)

    def _write(self, executions: Executions, claimed: Claimed, worker: str, end: End) -> None:
        """Write how a run ended; try again while that cannot be written."""
        run = claimed.execution
        until = time.monotonic() + max(self._lease_s, 1.0)
        written = False
        while True:
            try:
                written = executions.finish(
                    run, worker, end, result_days=self.limits.result_days, now=self._clock()
                )
                break
            except MarketplaceError as error:
                _log.error("how a run ended cannot be written yet: %s", error)
                if time.monotonic() >= until:
                    break
                time.sleep(min(1.0, self._lease_s / 10))
        _log.log(
            logging.INFO if end.state == "done" and written else logging.WARNING,
            "execution",
            extra={"fields": {
                "id": run.uuid, "plugin": run.plugin, "state": end.state if written else "lost",
                "outcome": end.outcome[:200], "cpu_ms": end.used.cpu_ms,
                "requests": end.used.requests, "sandbox": end.sandbox,
            }},
        )  # fmt: skip

    def judge(self, claimed: Claimed, worker: str, executions: Executions) -> str:
        """Keep a claim; return why its run must end, empty if it need not."""
        if self._stopped.is_set():
            return _STOPPED
        said = executions.renew(claimed.execution, worker, lease_s=self._lease_s, now=self._clock())
        return {"go on": "", "cancel": "cancelled", "lost": _LOST}[said]

    @property
    def lease_s(self) -> float:
        """Return how long a claim is kept without being renewed."""
        return self._lease_s


class _Watch(threading.Thread):
    """Keeps the claim of one run, and ends its plugin when it must."""

    def __init__(self, executors: Executors, claimed: Claimed, worker: str) -> None:
        super().__init__(name="watch", daemon=True)
        self.stopper = Stopper()
        self._executors = executors
        self._claimed = claimed
        self._worker = worker
        self._ended = threading.Event()
        self._why = ""

    def run(self) -> None:
        """Look until the run has ended."""
        owner = self._executors
        wall_s = self._claimed.execution.quotas["wall_s"]
        began = kept = time.monotonic()
        while not self._ended.wait(min(_LOOK_S, owner.lease_s / 4)):
            now = time.monotonic()
            try:
                with Market.open(owner.directory) as market:
                    why = owner.judge(self._claimed, self._worker, Executions(market.connection))
                kept = now
            except (MarketplaceError, OSError) as error:
                _log.warning("a claim is not renewed: %s", error)
                why = _LOST if now - kept >= owner.lease_s else ""
            if not why and now - began >= wall_s:
                why = f"it used up its {wall_s:g} s"
            if why:
                self._why = why
                self.stopper.stop()
                return

    def close(self) -> None:
        """End the looking."""
        self._ended.set()
        self.join()

    def judged(self, end: End) -> End:
        """Return how the run ended, with what ended it from outside."""
        if not self._why or end.state != "done":
            return end
        if self._why == "cancelled":
            return end._replace(state="cancelled", outcome="cancelled while it ran", complete=False)
        if self._why in {_STOPPED, _LOST}:
            return end._replace(
                state="failed", outcome=self._why, complete=False, billed=False, result=None
            )
        return end._replace(outcome=f"{self._why}; {end.outcome}", complete=False)
