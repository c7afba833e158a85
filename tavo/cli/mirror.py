"""`tavo mirror`: a verified copy of a repository, for a network without a way out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.printable import printable

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Copies of a repository that verify like the original.",
                        no_args_is_help=True)  # fmt: skip
    group.callback()(_group)
    group.command("sync")(sync)
    app.add_typer(group, name="mirror")


def _group() -> None:
    """Copies of a repository that verify like the original."""


def sync(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The mirror's folder.")],
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="A folder or https address to copy.")
    ],
) -> None:
    """Copy a repository into a folder, verifying everything that is copied."""
    session = session_of(context)
    report = session.sync_mirror(source, directory)
    print(printable(
        f"{directory}: {report.releases} releases, {report.fetched_files} files"
        f" ({report.fetched_bytes} bytes) fetched, {report.kept_files} kept; catalog version"
        f" {report.refreshed.catalog.version}."
    ))  # fmt: skip
    if count := report.missing_reports:
        session.say(
            f"{count} vetting report{'s' * (count != 1)} that reviewers name"
            f" {'is' if count == 1 else 'are'} not at the source; plugins install without, and"
            " `tavo registry reports` says what is missing."
        )
    session.say(f"Use it: tavo registry install PLUGIN --mirror {directory}")
