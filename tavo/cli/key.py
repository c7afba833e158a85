"""`tavo key`: keys of publishers, reviewers and roles: make, show, lock again, sign a ceremony."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.errors import RefusedError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from signing.ceremony import Ceremony
    from signing.keyring import Keyring
    from signing.keys import PrivateKey

__all__ = ["PASSPHRASE", "load_key", "load_keyring", "new_passphrase", "register",
           "tell_ceremony"]  # fmt: skip

PASSPHRASE = "TAVO_KEY_PASSPHRASE"  # noqa: S105, the name of the variable
_FROM_ENVIRONMENT = "env:"
_SHORTEST_PASSPHRASE = 12

KeyFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file of the private key, or env:VARIABLE.")
]
CeremonyFolder = Annotated[
    Path, typer.Argument(metavar="CEREMONY", help="The folder that was prepared.")
]
Plain = Annotated[
    bool, typer.Option("--unsafe-no-passphrase", help="Store it as it is, for trials only.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Keys with which people sign.", no_args_is_help=True)
    group.command("new")(new)
    group.command("show")(show)
    group.command("passwd")(passwd)
    group.command("sign")(sign)
    app.add_typer(group, name="key")


def new(context: typer.Context, file: KeyFile, unsafe_no_passphrase: Plain = False) -> None:
    """Make a new Ed25519 key in a new file, encrypted with a passphrase that is asked for."""
    from signing.keys import PrivateKey

    session = session_of(context)
    passphrase = new_passphrase(session, str(file), plain=unsafe_no_passphrase)
    key = PrivateKey.generate()
    key.save(file, passphrase)
    _print_public(context, key)


def show(context: typer.Context, file: KeyFile) -> None:
    """Print the public key and its id, which a marketplace binds to your namespace."""
    _print_public(context, load_key(file))


def passwd(
    context: typer.Context,
    file: KeyFile,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The new file; the old one stays.")
    ],
    unsafe_no_passphrase: Plain = False,
) -> None:
    """Write a key to a new file with another passphrase; the old file stays until you delete it."""
    session = session_of(context)
    key = load_key(file)
    key.save(output, new_passphrase(session, str(output), plain=unsafe_no_passphrase))
    _print_public(context, key)
    session.say(f"Try it: tavo key show {output}. Then delete {file}, and its copies.")


def sign(
    context: typer.Context,
    ceremony: CeremonyFolder,
    key: Annotated[list[Path], typer.Option("--key", metavar="FILE", help="A key that you hold.")],
    root_sha256: Annotated[
        str, typer.Option("--root-sha256", metavar="HEX", help="The root that you know.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Sign without a question.")] = False,
) -> None:
    """Add your signature to a prepared change, after showing what it says."""
    from signing.ceremony import Ceremony

    session = session_of(context)
    if root_sha256:
        _check_digest(root_sha256)
    read = Ceremony.read(ceremony)
    root = read.base_root()
    if root_sha256 and root != root_sha256.lower():
        starts = f"starts from the root {root}" if root else (
            "founds a repository and starts from no root"
        )  # fmt: skip
        raise RefusedError(
            f"{ceremony}: {starts}, you know {root_sha256.lower()}",
            hint="Do not sign it: it is for another repository, or for a state that you missed.",
        )
    tell_ceremony(session, read)
    keys = [load_key(one) for one in key]
    roles = sorted({role for one in keys for role in read.signable(one.public)})
    if roles and not yes:
        if not sys.stdin.isatty():
            raise RefusedError(
                f"{ceremony}: nobody is here to read what is signed",
                hint="Sign on a terminal, or say --yes after reading it with `tavo key sign`.",
            )
        if not typer.confirm(f"Sign {', '.join(roles)}?", err=True):
            raise RefusedError(f"{ceremony}: was not signed")
    for one in keys:
        read.sign(one)
    read.write(ceremony)
    missing = read.wanting()
    if session.json:
        session.print_json({"signed": roles, "missing": {w.role: w.needed - w.have
                                                         for w in missing}})  # fmt: skip
        return
    print(printable(f"{ceremony}: signed {', '.join(roles)}."))
    for wanting in missing:
        ids = ", ".join(known[:12] for known in wanting.keys)
        print(f"  {wanting.role}: {wanting.needed - wanting.have} more of {ids} must sign")
    if not missing:
        session.say("All signatures are there: `tavo market adopt` takes it over.")


def _check_digest(given: str) -> None:
    from signing.digests import Digest

    try:
        Digest(given.lower())
    except ValueError:
        raise UsageError(
            f"--root-sha256 {given!r:.80} is not 64 hexadecimal digits",
            hint="`tavo market status` prints it.",
        ) from None


def tell_ceremony(session: Session, ceremony: Ceremony) -> None:
    """Say what a ceremony would change, read from what is signed."""
    from signing.amend import differences

    lines = [f"repository {ceremony.identity}"]
    if root := ceremony.base_root():
        lines.append(f"starts from the root with sha256 {root}")
    for role, value in ceremony.metadata.items():
        lines.append(f"{role} becomes version {value.signed.version}, valid until"
                     f" {value.signed.expires:%Y-%m-%d}")  # fmt: skip
    for role, (before, after) in ceremony.new_keys().items():
        lines += [f"{role}: takes away the key {key.key_id}" for key in before if key not in after]
        lines += [f"{role}: gives the key {key.key_id}" for key in after if key not in before]
    document = ceremony.publishers()
    if document is not None:
        lines += differences(ceremony.publishers_before(), document) or ("the same document again",)
    lines += [f"releases {name}" for name in ceremony.artifacts if name.startswith("releases/")]
    for line in lines:
        session.say("  " + line)


def new_passphrase(session: Session, where: str, *, plain: bool = False) -> bytes | None:
    """Ask for the passphrase of a new key, or take it from the environment; None for none."""
    if plain:
        session.say(f"tavo: {where}: whoever reads this file can sign as you")
        return None
    given = os.environ.get(PASSPHRASE)
    if given is None and not sys.stdin.isatty():
        raise RefusedError(
            f"{where}: nobody is here to choose a passphrase",
            hint=f"Make the key on a terminal, or set {PASSPHRASE};"
            " --unsafe-no-passphrase is for trials.",
        )
    passphrase = (given if given is not None else typer.prompt(
        "Passphrase of several words", hide_input=True, confirmation_prompt=True, err=True
    )).encode()  # fmt: skip
    if len(passphrase) < _SHORTEST_PASSPHRASE:
        raise RefusedError(
            f"{where}: the passphrase is shorter than {_SHORTEST_PASSPHRASE} characters",
            hint="Whoever copies the file can try words for years; take several of them.",
        )
    return bytes(passphrase)


def load_key(file: Path) -> PrivateKey:
    """Read a private key from a file, or from a variable by `env:NAME`. Raises KeyFileError.

    Its passphrase comes from TAVO_KEY_PASSPHRASE where that is set, else it is asked for.
    """
    from signing.keys import PrivateKey

    name = str(file)
    if not name.startswith(_FROM_ENVIRONMENT):
        return _opened(name, lambda passphrase: PrivateKey.load(file, passphrase))
    variable = name.removeprefix(_FROM_ENVIRONMENT)
    pem = os.environ.get(variable)
    if pem is None:
        raise UsageError(
            f"{name}: the variable {variable} is not set",
            hint="Put the key's PEM text into it.",
        )
    return _opened(
        name, lambda passphrase: PrivateKey.from_pem(pem.encode(), passphrase, where=name)
    )


def load_keyring(folder: Path | None, roles: Iterable[str]) -> Keyring:
    """Load the keys of these roles from a folder, asking for passphrases; none without a folder.

    A passphrase that opened one of them is tried on the next. Raises KeyFileError.
    """
    from signing.errors import KeyFileError
    from signing.keyring import Keyring
    from signing.keys import PrivateKey

    if folder is None:
        return Keyring({})
    worked: list[bytes] = []

    def load(path: Path) -> PrivateKey:
        def once(passphrase: bytes | None) -> PrivateKey:
            key = PrivateKey.load(path, passphrase)
            worked[:] = [passphrase] if passphrase else worked
            return key

        for passphrase in worked:
            try:
                return once(passphrase)
            except KeyFileError:
                continue
        return _opened(str(path), once)

    return Keyring.load(folder, roles=roles, load=load)


def _opened(name: str, load: Callable[[bytes | None], PrivateKey]) -> PrivateKey:
    from signing.errors import KeyFileError

    try:
        return load(None)
    except KeyFileError as error:
        if "no passphrase was given" not in str(error):
            raise
        given = os.environ.get(PASSPHRASE)
        if given is None and not sys.stdin.isatty():
            error.hint = f"Do it on a terminal, or set {PASSPHRASE}."
            raise
    if given is None:
        given = typer.prompt(f"Passphrase of {printable(name)}", hide_input=True, err=True)
    return load(given.encode())


def _print_public(context: typer.Context, key: PrivateKey) -> None:
    session = session_of(context)
    if session.json:
        session.print_json({"key_id": key.public.key_id, "public": key.public.hex})
        return
    print(f"key id  {key.public.key_id}\npublic  {key.public.hex}")
