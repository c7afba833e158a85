"""`tavo logs explore`: logs and what was found in them, in the browser of this machine."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
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
from tavo.cli.results import writable
from tavo.errors import InputError, UsageError
from tavo.printable import counted

if TYPE_CHECKING:
    from tavo.logs.mapping import Mapping
    from tavo.logs.sniff import Guess
    from tavo.logs.sources import Source
    from tavo.results.store import ResultStore
    from tavo.results.values import Run

__all__ = ["explore"]

_DEFAULT = Path("results.db")


def explore(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]|[PATH]...", help="A stored run, or logs to analyze now."),
    ] = None,
    store: Annotated[
        Path, typer.Option("--store", metavar="FILE", help="The result store.")
    ] = _DEFAULT,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8650,
    events: Annotated[
        int, typer.Option("--events", metavar="N", min=0, help="About so many besides evidence.")
    ] = 100_000,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Keep the database, and serve nothing."),
    ] = None,
    rules: LogRules = None,
    no_default_rules: NoDefaultRules = False,
    intel: Intel = None,
    no_anomalies: NoAnomalies = False,
    reader: Reader = None,
    mapping: MappingFile = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Processes; default: one for each processor.")
    ] = None,
) -> None:
    """Look at events and findings in the browser, read only, at 127.0.0.1."""
    from tavo.logs.explore import build
    from tavo.logs.sigma.rules import load_rules
    from tavo.results.store import ResultStore
    from tavo.runs.logs import LogPlan, run_logs

    session = session_of(context)
    tables, forced = tables_of("explore", reader, mapping or [])
    target = None if write is None else _target(write)
    number = _run_number(what or [])
    with tempfile.TemporaryDirectory(prefix="tavo-explore-") as folder:
        if number is None:
            from tavo.logs.sources import find_sources

            paths = what or []
            sources, left_out = find_sources(paths, Path.cwd())
            plan = LogPlan(
                sources=tuple(sources), root=Path.cwd(),
                rules=load_rules(
                    rule_paths_of(
                        "explore", rules, own=not no_default_rules, besides=bool(intel)
                    )
                ),
                tables=tables, reader=forced, left_out=tuple(left_out),
                command=tuple(sys.argv[1:]), unusual=not no_anomalies,
                indicators=indicators_of(session, intel),
                jobs=jobs or min(os.cpu_count() or 1, 8),
            )  # fmt: skip
            opened = ResultStore()
            run_id, _, analysis = run_logs(plan, opened, session.reporter())
            run, guesses = opened.run(run_id), analysis.guesses
        else:
            opened = ResultStore(store, must_exist=True)
            run = opened.run(number or None)
            sources, guesses = _logs_of(opened, run, tables, forced)
        with opened:
            path = Path(folder, "logs.db")
            facts = _facts(run, sources, guesses, events)
            reporter = session.reporter()
            reporter.begin("reading events", None)
            try:
                build(path, sources, guesses, opened.findings(run.id), facts, most=events,
                      progress=lambda _: reporter.advance())  # fmt: skip
                if target is not None:
                    shutil.move(path, target)
            except (OSError, sqlite3.Error) as error:
                raise InputError(
                    f"{target or path}: the database cannot be written: {error}",
                    hint="Free some space, or ask for fewer with --events.",
                ) from error
            reporter.end()
        if target is not None:
            session.say(f"tavo: {target}: {target.stat().st_size / 1e6:,.1f} MB")
            return
        _serve(session, path, list(zip(sources, guesses, strict=True)), facts, port)


def _target(path: Path) -> Path:
    """Return where the database is to be kept. Raises UsageError for a file of something else."""
    from tavo.logs.explore import is_ours

    target = writable(str(path), str(path))
    if target.exists() and target.stat().st_size and not is_ours(target):
        raise UsageError(
            f"--write {path}: is a file of something else", hint="Name one that is not there."
        )
    return target


def _run_number(what: Sequence[str]) -> int | None:
    """Return the number of a run, 0 for the newest, None where paths are named."""
    if not what:
        return 0
    if len(what) == 1 and what[0].isdigit() and not Path(what[0]).exists():
        return int(what[0])
    if "-" in what:
        raise UsageError(
            "logs explore: standard input cannot be looked at twice",
            hint="Write it to a file, and name that.",
        )
    return None


def _logs_of(
    store: ResultStore, run: Run, tables: Sequence[Mapping], forced: Mapping | None
) -> tuple[list[Source], list[Guess | None]]:
    """Return the logs of a stored run that are still there, and their formats."""
    from tavo.logs.explore import places_of
    from tavo.logs.formats import formats_of
    from tavo.logs.sources import known_source

    root = Path(run.info.root)
    names: dict[str, None] = {}
    for one in store.findings(run.id):
        if "records" in one.finding.evidence:
            names.update((name, None) for name, *_ in places_of(one))
    if not names and run.findings:
        raise UsageError(
            f"run {run.id} is not one of logs", hint="Name logs: `tavo logs explore PATH...`."
        )
    sources = []
    for name in names:
        path = next((p for p in (root / name, Path("/", name)) if p.is_file()), None)
        if path is not None:
            sources.append(known_source(name, path))
    return sources, formats_of(sources, tables, forced)


def _facts(
    run: Run, sources: Sequence[Source], guesses: Sequence[Guess | None], events: int
) -> dict[str, str]:
    warnings = [f"{one.subject}: {one.reason}" for one in run.notices if one.incomplete]
    warnings += [
        f"{source.name}: its format is not known, so none of its events is here"
        for source, guess in zip(sources, guesses, strict=True)
        if guess is None
    ]
    at = run.info.started_at[:16].replace("T", " ")
    return {
        "title": f"{counted(len(sources), 'log')} of {Path(run.info.root).name or 'this machine'}",
        "about": f"tavo {run.info.tool_version}, run of {at} UTC. Counts are of all events;"
        f" about {events:,} at most are kept as rows, evenly, and"
        " every record that a finding names.",
        "warnings": json.dumps(warnings[:20]),
    }


def _serve(
    session: Session,
    path: Path,
    logs: Sequence[tuple[Source, Guess | None]],
    facts: dict[str, str],
    port: int,
) -> None:
    from tavo.browse.server import serve
    from tavo.logs.records import Records

    with sqlite3.connect(path) as connection:
        known = dict(connection.execute("SELECT name, value FROM facts"))
    connection.close()
    unread = json.loads(known["unread"])
    facts = {**known, "warnings": json.dumps([*json.loads(facts["warnings"]), *unread])}
    serve(
        path, Records(logs), facts, port=port,
        ready=lambda url: session.say(f"The logs are at {url} until you press Ctrl-C."),
    )  # fmt: skip
