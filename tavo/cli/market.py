"""`tavo market`: run a marketplace: from what is handed in to what is released.

The changes that need offline keys stand in `tavo.cli.market_offline` and `market_people`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli import (
    market_accounts,
    market_backup,
    market_entitle,
    market_execute,
    market_offline,
    market_people,
    market_serve,
    market_vet,
    rules_packs,
)
from tavo.cli.context import Session, session_of
from tavo.cli.key import load_key, load_keyring
from tavo.cli.market_place import KeysFolder, Place, opened
from tavo.cli.render import table
from tavo.errors import RefusedError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from marketplace_db.intake import Submission
    from signing.attest import Decision
    from tavo.operator.marketplace import OperatedMarket

__all__ = ["register"]

_LONGEST_REASON = 500
_SENTENCES = 3
_LARGEST_STATEMENT = 1 << 20

SubmissionId = Annotated[
    str, typer.Argument(metavar="ID", help="A submission, or the beginning of its id.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Run a marketplace of plugins.", no_args_is_help=True)
    market_offline.register(group)
    market_people.register(group)
    group.command("submit")(submit)
    group.command("submissions")(submissions)
    market_vet.register(group)
    rules_packs.register_market(group)
    group.command("approve")(approve)
    group.command("reject")(reject)
    group.command("yank")(yank)
    group.command("release")(release)
    market_entitle.register(group)
    group.command("status")(status)
    market_backup.register(group)
    market_accounts.register(group)
    market_execute.register(group)
    market_serve.register(group)
    app.add_typer(group, name="market")


def submit(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `tavo plugin submit` wrote.")],
    market: Place = Path("market"),
    allow_look_alike: Annotated[
        str,
        typer.Option("--allow-look-alike", metavar="REASON", help="Take a name that looks alike."),
    ] = "",
) -> None:
    """Take in a submission: what a client would refuse is refused here."""
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if not file.is_file():
        raise UsageError(
            f"{file}: there is no such file", hint="Name what `tavo plugin submit` wrote."
        )
    with opened(session, market) as place:
        identifier = place.submit(file, utc_now(), although_alike=allow_look_alike)
        taken = place.intake.submission(identifier)
    _print(session, _form(taken), f"{taken.full_id} {taken.version} is submission {identifier}.")


def submissions(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="[ID]", help="One of them, with all that is known.")
    ] = "",
    market: Place = Path("market"),
) -> None:
    """List what was handed in, the oldest first, or show one with its checks and statements."""
    session = session_of(context)
    with opened(session, market) as place:
        if identifier:
            _show(session, place, place.intake.submission(identifier))
            return
        found = place.intake.submissions()
    if session.json:
        session.print_json([_form(one) for one in found])
        return
    if not found:
        session.say("Nothing was handed in yet.")
    table(
        ("id", "plugin", "version", "state", "approvals", "handed in", "reason"),
        [
            (one.uuid[:8], one.full_id, one.version, one.state, str(one.approvals),
             one.submitted_at, one.reason)
            for one in found
        ],
        color=session.color,
    )  # fmt: skip


def approve(
    context: typer.Context,
    identifier: SubmissionId,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Your own key as a reviewer.")
    ] = None,
    statement: Annotated[
        Path | None,
        typer.Option("--statement", metavar="FILE", help="A statement signed elsewhere."),
    ] = None,
    although: Annotated[
        list[str] | None,
        typer.Option(
            "--although", metavar="CHECK=REASON", help="Let a failed check pass; users read why."
        ),
    ] = None,
    market: Place = Path("market"),
) -> None:
    """Approve with a reviewer's key; with enough approvals it is in the next release."""
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market) as place:
        chosen = place.intake.submission(identifier)
        now = utc_now()
        overrides = _overrides(place, chosen, although or ())
        _review(place, chosen, key, statement, "approve", now, overrides)
        needed = place.publishers().reviews_needed(chosen.full_id)
        have = place.intake.submission(chosen.uuid).approvals
        if have < needed:
            text = f"{have} of {needed} approvals; another reviewer must approve it too."
        else:
            place.approve(chosen, now)
            text = "approved; `tavo market release` brings it into the catalog."
        after = place.intake.submission(chosen.uuid)
    _print(session, _form(after), f"{after.full_id} {after.version}: {text}")


def reject(
    context: typer.Context,
    identifier: SubmissionId,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What its publisher reads.")
    ],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Your own key as a reviewer.")
    ] = None,
    statement: Annotated[
        Path | None,
        typer.Option("--statement", metavar="FILE", help="A statement signed elsewhere."),
    ] = None,
    market: Place = Path("market"),
) -> None:
    """Reject with a reviewer's key, and close the submission."""
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if not reason.strip():
        raise UsageError("market reject: --reason is empty", hint="Its publisher reads it.")
    with opened(session, market) as place:
        chosen = place.intake.submission(identifier)
        now = utc_now()
        _review(place, chosen, key, statement, "reject", now)
        place.intake.reject(chosen.uuid, reason=reason, now=now)
        after = place.intake.submission(chosen.uuid)
    _print(session, _form(after), f"{after.full_id} {after.version}: rejected.")


def yank(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PUBLISHER/NAME", help="The plugin.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The release.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What users read.")],
    market: Place = Path("market"),
) -> None:
    """Withdraw a release from the next catalog on; to let it back needs offline keys."""
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if not reason.strip():
        raise UsageError("market yank: --reason is empty", hint="Users read it.")
    with opened(session, market) as place:
        place.intake.check_not_lifted(plugin, version, place.publishers())
        place.intake.yank(plugin, version, reason=reason, now=utc_now())
    _print(
        session, {"plugin": plugin, "version": version, "reason": reason},
        f"{plugin} {version} is withdrawn with the next `tavo market release`.",
    )  # fmt: skip


def release(
    context: typer.Context,
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Make the next catalog out of what was approved, and sign it with the online keys."""
    from signing.roles import ONLINE_ROLES
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market, load_keyring(keys, ONLINE_ROLES)) as place:
        made = place.release(utc_now())
        version = place.repository.version("catalog")
    for one in made.fallen:
        session.say(f"withdrawn with it: {one}")
    news = "" if made.changed else " Nothing is new in it; its dates are."
    size = f" The delta from the last one has {made.delta} bytes." if made.delta else ""
    _print(
        session,
        {"catalog": made.catalog.hex, "version": version, "bytes": made.length,
         "releases": made.releases, "changed": made.changed, "delta_bytes": made.delta,
         "withdrawn": [str(one) for one in made.fallen]},
        f"catalog version {version}: {made.releases} releases, {made.length} bytes,"
        f" sha256 {made.catalog.hex}.{size}{news}",
    )  # fmt: skip


def status(
    context: typer.Context,
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Show the queue, what is released, how long metadata is valid, and which keys are here."""
    from signing.digests import Digest
    from signing.roles import ROLES
    from tavo.operator.status import status_of
    from tavo.registry.marketplaces import grouped
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market, load_keyring(keys, ROLES)) as place:
        value = status_of(place, utc_now())
    if session.json:
        session.print_json(value)
        return
    print(f"repository  {value['repository']}")
    print(f"root        sha256 {value['root_sha256']}")
    print(f"fingerprint {grouped(Digest(value['root_fingerprint']))}")
    print(f"releases    {value['releases']} ({value['withdrawn']} withdrawn)")
    print(f"waiting     {len(value['waiting'])} of {value['submissions']} submissions")
    for one in value["waiting"]:
        needs = "; ".join((one["needs"], *_grouped(one["blocked_by"])))
        print(printable(f"  {one['id'][:8]}  {one['plugin']} {one['version']}: {needs}"))
    table(
        ("role", "version", "valid until", "days left", "keys missing here"),
        [
            (one["role"], str(one["version"]), one["expires"], str(one["days_left"]),
             str(one["keys_missing"] or ""))
            for one in value["roles"]
        ],
        color=session.color,
    )  # fmt: skip


def _review(
    place: OperatedMarket,
    submission: Submission,
    key: Path | None,
    statement: Path | None,
    decision: Decision,
    now: datetime,
    overrides: dict[str, str] | None = None,
) -> None:
    from marketplace_db.package import read_bounded

    if (key is None) == (statement is None):
        raise UsageError(
            f"market {decision}: name --key, or --statement",
            hint="A reviewer's statement is signed with the reviewer's own key.",
        )
    if statement is not None and overrides:
        raise UsageError(
            "market approve: --although goes with --key",
            hint="A statement that was signed elsewhere says itself what it lets pass.",
        )
    if statement is not None and not statement.is_file():
        raise UsageError(f"{statement}: there is no such file")
    envelope = (
        read_bounded(statement, _LARGEST_STATEMENT)
        if statement is not None
        else place.statement(
            submission, load_key(key or Path()), decision, now, overrides=overrides
        )
    )
    found = place.review(submission, envelope, now)
    if found != decision:
        raise RefusedError(
            f"{submission.full_id} {submission.version}: the statement says {found}",
            hint=f"Use `tavo market {found}`.",
        )


def _overrides(
    place: OperatedMarket, submission: Submission, given: Sequence[str]
) -> dict[str, str]:
    """Read CHECK=REASON; each must name a check that blocks the approval."""
    blocking = place.blocking(submission)
    overrides: dict[str, str] = {}
    for text in given:
        check, _, reason = (part.strip() for part in text.partition("="))
        if not check or not reason:
            raise UsageError(
                f"market approve: --although {text!r:.80} is not CHECK=REASON",
                hint="Such as: --although 'licence=Our lawyers agreed on 1 May'.",
            )
        if len(reason) > _LONGEST_REASON:
            raise UsageError(f"market approve: a reason has at most {_LONGEST_REASON} characters")
        if check not in blocking:
            known = f"What blocks it: {', '.join(sorted(blocking))}." if blocking else "None does."
            raise UsageError(
                f"market approve: the check {check!r:.60} does not block this approval", hint=known
            )
        overrides[check] = reason
    return overrides


def _show(session: Session, place: OperatedMarket, one: Submission) -> None:
    from tavo.operator.vetting.run import read_report

    checks, approvals = place.intake.checks(one.uuid), place.intake.approvals(one.uuid)
    reports = [read_report(place.intake, one, check) for check in checks]
    blocking = place.blocking(one) if one.state == "submitted" else {}
    value = {
        **_form(one),
        "checks": [{"name": c.name, "outcome": c.outcome, "report": c.report.hex,
                    "at": c.checked_at, "sentences": list(r.sentences) if r else []}
                   for c, r in zip(checks, reports, strict=True)],
        "blocked_by": blocking,
        "statements": [{"key_id": k, "decision": d, "issued": t} for k, d, t in approvals],
    }  # fmt: skip
    if session.json:
        session.print_json(value)
        return
    print(printable(f"{one.full_id} {one.version}: {one.state}"))
    if one.reason:
        print(printable(f"  because {one.reason}"))
    print(f"  id         {one.uuid}\n  package    sha256 {one.package.hex}")
    print(f"  handed in  {one.submitted_at}")
    latest = {check.name: check for check in checks}
    for check, report in zip(checks, reports, strict=True):
        if check is not latest[check.name]:
            continue  # it was done again; --json has all
        print(printable(f"  check      {check.name}: {check.outcome}, report {check.report.hex}"))
        for sentence in (report.sentences if report else ())[:_SENTENCES]:
            print(printable(f"             {sentence}"))
    for text in _grouped(blocking):
        print(printable(f"  blocked    {text}"))
    for key_id, decision, issued in approvals:
        print(f"  statement  {decision} by {key_id[:12]}, {issued}")


def _grouped(blocking: Mapping[str, str]) -> list[str]:
    """Say which checks block an approval, those with the same reason together."""
    names: dict[str, list[str]] = {}
    for name, why in sorted(blocking.items()):
        names.setdefault(why.removeprefix("was "), []).append(name)
    return [f"{why}: {', '.join(listed)}" for why, listed in sorted(names.items())]


def _form(one: Submission) -> dict[str, Any]:
    return {
        "id": one.uuid, "plugin": one.full_id, "version": one.version, "state": one.state,
        "package": one.package.hex, "approvals": one.approvals, "reason": one.reason,
        "submitted_at": one.submitted_at,
    }  # fmt: skip


def _print(session: Session, value: dict[str, Any], text: str) -> None:
    if session.json:
        session.print_json(value)
    else:
        print(printable(text))
