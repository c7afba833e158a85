"""`tavo doctor`: what works here, what does not, and why."""

from __future__ import annotations

import enum
import sys
from typing import Annotated

import msgspec
import typer

from tavo.cli.context import session_of
from tavo.cli.render import styled, wants_color
from tavo.printable import printable

__all__ = ["register"]

_STYLES = {"good": "good", "note": "warning", "bad": "bad"}


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
) -> None:
    """Say what works here, what does not, and why."""
    from tavo.config import user_paths
    from tavo.errors import worst
    from tavo.registry.trust import utc_now
    from tavo.runs.doctor import codes, examine, examine_sandbox

    session = session_of(context)
    if part is Part.SANDBOX:
        checks = examine_sandbox()
    else:
        checks = examine(
            user_paths,
            open_catalog=lambda: session.catalog(None),
            plugins=lambda: len(session.installations().list()),
            now=utc_now(),
        )
    if session.json:
        session.print_json(msgspec.to_builtins(checks))
    else:
        color = wants_color(sys.stdout, allowed=session.color)
        width = max(len(check.name) for check in checks) + 2
        for check in checks:
            spans = [(_STYLES[check.state], check.state.ljust(6)), ("", check.name.ljust(width))]
            print(styled([*spans, ("", printable(check.found))], color=color))
            if check.hint:
                print(" " * (6 + width) + printable(check.hint))
    raise typer.Exit(int(worst(codes(checks))))
