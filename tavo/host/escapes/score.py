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
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tavo.host.escapes.listing import Attack
from tavo.host.escapes.targets import Room, UnavailableError
from tavo.host.escapes.trial import in_sandbox, without_sandbox
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.work_folder import WorkFolder

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
    levels: Sequence[SandboxLevel],
    *,
    python: Path,
    has_filter: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Try the attacks without a sandbox, then at each level; return outcomes in order.

    Without levels the outcomes are those of the control. `has_filter` says whether this system's
    L1 has the filter of system calls. Raises LayerRefusedError where a level cannot be had.
    """
    chosen = list(chosen)
    root = WorkFolder()
    pool = ThreadPoolExecutor(min(_AT_ONCE, 2 * (os.cpu_count() or 1)), "tavo-escapes")
    try:
        # those that wait for a watch first: the others fill the time
        by_name = {
            attack.name: pool.submit(
                run_attack, attack, levels, root.path, python=python, has_filter=has_filter
            )
            for attack in sorted(chosen, key=lambda attack: attack.stopped_by != "watch")
        }
        waiting = set(by_name.values())
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
                advance()
        return [outcome for attack in chosen for outcome in by_name[attack.name].result()]
    finally:
        try:
            # what is running ends by itself within seconds, and cleans up what it made
            pool.shutdown(wait=True, cancel_futures=True)
        finally:
            root.delete()


def run_attack(
    attack: Attack,
    levels: Sequence[SandboxLevel],
    root: Path,
    *,
    python: Path,
    has_filter: bool = True,
) -> list[Outcome]:
    """Try one attack without the sandbox, then at the levels. Raises LayerRefusedError."""
    missing = _why_it_does_not_work(attack, root)
    if not levels:
        state: State = "not_tried" if missing else "worked"
        return [Outcome(attack=attack, level=None, state=state, must_stop=False, reason=missing)]
    outcomes = []
    for level in levels:
        state, reason = ("not_tried", missing) if missing else ("stopped", "")
        if not missing:
            with _Furnished(root / f"{attack.name}-{level.label}", attack) as room:
                if room.missing:
                    state, reason = "not_tried", room.missing
                else:
                    worked, trial = in_sandbox(room.room, level, python)
                    reason = trial.failure or "it was answered without any effect"
                    state, reason = ("worked", "") if worked else ("stopped", reason)
        filtered = attack.stopped_by != "filter" or has_filter or level > SandboxLevel.LIMITS
        outcomes.append(
            Outcome(
                attack=attack,
                level=level,
                state=state,
                must_stop=level >= attack.stopped_from and filtered,
                reason=reason,
            )
        )
    return outcomes


def _why_it_does_not_work(attack: Attack, root: Path) -> str:
    """Try an attack without any sandbox; return why it does not work, empty if it does."""
    why = ""
    for attempt in ("control", "control-again"):  # the second for a machine that was busy
        with _Furnished(root / f"{attack.name}-{attempt}", attack) as room:
            if room.missing:
                return room.missing
            worked, trial = without_sandbox(room.room)
            if worked:
                return ""
            why = trial.failure.partition(": '/")[0] or "nothing of it is seen from outside"
    return f"it does not work here without a sandbox either: {why}"


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
