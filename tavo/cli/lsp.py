"""`tavo lsp`: the server that an editor starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("lsp")(lsp)


def lsp(
    context: typer.Context,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="PATH", help="Rule file or folder, besides our own pack."),
    ] = None,
    no_default_rules: Annotated[
        bool, typer.Option("--no-default-rules", help="Without our own pack.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Leave out, as in .gitignore."),
    ] = None,
    min_severity: Annotated[
        str | None,
        typer.Option("--min-severity", metavar="SEVERITY", help="Show from this severity on."),
    ] = None,
    max_files: Annotated[
        int,
        typer.Option("--max-files", metavar="N", min=1, help="Of a folder, to look at all."),
    ] = 5_000,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no results.")] = False,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Speak over standard input and output; always so.")
    ] = True,
) -> None:
    """Serve an editor over the Language Server Protocol."""
    del stdio
    from tavo.config import load_settings
    from tavo.errors import UsageError
    from tavo.lsp.loop import serve
    from tavo.lsp.options import UserOptions, check_user
    from tavo.scan.rule_source import PACK, check_rule_paths

    session = session_of(context)
    settings = load_settings(
        project_file=session.config, flags={"lsp.min_severity": min_severity}, with_project=False
    )
    named = (path.absolute() for path in rules or ())
    own = (*(Path(path) for path in settings.scan.rules), *named)
    paths = tuple(dict.fromkeys((*(() if no_default_rules else (PACK,)), *own)))
    if not paths:
        raise UsageError(
            "lsp: there is nothing to look with",
            hint="Leave --no-default-rules out, or add --rules.",
        )
    check_rule_paths(paths)
    left_out = (*settings.scan.exclude, *(exclude or ()))
    check_user(left_out)
    options = UserOptions(
        rules=paths, exclude=left_out, largest=settings.scan.max_file_bytes,
        min_severity=settings.lsp.min_severity, most_files=max_files,
        results=None if no_cache else session.results(),
    )  # fmt: skip
    if sys.stdin is not None and sys.stdin.isatty():
        session.say("tavo lsp waits for an editor on standard input; docs/editors.md says how.")
    raise typer.Exit(serve(options))
