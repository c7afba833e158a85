"""Where a marketplace is, which keys are at hand, and how a command opens it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session
from tavo.errors import UsageError

if TYPE_CHECKING:
    from signing.keyring import Keyring
    from tavo.operator.marketplace import OperatedMarket

__all__ = ["KeysFolder", "Place", "opened", "words_given"]

Place = Annotated[
    Path,
    typer.Option("--market", metavar="DIR", envvar="TAVO_MARKET", help="The marketplace's folder."),
]
KeysFolder = Annotated[
    Path | None,
    typer.Option("--keys", metavar="DIR", envvar="TAVO_KEYS", help="Keys of roles at hand."),
]


@contextlib.contextmanager
def words_given() -> Iterator[None]:
    """Have what the market says about words that no market could take be wrong usage."""
    from marketplace_db.errors import WorkingDatabaseError

    try:
        yield
    except WorkingDatabaseError as error:
        raise UsageError(str(error), hint=error.hint) from None


def opened(session: Session, market: Path, keyring: Keyring | None = None) -> OperatedMarket:
    """Open the marketplace; a development one says so."""
    from signing.keyring import Keyring
    from tavo.operator.marketplace import OperatedMarket

    place = OperatedMarket.open(market, keyring or Keyring({}))
    if place.development:
        session.say(f"tavo: {market}: DEVELOPMENT ROOT: its keys are for trials only")
    return place
