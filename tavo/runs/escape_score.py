"""The score of this machine's sandbox: `tavo doctor sandbox`.

Rules this module keeps:
- the level is tried before the list is run at it; a level that was asked for and cannot be had is
  refused, never replaced by a lower one;
- an attack that could not be tried is counted apart from those that were stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from tavo.errors import ExitCode, RefusedError
from tavo.host.sandbox.levels import SandboxLevel
from tavo.progress import Reporter

if TYPE_CHECKING:
    from tavo.host.escapes.score import Outcome

__all__ = ["AttackOutcome", "EscapeScore", "describe", "of_outcome", "score_escapes"]


class AttackOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One attack. `must_stop` says whether the level has what must stop it."""

    name: str
    title: str
    state: Literal["stopped", "worked", "not_tried"]
    stopped_by: str
    must_stop: bool
    means: str
    reason: str


class EscapeScore(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the list at a level; `level` is `none` for the control.

    `not_built` says why the list could not be run at all.
    """

    level: str
    attacks: list[AttackOutcome] = []
    not_built: str = ""

    def of(self, state: str) -> list[AttackOutcome]:
        """Return the attacks with an outcome."""
        return [attack for attack in self.attacks if attack.state == state]

    @property
    def tried(self) -> int:
        """Return how many attacks were tried."""
        return len(self.attacks) - len(self.of("not_tried"))

    @property
    def code(self) -> ExitCode:
        """Return 5 when an attack worked that the level must stop."""
        bad = [one for one in self.attacks if one.state == "worked" and one.must_stop]
        return ExitCode.REFUSED if bad else ExitCode.OK


def score_escapes(
    level: SandboxLevel | None,
    *,
    control: bool = False,
    reporter: Reporter | None = None,
    names: tuple[str, ...] | None = None,
) -> EscapeScore:
    """Run the escape list at a level, the strongest that holds for None, or without a sandbox.

    Raises RefusedError where the level cannot be had.
    """
    from tavo.host.probe import probe

    reporter = reporter or Reporter()
    if not sys.platform.startswith("linux"):
        return EscapeScore(
            level="none", not_built=f"the escape list is built for Linux, not for {sys.platform}"
        )
    from tavo.host.escapes.listing import NAMES, attacks
    from tavo.host.escapes.score import run_list
    from tavo.host.session import CrashError, LayerRefusedError

    python = Path(sys.executable)
    has_filter = True
    if not control:
        found = probe(level=level)
        if level is not None and found.level < level:
            raise _refusal(level, found.missing[0][1] if found.missing else "it is not built")
        level, has_filter = found.level, found.seccomp
        if level is SandboxLevel.NONE:
            return EscapeScore(level="none", not_built="no level of the sandbox holds here")
    chosen = attacks(names or NAMES)
    reporter.begin("attacks tried", len(chosen))
    try:
        outcomes = run_list(
            chosen, [] if control or level is None else [level],
            python=python, has_filter=has_filter, advance=reporter.advance,
        )  # fmt: skip
    except (LayerRefusedError, CrashError) as error:
        assert level is not None  # noqa: S101
        raise _refusal(level, str(error)) from error
    finally:
        reporter.end()
    return EscapeScore(
        level="none" if control or level is None else level.label,
        attacks=[of_outcome(one) for one in outcomes],
    )


def of_outcome(one: Outcome) -> AttackOutcome:
    """Return an outcome as it is shown and printed."""
    return AttackOutcome(
        name=one.attack.name, title=one.attack.title, state=one.state,
        stopped_by=one.attack.stopped_by, must_stop=one.must_stop, means=one.attack.means,
        reason=one.reason,
    )  # fmt: skip


def _refusal(level: SandboxLevel, reason: str) -> RefusedError:
    return RefusedError(
        f"sandbox level {level.label} cannot be had here: {reason}",
        hint="Without --level the list is run at the strongest level that holds here.",
    )


def describe(score: EscapeScore, *, verbose: bool = False) -> list[tuple[str, str, str]]:
    """Return lines to show: a style (`good`, `note`, `bad`, or empty), a name and a sentence."""
    if score.not_built:
        return [("note", "escapes", f"nothing was tried: {score.not_built}")]
    worked, missing = score.of("worked"), score.of("not_tried")
    lines: list[tuple[str, str, str]] = []
    if score.level == "none":
        lines.append((
            "note", "control",
            f"without a sandbox: {len(worked)} of {score.tried} attacks worked",
        ))  # fmt: skip
    else:
        lines.append((
            _state(score), "escapes",
            f"{score.level}: {len(worked)} of {score.tried} attacks worked; each of the"
            f" {score.tried} works on this machine without a sandbox",
        ))  # fmt: skip
    if score.level != "none" or verbose:
        lines += [_line(one) for one in worked]
    if missing:
        lines.append(("", "", f"not tried here: {len(missing)}"))
        lines += [("note", one.name, one.reason) for one in missing]
    if verbose:
        lines += [
            ("good", one.name, f"{one.title} Stopped: {one.reason}") for one in score.of("stopped")
        ]
    return lines


def _state(score: EscapeScore) -> str:
    if score.code is not ExitCode.OK:
        return "bad"
    return "note" if score.of("worked") else "good"


def _line(one: AttackOutcome) -> tuple[str, str, str]:
    if one.must_stop:
        return ("bad", one.name, f"{one.title} It must be stopped here: {one.means}.")
    return ("note", one.name, f"{one.title} Open at this level: {one.means}.")
