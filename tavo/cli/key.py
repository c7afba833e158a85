"""`tavo key`: make and show the key with which a publisher signs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import session_of
from tavo.errors import RefusedError
from tavo.printable import printable

if TYPE_CHECKING:
    from signing.keys import PrivateKey

__all__ = ["load_key", "register"]

_SHORTEST_PASSPHRASE = 12

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the private key.")]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Keys with which publishers sign.", no_args_is_help=True)
    group.command("new")(new)
    group.command("show")(show)
    app.add_typer(group, name="key")


def new(
    context: typer.Context,
    file: KeyFile,
    unsafe_no_passphrase: Annotated[
        bool, typer.Option("--unsafe-no-passphrase", help="Store it as it is, for trials only.")
    ] = False,
) -> None:
    """Make a new Ed25519 key in a new file, encrypted with a passphrase that is asked for."""
    from signing.keys import PrivateKey

    session = session_of(context)
    passphrase: bytes | None = None
    if unsafe_no_passphrase:
        session.say(f"tavo: {file}: whoever reads this file can sign as you")
    elif not sys.stdin.isatty():
        raise RefusedError(
            f"{file}: nobody is here to choose a passphrase",
            hint="Make the key on a terminal; --unsafe-no-passphrase is for trials.",
        )
    else:
        passphrase = typer.prompt(
            "Passphrase of several words", hide_input=True, confirmation_prompt=True, err=True
        ).encode()
        if len(passphrase) < _SHORTEST_PASSPHRASE:
            raise RefusedError(
                f"{file}: the passphrase is shorter than {_SHORTEST_PASSPHRASE} characters",
                hint="Whoever copies the file can try words for years; take several of them.",
            )
    key = PrivateKey.generate()
    key.save(file, passphrase)
    _print_public(context, key)


def show(context: typer.Context, file: KeyFile) -> None:
    """Print the public key and its id, which a marketplace binds to your namespace."""
    _print_public(context, load_key(file))


def load_key(file: Path) -> PrivateKey:
    """Read a private key; ask for its passphrase if it has one. Raises KeyFileError."""
    from signing.errors import KeyFileError
    from signing.keys import PrivateKey

    try:
        return PrivateKey.load(file, None)
    except KeyFileError as error:
        if "no passphrase was given" not in str(error) or not sys.stdin.isatty():
            raise
    asked = typer.prompt(f"Passphrase of {printable(str(file))}", hide_input=True, err=True)
    return PrivateKey.load(file, asked.encode())


def _print_public(context: typer.Context, key: PrivateKey) -> None:
    session = session_of(context)
    if session.json:
        session.print_json({"key_id": key.public.key_id, "public": key.public.hex})
        return
    print(f"key id  {key.public.key_id}\npublic  {key.public.hex}")
