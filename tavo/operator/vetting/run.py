"""Vet one submission: every check in turn, each report signed and stored before the next begins.

Rules this module keeps:
- a check that could not be done says so; it hides no other one;
- what is recorded is the signed statement with the report in it: reviewers name it by digest, it is
  released with the package, and whoever has the market's key can verify it;
- killed at any instant, the checks that were done are recorded and the others are not: vet again.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from marketplace_db.errors import MarketplaceError
from marketplace_db.market_view import Check, MarketView, Submission
from marketplace_db.package import inspect_package, unpack_package
from signing.attest import VettingClaim, sign_vetting, unverified_vetting
from signing.errors import AttestationError
from signing.keys import PrivateKey
from tavo.errors import TavoError, UsageError
from tavo.operator.marketplace import OperatedMarket
from tavo.operator.vetting import NAMES
from tavo.operator.vetting.report import Material, Outcome, Report, not_done, report_of

__all__ = ["chosen_checks", "read_report", "vet"]


def chosen_checks(names: Sequence[str]) -> tuple[str, ...]:
    """Return the named checks in their order, all of them for none. Raises UsageError."""
    for name in names:
        if name not in NAMES:
            raise UsageError(
                f"market vet: there is no check {name!r:.60}", hint=f"Known: {', '.join(NAMES)}."
            )
    return tuple(name for name in NAMES if not names or name in names)


def vet(
    place: OperatedMarket,
    submission: Submission,
    *,
    key: PrivateKey,
    names: Sequence[str] = (),
    source: Path | None = None,
    accept_sandbox: Sequence[str] = (),
    began: Callable[[str], None] = lambda _: None,
    now: datetime,
) -> Iterator[Report]:
    """Do the named checks, all for none; yield each report when it is signed and stored.

    `began` hears the name of each check. Raises UsageError for one that there is not,
    MarketplaceError and OSError where the market itself fails.
    """
    intake = place.intake
    package = inspect_package(intake.blob(submission.package))
    # a market of official plugins need not have the wheels of other systems
    stored = intake.wheels(submission.uuid)
    wheels = {name: path for name, path in stored.items() if path.exists()}
    policy = place.policy()
    for name in chosen_checks(names):
        began(name)
        with tempfile.TemporaryDirectory(prefix="tavo-vet-") as folder:
            unpacked = Path(folder) / "plugin"
            unpack_package(package, unpacked)
            material = Material(
                package=package,
                folder=unpacked,
                wheels=wheels,
                policy=policy,
                advisories=place.advisories(),
                source=source,
                accept_sandbox=tuple(accept_sandbox),
            )
            report = report_of(name, package, _done(name, material))
        claim = VettingClaim(
            full_id=submission.full_id,
            version=submission.version,
            package=submission.package,
            report=msgspec.to_builtins(report),
            issued=now,
        )
        intake.record_check(
            submission.uuid,
            name=name,
            outcome=report.outcome,
            report=sign_vetting(claim, key),
            now=now,
        )
        yield report


def read_report(market: MarketView, submission: Submission, check: Check) -> Report | None:
    """Return the report behind a check, None for one of another form. No signature is asked."""
    try:
        data = market.blob(check.report).read_bytes()
        claim = unverified_vetting(data, submission.full_id, submission.version, submission.package)
        return msgspec.convert(claim.report, Report)
    except (OSError, AttestationError, msgspec.ValidationError):
        return None


def _done(name: str, material: Material) -> Outcome:
    module = importlib.import_module(f"tavo.operator.vetting.checks.{name}")
    try:
        outcome: Outcome = module.run(material)
    except (TavoError, MarketplaceError) as error:
        return not_done(str(error))
    return outcome
