"""`tavo explain`: what a rule or a finding means, how to mend it, and how to accept it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.render import columns, styled, wants_color
from tavo.errors import IncompleteError, InputError, UsageError
from tavo.printable import counted, one_line

if TYPE_CHECKING:
    from tavo.plugins import Rule
    from tavo.results.store import ResultStore
    from tavo.results.values import Reported, Run
    from tavo.scan.rule import ScanRule

__all__ = ["register"]

_DEFAULT = Path("results.db")
_PLACE = re.compile(r"(?P<path>.+?):(?P<line>[0-9]{1,9})(?::[0-9]{1,9})?")
_FINGERPRINT = re.compile(r"[0-9a-f]{4,32}")
_MOST_LISTED = 8
_NEAREST = 3


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("explain")(explain)


def explain(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="RULE|FINDING", help="A rule's id, a fingerprint or its start, or PATH:LINE."
        ),
    ],
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="PATH", help="Rule file or folder besides our own pack."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="FILE", help="The result store; default: results.db."),
    ] = None,
) -> None:
    """Say why a rule or finding matters, the way to it, how to mend and how to accept it."""
    session = session_of(context)
    place = _PLACE.fullmatch(what)
    if place is not None and store is None and Path(place["path"]).exists():
        _show(session, _scanned(session, Path(place["path"]), int(place["line"]), rules), None)
        return
    known = _loaded(session, rules)
    if what in known and store is None:
        _show_rule(session, known[what].rule, "tavo", known[what].yields_to)
        return
    opened = store if store is not None else _DEFAULT if _DEFAULT.is_file() else None
    names = list(known)
    if opened is not None:
        from tavo.results.store import ResultStore

        with ResultStore(opened, must_exist=True) as results:
            if _from_store(session, results, what, place, names):
                return
    if what in known:
        _show_rule(session, known[what].rule, "tavo", known[what].yields_to)
        return
    from tavo.cli.rules_logs import known as for_logs

    if place is None and (found := for_logs().get(what)) is not None:
        _show_rule(session, found.about, "tavo", of_logs=True)
        return
    if place is None and (probe := _probe(what)) is not None:
        _show_rule(session, probe, "tavo", of_logs=True)
        return
    raise _unknown(what, names, place, opened)


# -- where it is looked for


def _probe(what: str) -> Rule | None:
    """Return what a built-in probe of `tavo attack` says about itself."""
    from tavo.attack.probes import load_probes

    return next((one.rule for one in load_probes(of="all") if one.id == what), None)


def _loaded(session: Session, paths: list[Path] | None) -> dict[str, ScanRule]:
    from tavo.scan.rules import PACK, load_rules

    loaded = load_rules([PACK, *(paths or [])])
    if loaded.problems:
        noun = counted(len(loaded.problems), "rule")
        session.say(f"{noun} cannot be used: see `tavo rules validate`.")
    return dict(loaded.rules)


def _scanned(
    session: Session, path: Path, line: int, rules: list[Path] | None
) -> list[tuple[Run, Reported]]:
    """Return what our rules find on a line of a file. Raises what says why there is nothing."""
    from tavo.progress import Reporter
    from tavo.results.store import ResultStore
    from tavo.runs.scan import ScanPlan, run_scan
    from tavo.scan.rule_source import PACK, RuleSource

    if path.is_dir():
        raise UsageError(f"{path}: is a folder", hint="Name one file and a line, as in a.py:12.")
    settings = session.settings()
    own = (*(Path(one) for one in settings.scan.rules), *(rules or ()))
    with ResultStore() as store:
        plan = ScanPlan(
            targets=(path,), rules=RuleSource(tuple(dict.fromkeys((PACK, *own)))), jobs=1,
            largest=settings.scan.max_file_bytes,
        )  # fmt: skip
        run_id, _ = run_scan(plan, store, Reporter())
        run, found = store.run(run_id), list(store.findings(run_id))
    chosen = [(run, one) for one in found if _covers(one, line)]
    missing = [notice for notice in run.notices if notice.incomplete]
    if chosen:
        return chosen
    if missing:
        raise IncompleteError(
            f"{path}:{line}: cannot be told, the file was not looked at in full:"
            f" {one_line(missing[0].reason)}",
            hint="`tavo scan` with this file says more.",
        )
    lines = sorted({r.start_line for one in found if (r := one.finding.location.region)})
    near = sorted(sorted(lines, key=lambda other: abs(other - line))[:_NEAREST])
    hint = (
        f"Findings are on {'line' if len(near) == 1 else 'the lines'} {', '.join(map(str, near))}."
        if near
        else "The file has no findings. One that leads through other files is in a result store:"
        " name it with --store."
    )
    raise UsageError(f"{path}:{line}: no rule finds anything here", hint=hint)


def _covers(one: Reported, line: int) -> bool:
    region = one.finding.location.region
    return region is not None and region.start_line <= line <= region.end_line


def _from_store(
    session: Session, store: ResultStore, what: str, place: re.Match[str] | None, names: list[str]
) -> bool:
    """Show a finding or a rule of a store; add the names that it knows."""
    from tavo.results.imported.descriptors import rule_id_of

    wanted, by_name = {what, rule_id_of(what)}, _FINGERPRINT.fullmatch(what) is not None
    for run in store.runs():
        found: list[tuple[Run, Reported]] = []
        by_rule: dict[tuple[str, str], Rule] = {}
        of_logs: set[Rule] = set()
        for one in store.findings(run.id):
            by_rule[one.tool, one.rule.id] = one.rule
            if "records" in one.finding.evidence:
                of_logs.add(one.rule)
            here = place is not None and str(one.finding.location.path) == place["path"]
            if by_name and one.fingerprint.startswith(what):
                found.append((run, one))
            if place is not None and here and _covers(one, int(place["line"])):
                found.append((run, one))
        if found:
            _check_unique(what, found, by_place=place is not None)
            _show(session, found, store.path)
            return True
        named = [
            (tool, rule) for (tool, name), rule in by_rule.items()
            if name in wanted or f"{tool}:{name}" in wanted
        ]  # fmt: skip
        if named:
            for tool, rule in named:
                _show_rule(session, rule, tool, of_logs=rule in of_logs)
            return True
        names += [name for _, name in by_rule if name not in names]
    return False


def _check_unique(what: str, found: Sequence[tuple[Run, Reported]], *, by_place: bool) -> None:
    if len(found) == 1 or by_place:
        return
    listed = ", ".join(one.fingerprint for _, one in found[:_MOST_LISTED])
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    raise UsageError(
        f"{what}: {len(found)} findings of run {found[0][0].id} begin like this",
        hint=f"Name one of {listed}{more}.",
    )


def _unknown(
    what: str, names: list[str], place: re.Match[str] | None, store: Path | None
) -> Exception:
    import difflib

    shown = one_line(what[:200])
    if place is not None:
        if store is None:
            return InputError(f"{shown}: there is no such file", hint="Name it as in a.py:12.")
        return UsageError(
            f"{shown}: no finding of {store} is here", hint="Without --store the file is scanned."
        )
    near = difflib.get_close_matches(what, names, n=_NEAREST, cutoff=0.6)
    where = f" or in {store}" if store is not None else ""
    hint = f"Did you mean {' or '.join(map(one_line, near))}? " if near else ""
    hint += "`tavo rules list` names our rules; "
    hint += (
        "those of plugins and findings are in a result store: name it with --store."
        if store is None
        else "`tavo results export` names the fingerprints of a run."
    )
    return UsageError(f"there is no rule or finding {shown!r} here{where}", hint=hint)


# -- showing


def _show_rule(
    session: Session, rule: Rule, tool: str, yields_to: Sequence[str] = (), *, of_logs: bool = False
) -> None:
    from tavo.results.export.explanation import explained, rule_value

    if session.json:
        session.print_json(
            rule_value(rule) if tool == "tavo" else {**rule_value(rule), "tool": tool}
        )
        return
    _print(session, explained(rule, tool, yields_to=yields_to, of_logs=of_logs, width=columns()))


def _show(session: Session, found: Sequence[tuple[Run, Reported]], store: Path | None) -> None:
    from tavo.results.export.explanation import explained, explained_value

    if session.json:
        session.print_json({
            "findings": [
                explained_value(one.rule, one.tool, one, run=run.id if store else None)
                for run, one in found
            ]
        })  # fmt: skip
        return
    for number, (run, one) in enumerate(found):
        if number:
            print()
        origin = f"run {run.id} of {store}" if store is not None else ""
        _print(session, explained(one.rule, one.tool, one=one, origin=origin, width=columns()))


def _print(session: Session, lines: Iterator[tuple[tuple[str, str], ...]]) -> None:
    colored = wants_color(sys.stdout, allowed=session.color)
    for line in lines:
        print(styled(line, color=colored).rstrip())
