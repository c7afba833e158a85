"""What an attack found, as a document that two equal attacks write byte for byte alike.

Rules this module keeps:
- no time, no duration and no random id is in it;
- a comparison with an earlier report says for each probe whether the difference can be chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tavo.attack.engine import JUDGE_FAILED, Options, Probed
from tavo.attack.probes import Probe
from tavo.attack.statistics import ALPHA, fisher
from tavo.errors import InputError

__all__ = ["AttackReport", "Change", "as_json", "compared", "read_report", "report_of", "text_of"]

FORMAT = "tavo-attack-report/1"
_LARGEST = 256 << 20


class AttackReport(msgspec.Struct, frozen=True, kw_only=True):
    """An attack. `complete` is false where something was not tried; `stopped` says why.

    `judge` is who was asked where no evidence decided, or empty.
    """

    format: str = FORMAT
    target: str
    seed: int
    attempts: int
    threshold: float
    stop_early: bool
    complete: bool
    stopped: str
    probes: tuple[Probed, ...]
    judge: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A probe in two reports. `chance` is how often such a difference comes by chance alone."""

    probe: str
    before: str
    now: str
    chance: float
    verdict: str


def report_of(
    target: str, options: Options, probed: Sequence[Probed], stopped: str
) -> AttackReport:
    """Return the report of an attack."""
    return AttackReport(
        target=target, seed=options.seed, attempts=options.attempts, threshold=options.threshold,
        stop_early=options.stop_early, stopped=stopped,
        complete=not stopped and not any(one.failed or _unjudged(one) for one in probed),
        probes=tuple(probed), judge=options.judge,
    )  # fmt: skip


def _unjudged(one: Probed) -> bool:
    return any(JUDGE_FAILED in attempt.judged for attempt in one.attempts)


def read_report(path: Path) -> AttackReport:
    """Return an earlier report. Raises InputError."""
    try:
        data = path.read_bytes()[: _LARGEST + 1]
        report = msgspec.json.decode(data, type=AttackReport)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(
            f"attack: {path}: is no report of an attack: {getattr(error, 'strerror', error)}",
            hint="Name a file that `tavo attack --report FILE` wrote.",
        ) from error
    if report.format != FORMAT:
        raise InputError(
            f"attack: {path}: has the format {report.format!r}, expected {FORMAT!r}",
            hint="Use the tavo that wrote it.",
        )
    return report


def compared(before: AttackReport, now: AttackReport) -> list[Change]:
    """Return each probe of the new report beside the old one."""
    old: Mapping[str, Probed] = {one.probe: one for one in before.probes}
    changes = []
    for one in now.probes:
        earlier = old.get(one.probe)
        if earlier is None:
            changes.append(
                Change(probe=one.probe, before="", now=_share(one), chance=1.0, verdict="new probe")
            )
            continue
        chance = fisher(one.worked, one.tried, earlier.worked, earlier.tried)
        verdict = "the same"
        if chance < ALPHA:
            verdict = "worse" if one.share > earlier.share else "better"
        elif one.share != earlier.share:
            verdict = "may be chance"
        changes.append(
            Change(
                probe=one.probe, before=_share(earlier), now=_share(one), chance=round(chance, 6),
                verdict=verdict,
            )
        )  # fmt: skip
    return changes


def text_of(report: AttackReport, probes: Sequence[Probe]) -> list[tuple[str, ...]]:
    """Return the rows of a table: severity, probe, share, interval, what ended it."""
    known = {probe.id: probe for probe in probes}
    return [
        (
            known[one.probe].severity.lower(), one.probe,
            _share(one) + (f", judged {one.judged}" if one.judged else ""),
            f"{one.low:.0%} to {one.high:.0%}" if one.tried else "",
            _ended(one) + (f", {one.failed} not carried out" if one.failed else ""),
        )
        for one in sorted(report.probes, key=lambda one: (-one.share, one.probe))
    ]  # fmt: skip


def _ended(one: Probed) -> str:
    """Say what ended a probe; what stopped the attack before its turn may be no budget at all."""
    return "not tried" if one.ended == "budget" and not one.tried else one.ended


def _share(one: Probed) -> str:
    return f"{one.worked} of {one.tried}"


def as_json(value: Any) -> bytes:
    """Return a value as JSON that people can read, with a line end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
