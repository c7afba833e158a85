"""What the commands of `tavo logs` are given alike: rules, formats, indicators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session
from tavo.errors import UsageError

if TYPE_CHECKING:
    from tavo.logs.clickhouse.client import Address
    from tavo.logs.intel import Indicators
    from tavo.logs.mapping import Mapping

__all__ = [
    "Backend",
    "Intel",
    "LogPaths",
    "LogRules",
    "MappingFile",
    "NoAnomalies",
    "NoDefaultRules",
    "OptionalLogPaths",
    "Reader",
    "indicators_of",
    "rule_paths_of",
    "table_of",
    "tables_of",
]

LogPaths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="Files, folders, globs; `-` is stdin.")
]
OptionalLogPaths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH...", help="Files, folders, globs; `-` is stdin."),
]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend", metavar="ADDRESS",
        help="A table of ClickHouse instead of files: clickhouse://HOST[:PORT]/DATABASE/TABLE.",
    ),
]  # fmt: skip
LogRules = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="PATH", help="Sigma rules, besides our own pack."),
]
NoDefaultRules = Annotated[bool, typer.Option("--no-default-rules", help="Without our own pack.")]
Intel = Annotated[
    list[Path] | None,
    typer.Option(
        "--intel",
        metavar="FILE",
        help="Indicators: a list, hosts file, filters, CSV, STIX or MISP.",
    ),
]
NoAnomalies = Annotated[
    bool, typer.Option("--no-anomalies", help="Without comparing actors with themselves.")
]
Reader = Annotated[
    str | None,
    typer.Option("--reader", metavar="NAME", help="The format, instead of a guess."),
]
MappingFile = Annotated[
    list[Path] | None,
    typer.Option("--mapping", metavar="FILE", help="A format of your own, in TOML."),
]


def rule_paths_of(
    command: str, rules: list[Path] | None, *, own: bool, besides: bool = False
) -> list[Path]:
    """Return where rules are read from; `besides`: something else is looked for, too.

    Raises UsageError where nothing is looked for.
    """
    from tavo.logs.sigma.rules import PACK

    paths = [*([PACK] if own else []), *(rules or [])]
    if not paths and not besides:
        more = ", --intel or --log-plugins" if command == "analyze" else " or --intel"
        raise UsageError(
            f"logs {command}: there is nothing to look for",
            hint=f"Leave --no-default-rules out, or add --rules{more}.",
        )
    return paths


def tables_of(
    command: str, reader: str | None, files: list[Path]
) -> tuple[tuple[Mapping, ...], Mapping | None]:
    """Return the formats to choose from, and the one that is to be taken."""
    from tavo.logs.mapping import load_mapping, readers

    own = [load_mapping(file) for file in files]
    known = {**readers(), **{one.name: one for one in own}}
    if reader is not None:
        if reader not in known:
            import difflib

            near = difflib.get_close_matches(reader, known, n=1)
            raise UsageError(
                f"logs {command}: there is no reader {reader!r}",
                hint=f"Did you mean {near[0]}?" if near else "`tavo logs formats` lists them.",
            )
        return tuple(known.values()), known[reader]
    return tuple(known.values()), own[0] if len(own) == 1 else None


def indicators_of(session: Session, files: list[Path] | None) -> Indicators | None:
    """Return the indicators of lists, None without any, and say what each list held."""
    if not files:
        return None
    from tavo.logs.intel_lists import load_indicators

    found, reports = load_indicators(files)
    for one in reports:
        session.say(f"tavo: {one}")
    return found


def table_of(
    session: Session, backend: str | None, *, paths: bool, intel: bool, usual: bool
) -> Address | None:
    """Return the table that is asked instead of files. Raises UsageError for both or neither."""
    if backend is None:
        if not paths:
            raise UsageError(
                "logs analyze: nothing to look at", hint="Name logs, or a table with --backend."
            )
        return None
    from tavo.logs.clickhouse.client import address_of

    if paths:
        raise UsageError("logs analyze: --backend asks a table, and paths name files")
    if intel or usual:
        raise UsageError(
            "logs analyze: --intel and --usual look at files, and --backend asks a table",
            hint="Export the events, and analyse the file.",
        )
    found = address_of(backend)
    if session.settings().offline and not found.is_here:
        raise UsageError(
            f"logs analyze: {found.host} is not this machine, and --offline forbids the network"
        )
    return found
