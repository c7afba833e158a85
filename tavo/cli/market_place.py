"""Where a marketplace is, which keys are at hand, and how a command opens it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session

if TYPE_CHECKING:
    from signing.keyring import Keyring
    from tavo.operator.marketplace import OperatedMarket

__all__ = ["KeysFolder", "Place", "opened"]

Place = Annotated[
    Path,
    typer.Option("--market", metavar="DIR", envvar="TAVO_MARKET", help="The marketplace's folder."),
]
KeysFolder = Annotated[
    Path | None,
    typer.Option("--keys", metavar="DIR", envvar="TAVO_KEYS", help="Keys of roles at hand."),
]


def opened(session: Session, market: Path, keyring: Keyring | None = None) -> OperatedMarket:
    """Open the marketplace; a development one says so."""
    from signing.keyring import Keyring
    from tavo.operator.marketplace import OperatedMarket

    place = OperatedMarket.open(market, keyring or Keyring({}))
    if place.development:
        session.say(f"tavo: {market}: DEVELOPMENT ROOT: its keys are for trials only")
    return place
