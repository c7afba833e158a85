"""`tavo doctor`: what works here, what does not, and why."""

from __future__ import annotations

import enum
import sys
from typing import Annotated, NoReturn

import msgspec
import typer

from tavo.cli.context import Session, session_of
from tavo.cli.render import TerminalReporter, styled, wants_color
from tavo.printable import printable

__all__ = ["register"]

_STYLES = {"good": "good", "note": "warning", "bad": "bad"}


class Level(enum.StrEnum):
    """The levels at which the escape list can be run."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class Part(enum.StrEnum):
    """What can be looked at alone."""

    SANDBOX = "sandbox"


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    part: Annotated[
        Part | None, typer.Argument(metavar="[sandbox]", help="Only this, with all its reasons.")
    ] = None,
    level: Annotated[
        Level | None,
        typer.Option("--level", help="Run the escape list at this level, not the strongest."),
    ] = None,
    control: Annotated[
        bool,
        typer.Option("--control", help="Run the escape list without a sandbox, to see it work."),
    ] = False,
) -> None:
    """Say what works here, what does not, and why."""
    from tavo.errors import UsageError, worst
    from tavo.folders import user_paths
    from tavo.registry.trust import utc_now
    from tavo.runs.doctor import codes, examine

    session = session_of(context)
    if part is Part.SANDBOX:
        _sandbox(session, level, control=control)
    if level is not None or control:
        raise UsageError(
            "--level and --control belong to the escape list",
            hint="Write `tavo doctor sandbox --level L2`.",
        )
    checks = examine(
        user_paths,
        open_catalog=lambda: session.catalog(None),
        plugins=lambda: len(session.installations().list()),
        now=utc_now(),
    )
    if session.json:
        session.print_json(msgspec.to_builtins(checks))
    else:
        _show([(check.state, check.name, check.found, check.hint) for check in checks], session)
    raise typer.Exit(int(worst(codes(checks))))


def _sandbox(session: Session, level: Level | None, *, control: bool) -> NoReturn:
    from tavo.errors import UsageError, worst
    from tavo.host.sandbox.levels import SandboxLevel
    from tavo.runs.doctor import codes, examine_sandbox
    from tavo.runs.escape_score import describe, score_escapes

    if level is not None and control:
        raise UsageError(
            "--control runs the escape list without a sandbox, at no level",
            hint="Leave out --level or --control.",
        )
    checks = examine_sandbox()
    wanted = None if level is None else SandboxLevel(int(level.value[1]))
    reporter = TerminalReporter(quiet=session.quiet or session.json)
    score = score_escapes(wanted, control=control, reporter=reporter)
    if session.json:
        session.print_json(
            {
                "checks": msgspec.to_builtins(checks),
                "score": {
                    **msgspec.to_builtins(score),
                    "tried": score.tried,
                    "worked": len(score.of("worked")),
                },
            }
        )
    else:
        lines = [(check.state, check.name, check.found, check.hint) for check in checks]
        shown = describe(score, verbose=session.verbose)
        _show([*lines, *((*line, "") for line in shown)], session)
    raise typer.Exit(int(worst([*codes(checks), score.code])))


def _show(lines: list[tuple[str, str, str, str]], session: Session) -> None:
    color = wants_color(sys.stdout, allowed=session.color)
    width = max(len(name) for _, name, _, _ in lines) + 2
    for state, name, found, hint in lines:
        spans = [(_STYLES.get(state, ""), state.ljust(6)), ("", name.ljust(width))]
        print(styled([*spans, ("", printable(found))], color=color).rstrip())
        if hint:
            print(" " * (6 + width) + printable(hint))
