"""The part of `tavo market` that needs offline keys: founding, publishers, reviewers, recalls.

Rules this module keeps:
- where the keys of enough holders are at hand, a change is signed and adopted at once;
- else `--ceremony DIR` writes the folder that travels from holder to holder (`tavo key sign`), and
  `tavo market adopt` takes it over;
- what a change says is told before it is signed.
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
from tavo.printable import printable

if TYPE_CHECKING:
    from signing.ceremony import Ceremony
    from signing.keys import PublicKey
    from signing.publishers import Publishers
    from tavo.operator.marketplace import OperatedMarket

__all__ = ["change_offline", "register"]

Travel = Annotated[
    Path | None,
    typer.Option("--ceremony", metavar="DIR", help="Write a folder that the holders sign."),
]
Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE", help="The publisher's namespace.")]
KeyHex = Annotated[
    list[str], typer.Option("--key", metavar="HEX", help="A public key (`tavo key show`).")
]
KeyId = Annotated[str, typer.Argument(metavar="KEY-ID", help="The key's id (`tavo key show`).")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="What users read.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group of the market."""
    group.command("init")(init)
    group.command("adopt")(adopt)
    group.command("rotate")(rotate)
    group.command("renew")(renew)
    publisher = typer.Typer(help="Namespaces and their keys.", no_args_is_help=True)
    publisher.command("list")(publisher_list)
    publisher.command("add")(publisher_add)
    publisher.command("entitlement-key")(publisher_entitlement_key)
    publisher.command("remove-key")(publisher_remove_key)
    publisher.command("transfer")(publisher_transfer)
    group.add_typer(publisher, name="publisher")
    reviewer = typer.Typer(help="Who approves.", no_args_is_help=True)
    reviewer.command("add")(reviewer_add)
    reviewer.command("remove")(reviewer_remove)
    group.add_typer(reviewer, name="reviewer")
    group.command("revoke-key")(revoke_key)
    group.command("revoke")(revoke)
    group.command("lift")(lift)


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

    change_offline(context, lambda _: Change(renew=roles), keys, ceremony, market)


def publisher_list(context: typer.Context, market: Place = Path("market")) -> None:
    """List the namespaces with their keys, and the reviewers."""
    session = session_of(context)
    with opened(session, market) as place:
        document = place.publishers()
    if session.json:
        session.print_json(json.loads(document.to_bytes()))
        return
    for name, namespace in sorted(document.namespaces.items()):
        kind = "official, " if namespace.official else ""
        print(f"{name}: {kind}{namespace.threshold} of {len(namespace.keys)} keys sign")
        for key_id in namespace.keys:
            print(f"  {key_id}{_revoked(document, key_id)}")
        for key_id in namespace.entitlement_keys:
            print(f"  {key_id}  for entitlements{_revoked(document, key_id)}")
    print(f"reviewers: {document.required_reviews} approve,"
          f" {document.required_reviews_official} in an official namespace")  # fmt: skip
    for key_id in document.reviewers:
        print(f"  {key_id}{_revoked(document, key_id)}")


def publisher_add(
    context: typer.Context,
    namespace: Namespace,
    key: KeyHex,
    official: Annotated[
        bool | None, typer.Option("--official/--not-official", help="Needs more approvals.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option("--threshold", metavar="N", help="So many of its keys sign.")
    ] = None,
    allow_look_alike: Annotated[
        str,
        typer.Option("--allow-look-alike", metavar="REASON", help="Take a name that looks alike."),
    ] = "",
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Open a namespace for a publisher's keys, or add keys to it."""
    from marketplace_db.errors import WorkingDatabaseError
    from marketplace_db.lookalikes import look_alike
    from signing.amend import bind

    def amend(document: Publishers) -> Publishers:
        if namespace not in document.namespaces and not allow_look_alike.strip():
            known = look_alike(namespace, document.namespaces)
            if known is not None:
                raise WorkingDatabaseError(
                    f"{namespace}: the name can be taken for {known}",
                    hint="Choose another one, or say why with --allow-look-alike.",
                )
        return bind(document, namespace, _keys(key), official=official, threshold=threshold)

    _amend(context, amend, keys, ceremony, market)


def publisher_entitlement_key(
    context: typer.Context,
    namespace: Namespace,
    key: KeyHex,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Let keys say who may use the paid plugins of a namespace; they sign nothing else."""
    from signing.amend import bind_entitlements

    def amend(document: Publishers) -> Publishers:
        return bind_entitlements(document, namespace, _keys(key))

    _amend(context, amend, keys, ceremony, market)


def publisher_remove_key(
    context: typer.Context,
    namespace: Namespace,
    key_id: KeyId,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Take a key from a namespace; releases that it signed are refused from then on."""
    from signing.amend import unbind

    _amend(context, lambda before: unbind(before, namespace, key_id), keys, ceremony, market)


def publisher_transfer(
    context: typer.Context,
    namespace: Namespace,
    key: KeyHex,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Give a namespace to others: these keys and none of the old ones."""
    from signing.amend import transfer

    _amend(context, lambda before: transfer(before, namespace, _keys(key)), keys, ceremony, market)


def reviewer_add(
    context: typer.Context,
    key: KeyHex,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Let the holders of these keys approve packages."""
    from signing.amend import appoint

    _amend(context, lambda before: appoint(before, _keys(key)), keys, ceremony, market)


def reviewer_remove(
    context: typer.Context,
    key_id: KeyId,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Let a reviewer's statements count no longer, those about released packages too."""
    from signing.amend import dismiss

    _amend(context, lambda before: dismiss(before, key_id), keys, ceremony, market)


def revoke_key(
    context: typer.Context,
    key_id: KeyId,
    reason: Reason,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Revoke a stolen key: every client refuses what it alone signed, installed or not."""
    from signing.amend import revoke_key as change

    _amend(context, lambda before: change(before, key_id, reason), keys, ceremony, market)


def revoke(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PUBLISHER/NAME", help="The plugin.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The release.")],
    reason: Reason,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Recall a release: every client refuses to run it, installed or not."""
    from signing.amend import revoke_package

    session = session_of(context)
    with opened(session, market) as place:
        package = place.intake.release_of(plugin, version)
    _amend(context, lambda before: revoke_package(before, package, reason), keys, ceremony, market)


def lift(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PUBLISHER/NAME", help="The plugin.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The release.")],
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Let a withdrawn release be installed again."""
    from signing.amend import lift as change

    session = session_of(context)
    with opened(session, market) as place:
        package = place.intake.release_of(plugin, version)
    _amend(context, lambda before: change(before, package), keys, ceremony, market)


def _amend(
    context: typer.Context,
    amend: Callable[[Publishers], Publishers],
    keys: Path | None,
    ceremony: Path | None,
    market: Path,
) -> None:
    from signing.ceremony import Change

    def change(document: Publishers) -> Change:
        return Change(publishers=amend(document))

    change_offline(context, change, keys, ceremony, market)


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
            f"{len(gone)} release{'s' * (len(gone) != 1)} will be refused by clients, such as"
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


def _keys(given: Sequence[str]) -> list[PublicKey]:
    from signing.keys import PublicKey

    try:
        return [PublicKey.from_hex(text) for text in given]
    except ValueError as error:
        raise UsageError(f"--key: {error}", hint="`tavo key show FILE` prints it.") from None


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
    return {role: _keys(listed) for role, listed in value.items()}


def _revoked(document: Publishers, key_id: str) -> str:
    reason = document.revoked_keys.get(key_id)
    return "" if reason is None else printable(f"  REVOKED: {reason}")
