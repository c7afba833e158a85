"""`tavo logs follow`: alarms from logs while they are written."""

from __future__ import annotations

import enum
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.judging import ExitZero, FailOn, FailOnConfidence, gate_flags
from tavo.cli.logs_given import (
    Intel,
    LogRules,
    MappingFile,
    NoAnomalies,
    NoDefaultRules,
    Reader,
    indicators_of,
    rule_paths_of,
    tables_of,
)
from tavo.cli.render import columns, styled, wants_color
from tavo.cli.results import writable
from tavo.errors import InputError, UsageError
from tavo.printable import counted

if TYPE_CHECKING:
    from tavo.logs.follow_state import Checkpoint
    from tavo.runs.follow import AlarmFile, Told

__all__ = ["AlarmFormat", "follow"]


class AlarmFormat(enum.StrEnum):
    """The formats of alarms."""

    TEXT = "text"
    JSONL = "jsonl"
    OCSF = "ocsf"


def follow(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, globs in quotes.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="Remember there how far it is."),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also what is in the logs already.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Only what is there by now.")] = False,
    rules: LogRules = None,
    no_default_rules: NoDefaultRules = False,
    intel: Intel = None,
    no_anomalies: NoAnomalies = False,
    reader: Reader = None,
    mapping: MappingFile = None,
    format: Annotated[  # noqa: A002
        AlarmFormat | None, typer.Option("--format", help="How alarms are printed; default: text.")
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output", metavar="FORMAT=FILE", help="Append alarms to a file; may be repeated."
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Add the run to a result store.")
    ] = None,
    fail_on: FailOn = None,
    fail_on_confidence: FailOnConfidence = None,
    exit_zero: ExitZero = False,
) -> None:
    """Look at logs while they are written, until Ctrl-C; exit 0 clean, 1 alarms, 4 not complete."""
    from tavo.logs.follow import Follower
    from tavo.logs.follow_state import Checkpoint
    from tavo.logs.sigma.rules import load_rules
    from tavo.results.store import ResultStore
    from tavo.runs.follow import Following

    session = session_of(context)
    flags = gate_flags(
        fail_on=fail_on, fail_on_confidence=fail_on_confidence, suppressions=None, policy=None,
        data=None, allow_incomplete=None,
    )  # fmt: skip
    settings = session.settings(**flags)
    rule_paths = rule_paths_of("follow", rules, own=not no_default_rules, besides=bool(intel))
    tables, forced = tables_of("follow", reader, mapping or [])
    wanted = [_output(one) for one in output or ()]
    _check_apart([save, checkpoint, *(path for _, path in wanted)])
    loaded = load_rules(rule_paths)
    indicators = indicators_of(session, intel)
    printed = format or (AlarmFormat.JSONL if session.json else AlarmFormat.TEXT)
    with ExitStack() as closing:
        kept = None if checkpoint is None else Checkpoint(checkpoint)
        if kept is not None:
            closing.callback(kept.close)
        files = [_file(kind, path, number, kept) for number, (kind, path) in enumerate(wanted)]
        for file in files:
            closing.callback(file.close)
        follower = Follower(
            paths, Path.cwd(), list(loaded.rules.values()), tables, clock=time.time,
            forced=forced, unusual=not no_anomalies, indicators=indicators,
            from_start=from_start or once, checkpoint=kept,
        )  # fmt: skip
        closing.callback(follower.close)
        store = None if save is None else closing.enter_context(ResultStore(save))
        following = Following(
            follower, loaded, store=store, checkpoint=kept, files=files,
            takers=[_Printer(session, printed)], say=session.say, command=sys.argv[1:],
            root=Path.cwd(), fail_on=settings.scan.fail_on,
            fail_on_confidence=settings.scan.fail_on_confidence, exit_zero=exit_zero,
        )  # fmt: skip
        stop = closing.enter_context(_stopping())
        if not once:
            logs = counted(len(follower.files), "log")
            until = "" if kept is not None else "; without --checkpoint the next start begins anew"
            session.say(f"tavo: following {logs} until Ctrl-C{until}")
        code = following.run(stop, once=once)
        alarms = "1 alarm" if following.alarms == 1 else f"{following.alarms:,} alarms"
        session.say(f"tavo: {follower.events:,} events looked at, {alarms}")
    raise typer.Exit(int(code))


def _output(given: str) -> tuple[AlarmFormat, Path]:
    name, mark, path = given.partition("=")
    if not mark or name not in {AlarmFormat.JSONL, AlarmFormat.OCSF}:
        raise UsageError(
            f"--output {given}: does not say how alarms are written",
            hint="Name the format, as in `--output jsonl=alarms.jsonl`, or ocsf=FILE. Reports of"
            " other formats are made of a store: --save, then `tavo results export`.",
        )
    return AlarmFormat(name), writable(path, given)


def _check_apart(paths: Sequence[Path | None]) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path is not None:
            if path.absolute() in seen:
                raise UsageError(f"{path}: is named twice", hint="Give each one a file of its own.")
            seen.add(path.absolute())


def _file(kind: AlarmFormat, path: Path, number: int, kept: Checkpoint | None) -> AlarmFile:
    from tavo.runs.follow import AlarmFile

    key = f"size {number} {path.absolute()}"
    size = path.stat().st_size if path.exists() else 0
    if kept is not None:
        size = int(kept.facts.setdefault(key, str(size)))
    return AlarmFile(path, ocsf=kind is AlarmFormat.OCSF, known_size=size)


@contextmanager
def _stopping() -> Iterator[Event]:
    """End in order at the first signal, and at once at the second."""
    stop = Event()

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Printer:
    """Prints alarms on standard output."""

    def __init__(self, session: Session, kind: AlarmFormat) -> None:
        self._kind = kind
        self._color = wants_color(sys.stdout, allowed=session.color)

    def take(self, told: Sequence[Told]) -> None:
        """Print messages. Raises InputError where nobody reads them any more."""
        try:
            self._take(told)
        except BrokenPipeError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to say
            raise InputError(
                "standard output was closed, so alarms reach nobody there",
                hint="They come again at the next start with the same checkpoint.",
            ) from error

    def _take(self, told: Sequence[Told]) -> None:
        for one in told:
            if self._kind is AlarmFormat.TEXT:
                self._print(one)
            elif not one.message.minor:
                from tavo.runs.follow import alarm_line

                print(alarm_line(one, ocsf=self._kind is AlarmFormat.OCSF), end="")
        sys.stdout.flush()

    def _print(self, one: Told) -> None:
        from tavo.results.export.text import finding_to_lines, message_to_lines

        if one.kind == "opened":
            lines = finding_to_lines(one.reported, width=columns())
        elif one.kind == "closed" and one.message.alarm.incident.count > 1:
            lines = message_to_lines(one.reported, "over", width=columns())
        else:
            return
        for line in lines:
            print(styled(line, color=self._color).rstrip())
