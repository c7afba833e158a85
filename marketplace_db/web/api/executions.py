"""Runs on the operator's machines: ask for one, follow it, cancel it, fetch what it found."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.execution_result import RunResult, why_not_for_others
from marketplace_db.executions import Execution, Question
from marketplace_db.prices import money
from marketplace_db.statement import write_statement
from marketplace_db.web.api import forms
from marketplace_db.web.api.people import after_number, chosen_version, next_number
from marketplace_db.web.api.plugins import full_id_of, taken_back
from marketplace_db.web.api.problem import ProblemError
from marketplace_db.web.api.routes import CSV, Answer, Ask
from marketplace_db.web.desk import Desk

__all__ = ["cancel", "execute", "execution", "executions", "result", "statement", "targets"]


def execute(desk: Desk, ask: Ask) -> Answer:
    """Ask for a run; the same key again is the same run."""
    body: forms.ExecuteBody = ask.body
    full_id = full_id_of(desk, ask)
    if not desk.execution.enabled:
        raise ProblemError(
            403,
            "this marketplace runs no plugins for others: cloud execution is off",
            kind="execution-off",
            hint="Run it yourself: `tavo registry install`, then `tavo scan --dynamic-plugins`.",
        )
    organization = ask.who.organization
    question = Question(
        plugin=full_id,
        version="" if body.version is UNSET else body.version,
        target=body.target,
        key=body.key,
        config=body.config,
    )
    if (known := desk.executions().known(ask.who, question)) is not None:
        return _accepted(known)  # whatever has become of its target and its plugin
    if body.target not in {one.name for one in desk.targets().targets(organization)}:
        raise ProblemError(
            404,
            f"there is no target {body.target!r} of your organisation",
            kind="target",
            hint="The operator registers targets; `GET /targets` lists yours.",
        )
    version = chosen_version(desk, full_id, body.version)
    release = desk.catalog().release(full_id, version)
    if reason := taken_back(desk, release):
        raise ProblemError(409, f"{full_id} {version}: {reason}", kind="withdrawn")
    if reason := why_not_for_others(release.parsed_manifest()):
        raise ProblemError(
            422, f"{full_id} {version} is not run for others: {reason}", kind="not-for-others",
            hint="Run it yourself: `tavo registry install`.",
        )  # fmt: skip
    run, _ = desk.executions().ask(
        ask.who, version, question=question, limits=desk.execution, now=ask.now
    )
    return _accepted(run)


def executions(desk: Desk, ask: Ask) -> Answer:
    """List the runs of your organisation, the newest first."""
    query: forms.PageQuery = ask.query
    found = desk.executions().executions(
        ask.who.organization, before=after_number(query, "executions"), limit=query.limit + 1
    )
    shown = found[: query.limit]
    return Answer(
        value=forms.ExecutionList(
            executions=[_form(one) for one in shown],
            next=next_number("executions", [one.number for one in shown], len(found)),
        )
    )


def execution(desk: Desk, ask: Ask) -> Answer:
    """Show a run."""
    return Answer(value=_form(_own(desk, ask)))


def cancel(desk: Desk, ask: Ask) -> Answer:
    """Cancel a run: one that waits at once, one that runs soon; one that has ended stays."""
    one = _own(desk, ask)
    return Answer(value=_form(desk.executions().cancel(one.organization, one.uuid, now=ask.now)))


def result(desk: Desk, ask: Ask) -> Answer:
    """Send what a run found."""
    one = _own(desk, ask)
    content = desk.executions().result(one.organization, one.uuid)
    if content is None:
        why = {
            "waiting": "it waits to be run",
            "running": "it runs",
            "done": "its result was deleted, as its time was over",
        }.get(one.state, one.outcome if one.result_bytes == 0 else "its result was deleted")
        raise ProblemError(404, f"there is no result: {why}", kind="no-result")
    return Answer(value=msgspec.json.decode(content, type=RunResult))


def targets(desk: Desk, ask: Ask) -> Answer:
    """List what the operator registered for your organisation."""
    return Answer(
        value=forms.TargetList(
            targets=[
                forms.Target(name=one.name, url=one.url, created_at=one.created_at)
                for one in desk.targets().targets(ask.who.organization)
            ]
        )
    )


def statement(desk: Desk, ask: Ask) -> Answer:
    """Send what your organisation's runs used and cost in a month."""
    month = ask.values["month"]
    text = write_statement(desk.executions().finished_in(ask.who.organization, month))
    name = f"tavo-{ask.who.organization}-{month}.csv"
    return Answer(
        text=text,
        content_type=CSV,
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _accepted(run: Execution) -> Answer:
    address = f"/api/v1/executions/{run.uuid}"
    return Answer(value=_form(run), status=202, headers={"location": address})


def _own(desk: Desk, ask: Ask) -> Execution:
    """Return a run that an account may see; of others it is not even said that they are."""
    identifier = ask.values["execution"]
    try:
        return desk.executions().execution(ask.who.organization, identifier)
    except WorkingDatabaseError as error:
        if error.__cause__ is not None:
            raise
        raise ProblemError(404, str(error), kind="unknown") from None


def _form(one: Execution) -> forms.Execution:
    return forms.Execution(
        id=one.uuid,
        plugin=one.plugin,
        version=one.version,
        target=one.target,
        asked_by=one.user,
        key=one.key,
        state=one.state,
        cancelling=one.cancelling,
        asked_at=one.asked_at,
        started_at=one.started_at,
        finished_at=one.finished_at,
        complete=one.complete,
        outcome=one.outcome,
        sandbox=one.sandbox,
        findings=one.findings,
        used=msgspec.convert(msgspec.to_builtins(one.used), forms.Used),
        cost=forms.Cost(
            billed=one.billed,
            amount=money(one.cost_micro),
            currency=one.prices.currency,
            price_list=one.prices.version,
        ),
        result_bytes=one.result_bytes,
        result_sha256=one.result_sha256,
        result_until=one.result_until,
    )
