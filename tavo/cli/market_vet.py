"""`tavo market` vet and advisories: automatic checks, and what they know of other people's code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.key import load_key, load_keyring
from tavo.cli.market_place import KeysFolder, Place, opened
from tavo.errors import ExitCode, InputError, UsageError, worst
from tavo.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace_db.intake import Submission
    from signing.keyring import Keyring
    from signing.keys import PrivateKey
    from tavo.operator.marketplace import OperatedMarket
    from tavo.operator.vetting.report import Report

__all__ = ["register"]

_SHOWN = 3
_CODES = {"passed": ExitCode.OK, "failed": ExitCode.FINDINGS, "not done": ExitCode.INCOMPLETE}


def register(group: typer.Typer) -> None:
    """Add the commands to `tavo market`."""
    group.command("vet")(vet)
    group.command("advisories")(advisories)


def vet(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="[ID]", help="One submission; all that wait without it.")
    ] = "",
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="NAME", help="Only this one; may be repeated."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="DIR", help="What its author packed it from."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Signs the reports; else the catalog key."),
    ] = None,
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Check submissions, sign what was found; exit 0 passed, 1 failed, 4 not all was done."""
    from tavo.operator.vetting.run import chosen_checks

    session = session_of(context)
    if source is not None and not identifier:
        raise UsageError("market vet: --source belongs to one submission", hint="Name its id.")
    if source is not None and not source.is_dir():
        raise UsageError(f"{source}: there is no such folder")
    names = chosen_checks(check or ())
    keyring = load_keyring(keys, ("catalog",))
    signer = load_key(key) if key is not None else _catalog_key(keyring)
    outcomes: list[ExitCode] = []
    values: list[dict[str, Any]] = []
    with opened(session, market, keyring) as place:
        place.policy()  # what is wrong there is said also where nothing waits
        queue = (
            [place.intake.submission(identifier)]
            if identifier
            else [one for one in place.intake.submissions() if one.state == "submitted"]
        )
        if not queue:
            session.say("Nothing waits to be vetted.")
        for one in queue:
            reports = _vet(session, place, one, signer, names, source)
            outcomes += [_code(place, report) for report in reports]
            values.append({"id": one.uuid, "reports": reports})
    if session.json:
        import msgspec

        session.print_json(msgspec.to_builtins(values))
    raise typer.Exit(int(worst(outcomes)))


def advisories(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A zip of osv.dev, a folder of records, or a mirror's advisories.db.",
        ),
    ],
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Take in known vulnerabilities as one snapshot, and sign it with the online keys."""
    import tempfile

    from marketplace_db.advisories.snapshot import read_records, write_snapshot
    from signing.digests import hash_file
    from signing.roles import ONLINE_ROLES
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if not source.exists():
        raise UsageError(
            f"{source}: there is no such file or folder",
            hint="Fetch all.zip of an ecosystem from osv.dev, and name it.",
        )
    with (
        opened(session, market, load_keyring(keys, ONLINE_ROLES)) as place,
        tempfile.TemporaryDirectory(prefix="tavo-advisories-") as folder,
    ):
        made = Path(folder) / "advisories.db"
        snapshot = write_snapshot(read_records(source), made)
        if not snapshot.records:
            raise InputError(
                f"{source}: no advisory in it stands, so nothing was published",
                hint="Name a zip of osv.dev, a folder with its records as .json, or a snapshot.",
            )
        digest, length = hash_file(made)
        place.publish_advisories(made, utc_now())
    value = {"records": snapshot.records, "newest": snapshot.newest, "sha256": digest.hex,
             "bytes": length}  # fmt: skip
    if session.json:
        session.print_json(value)
        return
    print(printable(
        f"advisories: {snapshot.records} that stand, the newest of {snapshot.newest or 'no time'},"
        f" {length} bytes, sha256 {digest.hex}"
    ))  # fmt: skip


def _catalog_key(keyring: Keyring) -> PrivateKey:
    held = keyring.of("catalog")
    if not held:
        raise UsageError(
            "market vet: no key to sign the reports with",
            hint="Name the folder of the online keys with --keys, or a key with --key.",
        )
    return held[0]


def _vet(
    session: Session,
    place: OperatedMarket,
    submission: Submission,
    key: PrivateKey,
    names: Sequence[str],
    source: Path | None,
) -> list[Report]:
    from tavo.operator.vetting.run import vet as do
    from tavo.registry.trust import utc_now

    reporter = session.reporter()
    if not session.json:
        print(printable(f"{submission.full_id} {submission.version}, {submission.uuid}"))
    reports = []
    for report in do(
        place, submission, key=key, names=names, source=source,
        accept_sandbox=session.settings().sandbox.accept,
        began=lambda name: reporter.begin(f"checking: {name}", None), now=utc_now(),
    ):  # fmt: skip
        reporter.end()
        reports.append(report)
        if not session.json:
            print_report(report)
    return reports


def print_report(report: Report, *, shown: int = _SHOWN) -> None:
    """Print a report's outcome and its first sentences."""
    state = report.outcome if report.outcome != "failed" else "FAILED"
    begin = f"  {report.check:<12} {state:<9} "
    for number, sentence in enumerate(report.sentences[:shown] or ("",)):
        print(printable((begin if not number else " " * len(begin)) + sentence))
    left = len(report.sentences) - shown + report.more
    if left > 0:
        print(" " * len(begin) + f"and {left} more sentences")


def _code(place: OperatedMarket, report: Report) -> ExitCode:
    """Return the exit code for a report; one that nobody asks for and was not done is none."""
    if report.outcome == "not done" and report.check not in place.policy().required:
        return ExitCode.OK
    return _CODES[report.outcome]
