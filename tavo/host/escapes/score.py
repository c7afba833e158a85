"""The list run on this machine: every attack with its control, and what came of it.

Rules this module keeps:
- each attack is tried without the sandbox first; where it does not work then, nothing could be
  learned from its failure, and it is reported as not tried, with the reason;
- an attack is unexpected when it worked although a part of the sandbox that this level has must
  stop it; what a level does not promise is counted as worked all the same;
- everything that was made is gone afterwards, also when the run is interrupted.

Units: times in seconds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tavo.host.bounds import FOLDER_PREFIX, delete_folder
from tavo.host.escapes.listing import Attack
from tavo.host.escapes.targets import Room, UnavailableError
from tavo.host.escapes.trial import in_sandbox, without_sandbox
from tavo.host.locks import hold, let_go
from tavo.host.sandbox.levels import SandboxLevel

__all__ = ["Outcome", "run_attack", "run_list"]

State = Literal["stopped", "worked", "not_tried"]
_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attack. `level` is None for the control alone.

    `must_stop` says whether this level has the part that must stop it. `reason` is how it ended in
    the sandbox, or why it could not be tried.
    """

    attack: Attack
    level: SandboxLevel | None
    state: State
    must_stop: bool
    reason: str

    @property
    def is_bad(self) -> bool:
        """Tell whether it worked and must not."""
        return self.state == "worked" and self.must_stop


def run_list(
    chosen: Iterable[Attack],
    level: SandboxLevel | None,
    *,
    python: Path,
    has_filter: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Try the attacks at a level, or without any sandbox for None; return outcomes in order.

    `has_filter` says whether this system's L1 has the filter of system calls. Raises
    LayerRefusedError where the level cannot be had.
    """
    chosen = list(chosen)
    root = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    lock = hold(root, exclusive=False)
    pool = ThreadPoolExecutor(min(_AT_ONCE, 2 * (os.cpu_count() or 1)), "tavo-escapes")
    try:
        # those that wait for a watch first: the others fill the time
        by_name = {
            attack.name: pool.submit(
                run_attack, attack, level, root, python=python, has_filter=has_filter
            )
            for attack in sorted(chosen, key=lambda attack: attack.stopped_by != "watch")
        }
        waiting: set[Future[Outcome]] = set(by_name.values())
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
                advance()
        return [by_name[attack.name].result() for attack in chosen]
    finally:
        # what is running ends by itself within seconds, and cleans up what it made
        pool.shutdown(wait=True, cancel_futures=True)
        let_go(lock)
        delete_folder(root)


def run_attack(
    attack: Attack,
    level: SandboxLevel | None,
    root: Path,
    *,
    python: Path,
    has_filter: bool = True,
) -> Outcome:
    """Try one attack without the sandbox, then at the level. Raises LayerRefusedError."""
    must_stop = level is not None and level >= attack.stopped_from
    if attack.stopped_by == "filter" and level == SandboxLevel.LIMITS and not has_filter:
        must_stop = False

    def outcome(state: State, reason: str) -> Outcome:
        return Outcome(attack=attack, level=level, state=state, must_stop=must_stop, reason=reason)

    with _Furnished(root / f"{attack.name}-control", attack) as room:
        if room.missing:
            return outcome("not_tried", room.missing)
        worked, trial = without_sandbox(room.room)
        if not worked:
            why = trial.failure or "nothing of it is seen from outside"
            return outcome("not_tried", f"without the sandbox it does not work here either: {why}")
    if level is None:
        return outcome("worked", "")
    with _Furnished(root / attack.name, attack) as room:
        if room.missing:
            return outcome("not_tried", room.missing)
        worked, trial = in_sandbox(room.room, level, python)
    reason = trial.failure or "it was answered without any effect"
    return outcome("worked" if worked else "stopped", "" if worked else reason)


class _Furnished:
    """A room for the time of one trial. `missing` says why its targets cannot be had."""

    def __init__(self, folder: Path, attack: Attack) -> None:
        folder.mkdir()
        self.room = Room(folder, attack)
        self.missing = ""

    def __enter__(self) -> _Furnished:
        try:
            self.room.furnish()
        except UnavailableError as error:
            self.missing = str(error)
        except BaseException:
            self.room.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.room.close()
