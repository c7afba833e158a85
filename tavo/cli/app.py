"""The root command: global options in front of one command, whose module is imported for it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer._click.exceptions import NoArgsIsHelpError

from tavo.cli.commands import COMMANDS, command_of, in_front
from tavo.cli.context import Session
from tavo.errors import ExitCode, UsageError, worst

__all__ = ["app_of", "invoke"]


def app_of(*commands: str) -> typer.Typer:
    """Return the root command with these commands; raises UsageError for an unknown one."""
    app = typer.Typer(
        name="tavo",
        help="One file that secures AI systems.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(root)
    for module in dict.fromkeys(_module_of(command) for command in commands):
        importlib.import_module(module).register(app)
    return app


def _module_of(command: str) -> str:
    if command in COMMANDS:
        return COMMANDS[command][0]
    import difflib

    near = difflib.get_close_matches(command, COMMANDS, n=1)
    raise UsageError(
        f"{command!r} is not a command",
        hint=f"Did you mean {near[0]!r}?" if near else "`tavo --help` lists the commands.",
    )


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
        from tavo.cli.version import version_line

        print(version_line())
        raise typer.Exit(ExitCode.OK)
    if context.invoked_subcommand is None:
        raise UsageError("no command is given", hint="`tavo --help` lists the commands.")
    context.obj = Session(
        config=config,
        offline=offline,
        quiet=quiet,
        verbose=verbose,
        color=not no_color,
        json=json,
        outcome=context.obj if context.obj is not None else [],
    )


def _keep(app: typer.Typer, words: Sequence[str]) -> None:
    """Leave out the commands that the words do not name; typer takes a millisecond for each."""
    known = [one for one in app.registered_commands if one.name == words[0]]
    if known:
        app.registered_commands[:], app.registered_groups[:] = known, []
        return
    for group in app.registered_groups:
        if group.name == words[0] and group.typer_instance is not None:
            below = group.typer_instance.registered_commands
            if named := [one for one in below if one.name in words[1:2]]:
                below[:] = named
                group.typer_instance.registered_groups.clear()


def invoke(words: Sequence[str]) -> int:
    """Run a command; return its exit code. Wrong usage becomes a `UsageError`."""
    try:
        command = command_of(list(words))
        app = app_of(*([command] if command else []))
        ordered = in_front(list(words))
        if command:
            _keep(app, ordered[ordered.index(command) :])
        outcome: list[ExitCode] = []
        code = app(args=ordered, prog_name="tavo", standalone_mode=False, obj=outcome)
    except NoArgsIsHelpError as error:
        print(error.format_message())
        return ExitCode.USAGE
    except SystemExit as error:
        # typer makes 1 of a reader that went away; here that would say "findings".
        if isinstance(error.__context__, BrokenPipeError):
            raise error.__context__ from None
        raise
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "tavo"
        where = command.removeprefix("tavo").strip()
        raise UsageError(
            f"{where}{': ' if where else ''}{error.format_message()}",
            hint=f"See `{command} --help`.",
        ) from error
    own = int(code or ExitCode.OK)
    return worst([ExitCode(own), *outcome]) if outcome else own
