"""One analysis of logs as a stored run: incidents become findings, what was not done notices.

Rules this module keeps:
- the run is judged by the gate that judges scans;
- a record that may have been missed makes the run incomplete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tavo.errors import ExitCode
from tavo.logs import intel
from tavo.logs.anomaly import RULES
from tavo.logs.engine import Analysis, analyze
from tavo.logs.intel import Indicators
from tavo.logs.mapping import Mapping as Table
from tavo.logs.sigma.rules import LogRule, Rules
from tavo.logs.sources import Source
from tavo.logs.usual import NO_HISTORY, open_usual, save_usual
from tavo.plugins import Severity
from tavo.progress import Reporter
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tavo.runs.combined import CombinedRun
from tavo.runs.gate import GatePlan

if TYPE_CHECKING:
    from tavo.host.installations import VerifiedInstallation

__all__ = ["LogPlan", "run_logs"]

_ASKS_S = 3600.0
_MOST_OUTPUT = 200


class LogPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an analysis is asked to do. `reader` is the format of all logs, instead of a guess;
    `usual_file` holds what is usual from run to run, `table` (an `Address`) is asked instead of
    sources.
    """

    sources: tuple[Source, ...]
    root: Path
    rules: Rules
    tables: tuple[Table, ...]
    reader: Table | None = None
    left_out: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    jobs: int = 1
    unusual: bool = True
    usual_file: Path | None = None
    indicators: Indicators | None = None
    table: Any = None
    plugins: tuple[VerifiedInstallation, ...] = ()
    configs: Mapping[str, Mapping[str, Any]] = {}
    accept_sandbox: tuple[str, ...] = ()
    show_output: bool = False
    fail_on: Severity = Severity.LOW
    exit_zero: bool = False
    gate: GatePlan | None = None


def run_logs(
    plan: LogPlan, store: ResultStore, reporter: Reporter
) -> tuple[int, ExitCode, Analysis]:
    """Analyse, store, judge; return the run's number, the exit code, and what was seen."""
    rules: Sequence[LogRule] = list(plan.rules.rules.values())
    usual = NO_HISTORY if plan.usual_file is None else open_usual(plan.usual_file)
    run = CombinedRun(
        store, command=plan.command, root=plan.root, rules=len(rules), largest=1 << 20
    )
    run.note(
        Notice(kind="rule", subject=one.rule_id or str(one.file), reason=one.reason)
        for one in plan.rules.problems
    )
    run.note(_unfit(plan, rules))
    run.note(
        Notice(kind="file", subject=name, reason=reason, incomplete=False)
        for name, reason in (plan.indicators.notes if plan.indicators is not None else ())
    )
    if plan.left_out:
        named = ", ".join(plan.left_out[:5])
        more = f" and {len(plan.left_out) - 5} more" if len(plan.left_out) > 5 else ""
        reason = f"in a folder, and no log by its name, or a link: {named}{more}"
        run.note([Notice(kind="file", subject="left out", reason=reason, incomplete=False)])
    if plan.table is not None:
        from tavo.logs.clickhouse.client import Client
        from tavo.logs.clickhouse.run import analyze_table

        with Client(plan.table, os.environ, timeout_s=_ASKS_S) as client:
            analysis = analyze_table(
                client, rules, database=plan.table.database, table=plan.table.table,
                source=plan.table.name, mapping=plan.reader,
            )  # fmt: skip
    else:
        analysis = analyze(
            plan.sources, rules, plan.tables, jobs=plan.jobs, forced=plan.reader,
            unusual=plan.unusual, usual=usual, indicators=plan.indicators, reporter=reporter,
        )  # fmt: skip
    usual.close()
    if plan.usual_file is not None:
        save_usual(plan.usual_file, analysis.tally)
    about = {rule.id: rule.about for rule in rules}
    about.update((rule.id, rule) for rule in (*RULES.values(), *intel.RULES.values()))
    found = [
        Reported(finding=finding, rule=rule) for finding, rule in analysis.incidents.findings(about)
    ]
    run.add_records(found, [one.name for one in analysis.sources if one.format])
    run.note(
        Notice(kind="file" if one.subject not in about else "rule", subject=one.subject,
               reason=one.reason, incomplete=one.incomplete)
        for one in analysis.problems
    )  # fmt: skip
    if plan.plugins:  # an analysis without plugins imports no host
        _add_plugins(plan, run, analysis, reporter)
    code = run.finish(fail_on=plan.fail_on, exit_zero=plan.exit_zero, plan=plan.gate)
    return run.id, code, analysis


def _unfit(plan: LogPlan, rules: Sequence[LogRule]) -> Iterator[Notice]:
    """Yield that rules are about log sources of which no format is: they look at nothing."""
    tables = (*plan.tables, *([plan.reader] if plan.reader is not None else []))
    unfit = [
        one for one in rules
        if one.matches is not None and not any(table.fits(one.logsource) for table in tables)
    ]  # fmt: skip
    if unfit and plan.table is None:
        source = ", ".join(f"{key}: {value}" for key, value in unfit[0].logsource.items())
        what = "it is" if len(unfit) == 1 else f"and {len(unfit) - 1:,} more are"
        yield Notice(
            kind="rule", subject=unfit[0].id, incomplete=False,
            reason=f"{what} about a log source that no format has ({source}), so nothing was"
            " looked at with it; docs/log-fields.md lists the log sources",
        )  # fmt: skip


def _add_plugins(plan: LogPlan, run: CombinedRun, analysis: Analysis, reporter: Reporter) -> None:
    from tavo.runs.log_plugins import run_log_plugins

    outcomes = run_log_plugins(
        plan.plugins, plan.sources, analysis.guesses, accept=plan.accept_sandbox,
        configs=plan.configs, reporter=reporter,
    )  # fmt: skip
    for outcome in outcomes:
        run.add_outcome(outcome)
        if plan.show_output:
            for line in outcome.output.splitlines()[-_MOST_OUTPUT:]:
                reporter.note(f"{outcome.run.plugin}: {line}")
