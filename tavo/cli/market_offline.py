"""The part of `tavo market` that changes by ceremonies: founding, taking over, other keys.

Rules this module keeps:
- where the keys of enough holders are at hand, a change is signed and adopted at once;
- else `--ceremony DIR` writes the folder that travels from holder to holder (`tavo key sign`), and
  `tavo market adopt` takes it over;
- what a change says is told before it is signed.

What publishers, reviewers and recalls change stands in `tavo.cli.market_people`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.key import load_keyring, new_passphrase, tell_ceremony
from tavo.cli.market_place import KeysFolder, Place, opened
from tavo.errors import InputError, RefusedError, UsageError
from tavo.printable import counted, printable

if TYPE_CHECKING:
    from signing.ceremony import Ceremony
    from signing.keys import PublicKey
    from signing.publishers import Publishers
    from tavo.operator.marketplace import OperatedMarket

__all__ = ["Travel", "change_offline", "keys_of_hex", "register"]

Travel = Annotated[
    Path | None,
    typer.Option("--ceremony", metavar="DIR", help="Write a folder that the holders sign."),
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group of the market."""
    group.command("init")(init)
    group.command("adopt")(adopt)
    group.command("rotate")(rotate)
    group.command("renew")(renew)


def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="A new folder.")] = Path(
        "market"
    ),
    keys: KeysFolder = None,
    public: Annotated[
        Path | None,
        typer.Option("--public", metavar="FILE", help="JSON: role to public keys of holders."),
    ] = None,
    ceremony: Travel = None,
    unsafe_no_passphrase: Annotated[
        bool, typer.Option("--unsafe-no-passphrase", help="Keys as they are, for trials only.")
    ] = False,
) -> None:
    """Found a marketplace: with new keys for all roles, or with keys that others hold."""
    from signing.founding import first_ceremony
    from signing.keyring import Keyring
    from signing.roles import OFFLINE_ROLES, ROLES
    from signing.tree import Tree
    from tavo.operator.marketplace import OperatedMarket
    from tavo.registry.trust import utc_now

    session = session_of(context)
    now = utc_now()
    if (public is None) != (ceremony is None):
        raise UsageError(
            "market init: --public and --ceremony belong together",
            hint="With keys that others hold, they sign the first metadata.",
        )
    if public is not None and ceremony is not None:
        first_ceremony(_public_keys(public), now).write(ceremony)
        session.say(f"{ceremony}: the holders sign it with `tavo key sign`, then: tavo market adopt"
                    f" {ceremony} --market {directory} --keys ONLINE-KEYS")  # fmt: skip
        return
    if keys is None:
        raise UsageError(
            "market init: name a folder for the new keys with --keys",
            hint="Or --public and --ceremony, where others hold keys.",
        )
    Tree(directory / "repository").check_free()  # before there are keys for nothing
    passphrase = new_passphrase(session, str(keys), plain=unsafe_no_passphrase)
    keyring = Keyring.make(keys, passphrase)
    first = first_ceremony({role: [key.public for key in keyring.of(role)] for role in ROLES}, now)
    first.sign_all(key for role in OFFLINE_ROLES for key in keyring.of(role))
    with OperatedMarket.found(directory, first, keyring, now) as place:
        _tell_founded(session, directory, place.repository.root_bytes)
    session.say(f"Move the offline keys ({', '.join(OFFLINE_ROLES)}) out of {keys}, each to who"
                " holds it: whoever has two of a role can act for it.")  # fmt: skip


def adopt(
    context: typer.Context,
    ceremony: Annotated[Path, typer.Argument(metavar="CEREMONY", help="The signed folder.")],
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Take over a ceremony that enough holders signed, and sign the online roles."""
    from signing.ceremony import Ceremony
    from signing.roles import ONLINE_ROLES
    from tavo.operator.marketplace import OperatedMarket
    from tavo.registry.trust import utc_now

    session = session_of(context)
    read = Ceremony.read(ceremony)
    tell_ceremony(session, read)
    keyring = load_keyring(keys, ONLINE_ROLES)
    if not read.base:
        with OperatedMarket.found(market, read, keyring, utc_now()) as place:
            _tell_founded(session, market, place.repository.root_bytes)
        return
    with opened(session, market, keyring) as place:
        place.adopt(read, utc_now())
        _tell_adopted(session, read, place)


def rotate(
    context: typer.Context,
    public: Annotated[
        Path, typer.Option("--public", metavar="FILE", help="JSON: role to its new public keys.")
    ],
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Give roles other keys: after a loss, a theft, or when a holder leaves."""
    from signing.ceremony import Change

    change_offline(context, lambda _: Change(keys=_public_keys(public)), keys, ceremony, market)


def renew(
    context: typer.Context,
    roles: Annotated[list[str], typer.Argument(metavar="ROLE...", help="Offline roles.")],
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Sign offline roles again as they are, with later dates."""
    from signing.ceremony import Change
    from signing.roles import OFFLINE_ROLES

    for role in roles:
        if role not in OFFLINE_ROLES:
            raise UsageError(
                f"{role}: is not an offline role", hint=f"Those are {', '.join(OFFLINE_ROLES)}."
            )
    change_offline(context, lambda _: Change(renew=roles), keys, ceremony, market)


def change_offline(
    context: typer.Context,
    change: Callable[[Publishers], Any],
    keys: Path | None,
    ceremony: Path | None,
    market: Path,
    *,
    only_new: str = "",
) -> None:
    """Prepare a change; write it for its holders, or sign it with the keys that are here.

    `only_new` names an artifact that must not be published yet. Raises RefusedError if it is.
    """
    from signing.roles import OFFLINE_ROLES, ROLES
    from tavo.registry.trust import utc_now

    session = session_of(context)
    now = utc_now()
    if ceremony is not None:
        with opened(session, market) as place:
            _check_new(place, only_new)
            prepared = place.prepare(change(place.publishers()), now)
        prepared.write(ceremony)
        tell_ceremony(session, prepared)
        session.say(f"{ceremony}: the holders sign it with `tavo key sign`, then:"
                    f" tavo market adopt {ceremony} --market {market}")  # fmt: skip
        return
    with opened(session, market, load_keyring(keys, ROLES)) as place:
        _check_new(place, only_new)
        prepared = place.prepare(change(place.publishers()), now)
        tell_ceremony(session, prepared)
        prepared.sign_all(
            key for role in OFFLINE_ROLES for key in place.repository.keyring.of(role)
        )
        place.adopt(prepared, now)
        _tell_adopted(session, prepared, place)


def _check_new(place: OperatedMarket, name: str) -> None:
    if name and place.repository.published(name) is not None:
        raise RefusedError(
            f"{name} is published already", hint="A version never changes: raise the version."
        )


def _tell_adopted(session: Session, ceremony: Ceremony, place: OperatedMarket) -> None:
    gone = place.fallen()
    if gone:
        session.say(
            f"{counted(len(gone), 'release')} will be refused by clients, such as"
            f" {gone[0]}.\nThe next `tavo market release` withdraws what is refused, and offers the"
            " newest that is not."
        )
    roles = {role: value.signed.version for role, value in ceremony.metadata.items()}
    if session.json:
        session.print_json({"roles": roles})
        return
    print("signed and in force: " + ", ".join(f"{r} version {v}" for r, v in roles.items()))


def _tell_founded(session: Session, directory: Path, root: bytes) -> None:
    from signing.digests import Digest

    fingerprint = Digest.of(root).hex
    if session.json:
        session.print_json({"market": str(directory), "root_sha256": fingerprint})
        return
    print(printable(f"{directory}: founded; its root has sha256 {fingerprint}"))
    session.say(
        f"Clients trust it with registry.root = {directory}/repository/metadata/1.root.json and\n"
        "registry.source in their user configuration; tell them the fingerprint another way."
    )


def keys_of_hex(given: Sequence[str], where: str = "--key") -> list[PublicKey]:
    """Return the public keys that were named `where` as hexadecimal texts. Raises UsageError."""
    from signing.keys import PublicKey

    try:
        return [PublicKey.from_hex(text) for text in given]
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint="`tavo key show FILE` prints it.") from None


def _public_keys(file: Path) -> dict[str, list[PublicKey]]:
    """Read role to public keys out of a JSON file."""
    from signing.roles import ROLES

    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    fits = isinstance(value, dict) and all(
        role in ROLES and isinstance(listed, list) and all(isinstance(one, str) for one in listed)
        for role, listed in value.items()
    )
    if not fits:
        raise InputError(
            f"{file}: is not an object of roles ({', '.join(ROLES)}) with lists of public keys",
            hint='Such as {"root": ["ab12…", "cd34…", "ef56…"]}.',
        )
    return {role: keys_of_hex(listed, f"{file}: {role}") for role, listed in value.items()}
