"""`tavo scan --format ai-bom`: what an AI system is made of, instead of what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tavo import __version__
from tavo.cli.context import session_of
from tavo.errors import ConfigError, ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from tavo.config import Settings

__all__ = ["print_ai_bom"]

_USED = frozenset({"paths", "format", "exclude", "jobs", "output"})
_MOST_NAMED = 5


def print_ai_bom(
    context: typer.Context,
    paths: Sequence[Path],
    settings: Settings,
    exclude: Sequence[str],
    outputs: Sequence[str],
) -> ExitCode:
    """Print the bill of materials of the files below some paths; the summary goes to stderr.

    `outputs` is a file to write it to instead, if any.

    Raises UsageError for options that mean nothing here, InputError for a path that is not there.
    """
    from tavo.results.export.ai_bom import inventory_to_ai_bom, summary_of
    from tavo.runs.ai_bom import take_inventory
    from tavo.runs.scan import usual_jobs

    _check_options(context)
    if not paths:
        raise UsageError(
            "scan: name the files and folders to take an inventory of",
            hint="`tavo scan . --format ai-bom` takes that of the current folder.",
        )
    file = _file(outputs)
    when = _now()
    session = session_of(context)
    inventory = take_inventory(
        paths, exclude=(*settings.scan.exclude, *exclude), largest=settings.scan.max_file_bytes,
        jobs=settings.scan.jobs or usual_jobs(), reporter=session.reporter(),
    )  # fmt: skip
    text = inventory_to_ai_bom(inventory, tool_version=__version__, when=when)
    if file is None:
        print(text)
    else:
        _write(file, text)
    session.say(summary_of(inventory))
    missing = [notice for notice in inventory.notices if notice.incomplete]
    if not missing:
        return ExitCode.OK
    session.say(
        f"Not looked at, or not in full ({len(missing)}); all of it stands in the document:"
    )
    for notice in missing[:_MOST_NAMED]:
        session.say(f"  {notice.subject}: {notice.reason}")
    return ExitCode.INCOMPLETE


def _file(outputs: Sequence[str]) -> Path | None:
    """Return where the document goes. Raises UsageError for more than one place."""
    from tavo.cli.results import writable

    if len(outputs) > 1:
        raise UsageError(
            f"--output {outputs[1]}: a bill of materials is one document, and {outputs[0]} was"
            " named before",
            hint="Name one file.",
        )
    return writable(outputs[0].removeprefix("ai-bom="), outputs[0]) if outputs else None


def _write(file: Path, text: str) -> None:
    from signing.files import write_atomically

    try:
        write_atomically(file, f"{text}\n".encode())
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error


def _check_options(context: typer.Context) -> None:
    from typer._click.core import ParameterSource

    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name)
        if name not in _USED and given is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"scan: --format ai-bom looks for parts, not for flaws: {parameter.opts[0]} means"
                " nothing here",
                hint=f"Leave {parameter.opts[0]} out, or scan for flaws with another --format.",
            )


def _now() -> datetime:
    """Return the time that stands in the document: SOURCE_DATE_EPOCH where it is set."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"SOURCE_DATE_EPOCH: {given[:40]!r} is no time",
            hint="Set it to seconds since 1970, or unset it.",
        ) from None
