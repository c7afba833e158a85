"""`tavo registry stats`: what plugins did and cost, from a result store on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.render import table

__all__ = ["stats"]

_HEADS = ("plugin", "runs", "files", "known", "requests", "findings", "failed", "CPU s", "wall s",
          "MB", "sandbox", "last run")  # fmt: skip


def stats(
    context: typer.Context,
    store: Annotated[
        Path, typer.Option("--store", metavar="FILE", help="The result store.")
    ] = Path("results.db"),
) -> None:
    """Say how often each plugin ran, what it found and what it cost. Nothing is sent anywhere."""
    from tavo.results.store import ResultStore

    session = session_of(context)
    with ResultStore(store, must_exist=True) as opened:
        totals = opened.plugin_totals()
    if session.json:
        import msgspec  # `registry list` needs none of it

        session.print_json([msgspec.to_builtins(one) for one in totals])
        return
    if not totals:
        session.say(f"{store} holds no run with plugins.")
        return
    table(
        _HEADS,
        [
            (one.plugin, str(one.runs), str(one.files), str(one.cached), str(one.requests),
             str(one.findings), str(one.skipped), f"{one.cpu_s:.2f}", f"{one.wall_s:.2f}",
             str(one.peak_bytes >> 20), ", ".join(one.sandboxes), one.last_run[:19])
            for one in totals
        ],
        color=session.color,
    )  # fmt: skip
