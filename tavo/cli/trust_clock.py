"""`tavo trust clock`: what this machine believes about the time, and correcting it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import session_of
from tavo.errors import ExitCode, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.registry.clock import Belief

__all__ = ["clock"]

_NOTICEABLE = timedelta(hours=1)


def clock(
    context: typer.Context,
    time: Annotated[
        str, typer.Option("--set", metavar="TIME", help="It is this time now, or later; in UTC.")
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="With --set: how you know; it is kept.")
    ] = "",
) -> None:
    """Show the system's clock beside the signed times seen here; confirm the time by hand."""
    from signing.roles import format_time
    from tavo.registry.clock import believe, corrected, read_time
    from tavo.registry.embedded import find_embedded
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if bool(time) != bool(reason.strip()):
        raise UsageError(
            "trust clock: --set and --reason go together",
            hint="For example: tavo trust clock --set '2026-11-28 14:30' --reason 'wall clock'",
        )
    embedded = find_embedded()
    built = embedded.built if embedded else None
    with session.state() as state:
        if time:
            confirmed = read_time(time)
            forgotten = corrected(state.trusted(), confirmed)
            state.confirm_time(
                format_time(confirmed), reason.strip()[:500], format_time(utc_now()),
                trust=forgotten,
            )  # fmt: skip
            for repository in forgotten:
                session.say(f"The later time that was accepted of {repository[:12]} is forgotten.")
        times = state.confirmed_times()
        belief = believe(utc_now(), times[-1] if times else None, state.trusted(), built)
    facts = _facts(belief)
    if session.json:
        session.print_json(facts)
    else:
        _print(belief)
    if facts["behind_s"]:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _facts(belief: Belief) -> dict[str, Any]:
    from signing.roles import format_time

    def shown(value: datetime | None) -> str | None:
        return None if value is None else format_time(value)

    behind = belief.behind if belief.behind >= _NOTICEABLE else timedelta(0)
    return {
        "system": shown(belief.system),
        "newest_signed": shown(belief.signed),
        "last_accepted": shown(belief.accepted),
        "built": shown(belief.built),
        "confirmed": None if belief.confirmed is None else belief.confirmed._asdict(),
        "reference": shown(belief.reference),
        "behind_s": int(behind.total_seconds()),
    }


def _print(belief: Belief) -> None:
    from signing.roles import format_time

    lines: list[tuple[str, datetime | None, str]] = [
        ("this machine's clock", belief.system, ""),
        ("newest signed time accepted", belief.signed, _from(belief.signed, belief.system)),
        ("clock at the last acceptance", belief.accepted, _from(belief.accepted, belief.system)),
        ("this file of tavo was built", belief.built, _from(belief.built, belief.system)),
    ]
    for label, value, difference in lines:
        if value is not None:
            print(f"{label + ':':<30} {format_time(value)}{difference}")
    if belief.confirmed is not None:
        print(printable(
            f"{'confirmed by hand:':<30} {belief.confirmed.confirmed} ({belief.confirmed.reason};"
            f" the clock said {belief.confirmed.system_clock})"
        ))  # fmt: skip
    print(f"{'expiry is judged at:':<30} {format_time(belief.reference)}")
    if belief.behind >= _NOTICEABLE:
        print(
            f"WRONG: this machine's clock is {_span(belief.behind)} behind what was seen here."
            " It was set back, or was never set. Set it; where that cannot be done:"
            " tavo trust clock --set TIME --reason TEXT"
        )


def _from(value: datetime | None, system: datetime) -> str:
    if value is None:
        return ""
    if value > system:
        return f" ({_span(value - system)} ahead of the clock)"
    return f" ({_span(system - value)} ago)"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)} days"
    return (
        f"{minutes // 60} hours {minutes % 60} minutes" if minutes >= 60 else f"{minutes} minutes"
    )
