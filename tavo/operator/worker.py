"""The process that does what the server's rows ask for: vetting, and releases with the online keys.

Rules this module keeps:
- it has the online keys and no others: what it signs are vetting reports and the catalog, never an
  approval, never a package;
- a job is claimed for a time and done once; when this process is killed, the next one does it
  again, and both vetting and releasing can be repeated;
- runs for organisations are done in threads of their own (`tavo.operator.executors`), at most once;
- it ends when it is told to, or when the server that started it is gone; a job that it has begun
  and not finished waits again.

Units: seconds, times UTC.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from marketplace_db.errors import MarketplaceError
from marketplace_db.jobs import Job, Jobs
from signing.errors import SigningError
from signing.keyring import Keyring
from tavo.errors import TavoError
from tavo.operator.executors import Executors
from tavo.operator.marketplace import OperatedMarket
from tavo.operator.policy import read_execution, read_policy
from tavo.operator.vetting.run import vet

__all__ = ["Worker"]

_log = logging.getLogger("tavo.worker")
_LEASE_S = 120.0
_RENEW_S = 30.0
_IDLE_S = 0.5
_LOOK_S = 30.0


class Worker:
    """Claims jobs of the market in a folder, one after the other."""

    def __init__(
        self,
        directory: Path,
        keyring: Keyring,
        *,
        clock: Callable[[], datetime],
        release_every_s: float = 0.0,
        accept_sandbox: tuple[str, ...] = (),
    ) -> None:
        """`release_every_s` is how often to release what is new; 0 leaves that to the operator.

        Raises ConfigError for what is wrong in market.toml, also where nothing of it is needed yet.
        """
        read_policy(directory)
        self._execution = read_execution(directory)
        self.directory = directory
        self.keyring = keyring
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.stopped = threading.Event()
        self._clock = clock
        self._release_every_s = release_every_s
        self._accept_sandbox = accept_sandbox

    def run(self, *, parent: int | None = None) -> None:
        """Do jobs until `stopped` is set, or until the parent process is no longer `parent`.

        Runs for organisations are done beside them, in threads of their own.
        """
        executors = Executors(
            self.directory, self._execution, clock=self._clock, stopped=self.stopped
        )
        executors.start()
        try:
            self._work(parent)
        finally:
            self.stopped.set()
            executors.join()

    def _work(self, parent: int | None) -> None:
        with OperatedMarket.open(self.directory, self.keyring) as place:
            jobs = Jobs(place.intake.connection)
            if not self.keyring.of("catalog"):
                _log.warning("no online keys are at hand: what is asked for waits")
            next_release = next_look = 0.0
            while not self.stopped.is_set():
                if parent is not None and os.getppid() != parent:
                    _log.info("the server is gone", extra={"fields": {}})
                    break
                now = self._clock().timestamp()
                if now >= next_look:
                    next_look = now + _LOOK_S
                    jobs.ask_for_new(now=self._clock())
                if self._release_every_s and now >= next_release:
                    next_release = now + self._release_every_s
                    jobs.ask("release", "", now=self._clock())
                if not self.keyring.of("catalog") or not self.once(jobs):
                    self.stopped.wait(_IDLE_S)
            jobs.put_back(self.name)

    def once(self, jobs: Jobs) -> bool:
        """Do one job, if one waits; return whether there was one."""
        job = jobs.claim(self.name, lease_s=_LEASE_S, now=self._clock())
        if job is None:
            return False
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(job, ended), daemon=True)
        keeper.start()
        failed = ""
        try:
            self._do(job)
        except (MarketplaceError, SigningError, TavoError, OSError) as error:
            failed = str(error)
        finally:
            ended.set()
            keeper.join()
        if self.stopped.is_set() and failed:
            return True  # told to end in the middle: it waits again
        jobs.finish(job, self.name, failed=failed, now=self._clock())
        _log.log(
            logging.WARNING if failed else logging.INFO,
            "job",
            extra={"fields": {"kind": job.kind, "subject": job.subject, "attempt": job.attempts,
                              "outcome": failed or "done"}},
        )  # fmt: skip
        return True

    def _do(self, job: Job) -> None:
        """Do a job in an own look at the market: what was released meanwhile is seen."""
        with OperatedMarket.open(self.directory, self.keyring) as place:
            if job.kind == "release":
                if self._release_every_s:
                    place.release(self._clock())
                return
            submission = place.intake.submission(job.subject)
            if submission.state != "submitted":
                return
            key = self.keyring.of("catalog")[0]
            for _ in vet(
                place, submission, key=key, accept_sandbox=self._accept_sandbox, now=self._clock()
            ):
                if self.stopped.is_set():
                    raise TavoError("told to end")

    def _keep(self, job: Job, ended: threading.Event) -> None:
        """Keep the claim while the job is done, over a connection of this thread."""
        while not ended.wait(_RENEW_S):
            with OperatedMarket.open(self.directory, self.keyring) as place:
                jobs = Jobs(place.intake.connection)
                if not jobs.renew(job, self.name, lease_s=_LEASE_S, now=self._clock()):
                    return
