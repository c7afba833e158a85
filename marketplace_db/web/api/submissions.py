"""Handing in packages, following them, and taking releases back."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from msgspec import UNSET

from marketplace_db.accounts import Account
from marketplace_db.jobs import Jobs
from marketplace_db.market_view import MarketView
from marketplace_db.market_view import Submission as Row
from marketplace_db.web.api import forms
from marketplace_db.web.api.people import after_number, next_number
from marketplace_db.web.api.plugins import full_id_of
from marketplace_db.web.api.problem import ProblemError
from marketplace_db.web.api.routes import Answer, Ask
from marketplace_db.web.desk import Desk

__all__ = ["hand_in", "hand_in_next", "submission", "submissions", "withdraw"]


def hand_in(desk: Desk, ask: Ask) -> Answer:
    """Take in a submission: what a client would refuse is refused here."""
    return _taken(desk, ask, None)


def hand_in_next(desk: Desk, ask: Ask) -> Answer:
    """Take in another version of this plugin."""
    return _taken(desk, ask, full_id_of(desk, ask))


def submissions(desk: Desk, ask: Ask) -> Answer:
    """List what your organisation handed in, the newest first; for operators what everybody did."""
    query: forms.PageQuery = ask.query
    market = desk.market()
    found = market.handed_in(
        _whose(ask.who), before=after_number(query, "submissions"), limit=query.limit + 1
    )
    shown = found[: query.limit]
    return Answer(
        value=forms.Submissions(
            submissions=[_form(market, one) for _, one in shown],
            next=next_number("submissions", [number for number, _ in shown], len(found)),
        )
    )


def submission(desk: Desk, ask: Ask) -> Answer:
    """Show one submission with its checks."""
    market = desk.market()
    return Answer(value=_form(market, _own(market, ask.who, ask.values["submission"])))


def withdraw(desk: Desk, ask: Ask) -> Answer:
    """Withdraw one release, or all, with the next catalog; what is installed stays."""
    query: forms.WithdrawQuery = ask.query
    full_id = full_id_of(desk, ask)
    namespace = full_id.partition("/")[0]
    if namespace not in ask.who.namespaces:
        raise ProblemError(
            403, f"your organisation does not publish in the namespace {namespace}", kind="foreign"
        )
    market = desk.market()
    known = desk.catalog().version_names(full_id)
    wanted = known if query.version is UNSET else [query.version]
    if unknown := [version for version in wanted if version not in known]:
        raise ProblemError(404, f"there is no release {unknown[0]!r} of {full_id}", kind="unknown")
    for version in wanted:
        market.check_not_lifted(full_id, version, desk.edition.publishers)
    for version in wanted:
        market.yank(full_id, version, reason=query.reason, now=ask.now)
    Jobs(market.connection).ask("release", "", now=ask.now)
    return Answer(
        value=forms.Withdrawn(plugin=full_id, versions=sorted(wanted), reason=query.reason)
    )


def _taken(desk: Desk, ask: Ask, plugin: str | None) -> Answer:
    file: Path = ask.body
    identifier = desk.take_in(file, ask.who, plugin, ask.now)
    market = desk.market()
    Jobs(market.connection).ask("vet", identifier, now=ask.now)
    return Answer(
        value=_form(market, market.submission(identifier)),
        status=201,
        headers={"location": f"/api/v1/submissions/{quote(identifier)}"},
    )


def _whose(who: Account) -> str | None:
    return None if "operate" in who.scopes else who.organization


def _own(market: MarketView, who: Account, identifier: str) -> Row:
    """Return a submission that an account may see; of others it is not even said that they are."""
    found = market.handed_in_as(identifier)
    if found is None or ("operate" not in who.scopes and found[0] != who.organization):
        raise ProblemError(404, f"there is no submission {identifier}", kind="unknown")
    return found[1]


def _form(market: MarketView, one: Row) -> forms.Submission:
    return forms.Submission(
        id=one.uuid,
        plugin=one.full_id,
        version=one.version,
        sha256=one.package.hex,
        state=one.state,
        reason=one.reason,
        submitted_at=one.submitted_at,
        approvals=one.approvals,
        checks=[
            forms.Check(
                name=check.name,
                outcome=check.outcome,
                report=check.report.hex,
                checked_at=check.checked_at,
            )
            for check in market.latest_checks(one.uuid).values()
        ],
    )
