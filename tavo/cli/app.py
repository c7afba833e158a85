"""The tree of commands and the global options in front of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer._click.exceptions import NoArgsIsHelpError

from tavo.cli import mirror, registry, results, rules, scan
from tavo.cli.context import Session
from tavo.cli.version import version_line
from tavo.errors import ExitCode, UsageError

__all__ = ["app", "invoke"]

app = typer.Typer(
    name="tavo",
    help="One file that secures AI systems.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (scan, registry, rules, results, mirror):
    group.register(app)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Read this file instead of ./tavo.toml.", metavar="FILE")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only results and errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print results that are data as JSON.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Read the global options; they stand before the command's name."""
    if version:
        print(version_line())
        raise typer.Exit(ExitCode.OK)
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(ExitCode.USAGE)
    context.obj = Session(
        config=config,
        offline=offline,
        quiet=quiet,
        verbose=verbose,
        color=not no_color,
        json=json,
    )


def invoke(words: Sequence[str]) -> int:
    """Run a command; return its exit code. Wrong usage becomes a `UsageError`."""
    try:
        code = app(args=list(words), prog_name="tavo", standalone_mode=False)
    except NoArgsIsHelpError as error:
        print(error.format_message())
        return ExitCode.USAGE
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "tavo"
        raise UsageError(
            f"{command.removeprefix('tavo').strip()} {error.format_message()}".strip(),
            hint=f"See `{command} --help`.",
        ) from error
    return int(code or ExitCode.OK)
