"""`tavo proxy audit`: verify audit logs, show an exchange, and copy them for Datasette."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tavo.cli.context import session_of
from tavo.printable import counted, printable

__all__ = ["register"]

_LOOK_S = 1.0


def register(group: typer.Typer) -> None:
    """Add the group to that of the proxy."""
    audit = typer.Typer(help="The audit log of a proxy.", no_args_is_help=True)
    audit.callback()(_audit)
    audit.command("verify")(verify)
    audit.command("show")(show)
    audit.command("db")(db)
    group.add_typer(audit, name="audit")


def _audit() -> None:
    """The audit log of a proxy."""


def verify(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audit logs.")],
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="HASH", help="The last hash, as you noted it elsewhere."),
    ] = None,
) -> None:
    """Check that audit logs are what was written; exit 5 if one is not, 4 if one is empty."""
    import msgspec

    from tavo.errors import ExitCode, InputError, UsageError, worst
    from tavo.proxy.audit_chain import verify as look

    session = session_of(context)
    if expect is not None and len(files) != 1:
        raise UsageError("proxy audit verify: --expect goes with one file")
    rows = []
    for path in files:
        try:
            found = look(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        if expect is not None and found.head != expect and not found.broken:
            found.broken = f"the last hash is {found.head}, expected {expect}: rows are missing"
        rows.append((path, found))
    if session.json:
        import json

        print(json.dumps([{"file": str(p), **msgspec.to_builtins(f)} for p, f in rows], indent=2))
    else:
        for path, found in rows:
            print(_told(path, found))
    codes = [
        ExitCode.REFUSED if found.broken else ExitCode.OK if found.rows else ExitCode.INCOMPLETE
        for _, found in rows
    ]
    raise typer.Exit(worst(codes))


def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="An x-tavo-request-id.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audit logs.")],
) -> None:
    """Print the rows of one exchange, by the id that its answer carried."""
    import json

    from tavo.errors import InputError, UsageError
    from tavo.proxy.audit_rows import is_id, rows_of

    session = session_of(context)
    if not is_id(name):
        raise UsageError(
            f"proxy audit show: {name!r} is no x-tavo-request-id",
            hint="It stands in the head of each answer, such as 22270f7cc75f-0000000e.",
        )
    try:
        rows = rows_of(name, files)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror or error}") from error
    if not rows:
        raise InputError(f"{', '.join(map(str, files))}: there is no row of {name}")
    if session.json:
        session.print_json(rows)
        return
    for row in rows:
        for line in json.dumps(row, indent=2, ensure_ascii=False).splitlines():
            print(printable(line))


def db(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audit logs.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The SQLite file; gone on with.")
    ] = Path("audit.db"),
    texts: Annotated[
        bool, typer.Option("--texts", help="Copy texts as well, where the log has them.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until Ctrl-C, as the logs grow.")
    ] = False,
) -> None:
    """Copy audit logs into SQLite, for Datasette; exit 5 if a log is not what was written."""
    import time

    from tavo.errors import ExitCode
    from tavo.proxy.audit_copy import AuditCopy

    session = session_of(context)
    with AuditCopy(output, texts=texts) as copy:
        rows = 0
        try:
            while True:
                done = copy.take(files)
                rows += done.rows
                if not follow or done.broken:
                    break
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            if not follow:
                raise
    session.say(f"{output}: {counted(rows, 'new row')}; look at it with: datasette {output}")
    for path, why in done.broken.items():
        session.complain(f"{path}: NOT what was written: {why}; nothing behind it was copied")
    raise typer.Exit(ExitCode.REFUSED if done.broken else ExitCode.OK)


# -- inside


def _told(path: Path, found: Any) -> str:
    if not found.rows and not found.broken:
        return printable(f"{path}: EMPTY: there is no row in it, so nothing was verified")
    if found.broken:
        return printable(f"{path}: NOT what was written: {found.broken}")
    more = []
    if found.blocked:
        more.append(f"{found.blocked} blocked")
    if found.observed:
        more.append(f"{found.observed} only observed ({found.would_block} would have been blocked)")
    if found.open:
        more.append(f"{found.open} without an end")
    if found.torn:
        more.append(f"{counted(found.torn, 'row')} cut off by a crash")
    if found.missed:
        more.append(f"{counted(found.missed, 'exchange')} NOT written")
    counts = "".join(f", {one}" for one in more)
    what = f"{counted(found.rows, 'row')}, {counted(found.exchanges, 'exchange')}{counts}"
    told = printable(f"{path}: intact: {what}, {found.first} to {found.last}")
    return f"{told}\n  last hash {found.head}"
