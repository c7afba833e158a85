"""Asking the user what a plugin may do, and showing it: one plugin, before it is installed.

Rules this module keeps:
- what is granted is decided by `tavo.registry.consent`; here it is shown and asked;
- what is new comes first, and what is dangerous is said plainly;
- without a terminal nobody is asked: what is missing is refused with the words that grant it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from tavo.errors import RefusedError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.cli.context import Session
    from tavo.host.installations import Installation
    from tavo.registry.consent import Consent, Demand, Grants
    from tavo.registry.install import Prepared

__all__ = [
    "Grant",
    "Yes",
    "ask_consent",
    "consent_to",
    "may_read",
    "print_permissions",
    "record_consent",
    "tell_unasked",
    "waiting",
]

Grant = Annotated[
    list[str] | None,
    typer.Option(
        "--grant", metavar="WORD",
        help="Grant one permission: network:HOST, env:NAME, subprocess:PROGRAM, program:NAME,"
        " plugin:ID, native_code, target or files; may be repeated. PLUGIN=WORD grants it to that"
        " plugin alone.",
    ),
]  # fmt: skip
Yes = Annotated[
    bool,
    typer.Option(
        "--yes", "-y",
        help="Accept the ordinary permissions without asking. Environment variables, and what is"
        " marked as dangerous, need a --grant each.",
    ),
]  # fmt: skip


def ask_consent(
    session: Session, prepared: Prepared, grants: Grants, *, is_named: bool = True
) -> Consent:
    """Show what a prepared release may do, ask what must be asked, and return what is granted.

    Nothing is stored: `record_consent` does that once the release is installed. An update without
    a terminal whose permissions are not all granted is returned with `missing` ones: it may be
    installed, waits, and `waiting` is to be raised when all is done. `is_named` is false for a
    plugin that only another one needs: words of `--grant` without a PLUGIN= do not count for it.

    Raises RefusedError when the user said no, or a first installation lacks a grant.
    """
    from tavo.registry.consent import demand_of

    manifest = prepared.accepted.inspected.manifest
    repository = str(prepared.provenance.get("repository", ""))
    with session.state() as state:
        accepted = state.accepted_sets(manifest.full_id, repository=repository)
    here = session.installations().find(manifest.full_id)
    update = here is not None and here.repository == repository
    return consent_to(demand_of(manifest, accepted), grants, is_named=is_named, update=update)


def consent_to(
    demand: Demand,
    grants: Grants,
    *,
    is_named: bool = True,
    update: bool = False,
    again: bool = False,
) -> Consent:
    """Show a demand and settle it by words, `--yes` and answers.

    With `update`, missing permissions are returned, not refused, where nobody can be asked. With
    `again`, variables that were declined before are asked about, too. Raises RefusedError.
    """
    from tavo.registry.consent import settle

    _print_demand(demand)
    consent = settle(demand, grants=grants, is_named=is_named)
    here = sys.stdin.isatty() and not grants.yes
    words = grants.words_for(demand.full_id, is_named=is_named)
    agreed = demand.accepted or grants.yes or bool(words & set(demand.asked))
    answered: set[str] = set()
    if consent.missing or not agreed:
        if not here:
            if consent.missing and update:
                return consent
            raise _nobody(consent, agreed=agreed)
        question = "Accept what is new?" if not demand.first else "Accept these permissions?"
        if not typer.confirm(question, default=False, err=True):
            raise RefusedError(
                f"{demand.full_id} {demand.version}: its permissions were not accepted, so nothing"
                " was changed"
            )
        answered |= set(consent.missing)
    for word in consent.declined if here else ():
        if again or word in demand.is_new:
            answered |= {word} if may_read(word.removeprefix("env:")) else set()
    return settle(demand, grants=grants, is_named=is_named, answered=answered)


def may_read(variable: str) -> bool:
    """Ask whether a plugin may read one environment variable."""
    return typer.confirm(f"May it read the variable {variable}?", default=False, err=True)


def record_consent(session: Session, consent: Consent, installed: Installation) -> None:
    """Remember what was granted to an installation. One that waits keeps what was granted before.

    Say which variables were left out.
    """
    if consent.missing:
        return
    name = installed.full_id.removeprefix("tavo/")
    with session.state() as state:
        state.grant(installed.manifest, consent.granted, repository=installed.repository)
    if consent.declined:
        session.say(
            "Not granted, and not needed to run:"
            f" {', '.join(word.removeprefix('env:') for word in consent.declined)}. Later:"
            f" tavo registry grant {name}{_words(consent.declined)}"
        )


def tell_unasked(session: Session, grants: Grants, *demands: Demand) -> None:
    """Say which words of `--grant` none of the plugins asks for: nothing was granted by them."""
    for word in grants.unasked(demands):
        session.say(f"--grant {word}: no plugin here asks for that, so nothing was granted by it")


def waiting(consent: Consent) -> RefusedError:
    """Return what says that an update was installed, does not run, and how to accept it."""
    demand = consent.demand
    return RefusedError(
        f"{demand.full_id} {demand.version}: asks for more than you accepted. It is installed, and"
        " does not run until you accept that",
        hint=f"Read it above, then: tavo registry grant {demand.full_id.removeprefix('tavo/')}"
        + _words(consent.missing),
    )


def print_permissions(
    can: Sequence[str],
    cannot: Sequence[str],
    danger: Sequence[str],
    *,
    to: TextIO | None = None,
) -> None:
    """Print what a plugin can and can NOT do, and what is dangerous about it."""
    lines = ["It can:", *(f"  + {sentence}" for sentence in can)]
    if danger:
        lines += ["DANGER:", *(f"  ! {sentence}" for sentence in danger)]
    lines += ["It can NOT:", *(f"  - {sentence}" for sentence in cannot)]
    for line in lines:
        print(printable(line), file=to)


def _print_demand(demand: Demand) -> None:
    from marketplace_db.permissions import word_sentence

    if not demand.first and demand.is_new:
        print("It asks for more than before:")
        for word in demand.is_new:
            print(printable(f"  + {word_sentence(word)}"))
    elif demand.accepted:
        print("It asks for nothing that you have not accepted before.")
    print_permissions(demand.can, demand.cannot, demand.danger)


def _nobody(consent: Consent, *, agreed: bool) -> RefusedError:
    demand = consent.demand
    if consent.missing:
        return RefusedError(
            f"{demand.full_id} {demand.version}: nobody is here to accept its permissions; still"
            f" missing:{_words(consent.missing)}",
            hint="Read them above, and add these words."
            + ("" if agreed else " --yes accepts the ordinary ones."),
        )
    return RefusedError(
        f"{demand.full_id} {demand.version}: nobody is here to accept its permissions",
        hint="Read them above and add --yes.",
    )


def _words(words: Sequence[str]) -> str:
    return "".join(f" --grant {word}" for word in words)
