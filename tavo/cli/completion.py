"""Completion for shells: the script that a profile evaluates, and the answers it asks for."""

from __future__ import annotations

import os

__all__ = ["VARIABLE", "answer", "script"]

VARIABLE = "_TAVO_COMPLETE"


def script(shell: str, name: str) -> str:
    """Return the script for a shell; `name` is the command that users type."""
    from typer._completion_shared import get_completion_script

    from tavo.errors import UsageError

    if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"--name: {name!r} is not the name of a command")
    return get_completion_script(prog_name=name, complete_var=VARIABLE, shell=shell)


def answer() -> int:
    """Print what may come next on the command line that the shell put into the environment."""
    from typer._completion_classes import completion_init
    from typer.completion import shell_complete
    from typer.main import get_command

    from tavo.cli.app import app_of
    from tavo.cli.commands import COMMANDS, command_of

    completion_init()
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    named = command_of(words.split()[1:])
    command = get_command(app_of(*([named] if named in COMMANDS else COMMANDS)))
    try:
        return shell_complete(command, {}, "tavo", VARIABLE, os.environ[VARIABLE])
    except (KeyError, ValueError):
        return 1  # no shell asks like that
