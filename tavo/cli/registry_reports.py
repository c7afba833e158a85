"""`tavo registry reports`: the evidence behind a release, for whoever wants to judge it themselves.

Rules this module keeps:
- what is shown is read from statements that were verified just now, and from the reports whose
  digests they name; what does not count or is not here is said;
- the exit code is 1 if a check failed, let pass or not; 4 if a report is missing, or there is none;
  5 if the release is not accepted any more; else 0. A check that was not done says so, and whether
  it had to be is the operator's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import session_of
from tavo.errors import ExitCode, worst
from tavo.printable import counted, printable

if TYPE_CHECKING:
    from marketplace_db.catalog import ReleaseRow
    from tavo.registry.reports import Evidence

__all__ = ["reports"]

_SENTENCES = 5


def reports(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="publisher/name, or name==1.2.")],
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
    ] = None,
) -> None:
    """Show what vetting found in a release, who reviewed it, and what they let pass."""
    from marketplace_db.catalog import full_id_of
    from tavo.registry.offered import newest_offered, recall_problem, statement_problem
    from tavo.registry.reports import read_evidence

    session = session_of(context)
    name, _, version = plugin.partition("==")
    with session.shelves(mirror) as shelves:
        shelf = shelves.of(full_id_of(name.strip()))
        opened, catalog = shelf.opened, shelf.catalog
        if version:
            release: ReleaseRow | None = catalog.release(name.strip(), version.strip())
        else:
            release, _ = newest_offered(opened, catalog, catalog.plugin(name))
        release = release or catalog.versions(name)[0]
    refused = recall_problem(opened, release) or statement_problem(opened, release)
    evidence = read_evidence(opened, release)
    if session.json:
        session.print_json(_form(release, evidence, refused))
    else:
        _print(release, evidence, refused)
    code = worst([_code(evidence), ExitCode.REFUSED if refused else ExitCode.OK])
    if code:
        raise typer.Exit(code)


def _code(evidence: Evidence) -> ExitCode:
    outcomes = {report.outcome for report in _latest(evidence)}
    unread = not evidence.reports or any(review.problem for review in evidence.reviews)
    return worst([
        ExitCode.FINDINGS if "failed" in outcomes else ExitCode.OK,
        ExitCode.INCOMPLETE if unread or "missing" in outcomes else ExitCode.OK,
    ])  # fmt: skip


def _print(release: ReleaseRow, evidence: Evidence, refused: str) -> None:
    print(printable(f"{release.full_id} {release.version}"))
    print(f"  package    sha256 {release.package.hex}")
    if refused:
        print(printable(f"  REFUSED    {refused}"))
    for review in evidence.reviews:
        if review.problem:
            print(printable(f"  reviewer   does not count: {review.problem}"))
            continue
        print(printable(
            f"  reviewer   key {review.key_id[:12]} approved it {review.issued[:10]} and read"
            f" {counted(len(review.reports), 'report')}"
        ))  # fmt: skip
    shown = _latest(evidence)
    for report in shown:
        print(printable(f"  {report.check or 'unnamed':13}{report.outcome:9} sha256"
                        f" {report.digest.hex}"))  # fmt: skip
        for sentence in report.sentences[:_SENTENCES]:
            print(printable(f"               {sentence}"))
        if (more := len(report.sentences) - _SENTENCES) > 0:
            print(f"               and {more} more; --json has all")
        for review in evidence.reviews:
            for one in review.overrides:
                if one.check == report.check:
                    print(printable(f"    LET PASS   by the reviewer with key {one.key_id[:12]}:"
                                    f" {one.reason}"))  # fmt: skip
    done = {report.check for report in shown}
    for review in evidence.reviews:
        for one in review.overrides:
            if one.check not in done:
                print(printable(f"  {one.check:13}not done"))
                print(printable(f"    LET PASS   by the reviewer with key {one.key_id[:12]}:"
                                f" {one.reason}"))  # fmt: skip
    if not evidence.reports:
        print("  No report was read by its reviewers.")
    if (older := len(evidence.reports) - len(shown)) > 0:
        print(f"  {counted(older, 'earlier report')} of the same checks: --json has all.")


def _latest(evidence: Evidence) -> list[Any]:
    """Return the last report of each check, as reviewers name them in the order they were made."""
    by_check = {report.check or report.digest.hex: report for report in evidence.reports}
    return list(by_check.values())


def _form(release: ReleaseRow, evidence: Evidence, refused: str) -> dict[str, Any]:
    return {
        "id": release.full_id, "version": release.version, "package": release.package.hex,
        "refused": refused,
        "reviews": [
            {"statement": one.envelope.hex, "key_id": one.key_id, "issued": one.issued,
             "reports": [digest.hex for digest in one.reports], "problem": one.problem,
             "overrides": [{"check": o.check, "reason": o.reason} for o in one.overrides]}
            for one in evidence.reviews
        ],
        "reports": [
            {"sha256": one.digest.hex, "check": one.check, "outcome": one.outcome,
             "sentences": list(one.sentences), "tavo": one.tavo, "report": one.whole}
            for one in evidence.reports
        ],
    }  # fmt: skip
