"""The part of `tavo market` about whose word counts: publishers, reviewers, recalls.

Each command is one change of the document that the offline keys sign (`signing.amend`), made as
`tavo.cli.market_offline` makes all such changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.market_offline import Travel, change_offline, keys_of_hex
from tavo.cli.market_place import KeysFolder, Place, opened
from tavo.errors import InputError
from tavo.printable import printable

if TYPE_CHECKING:
    from signing.ceremony import Change
    from signing.publishers import Publishers

__all__ = ["register"]

Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE", help="The publisher's namespace.")]
KeyHex = Annotated[
    list[str], typer.Option("--key", metavar="HEX", help="A public key (`tavo key show`).")
]
KeyId = Annotated[str, typer.Argument(metavar="KEY-ID", help="The key's id (`tavo key show`).")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="What users read.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group of the market."""
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
        return bind(document, namespace, keys_of_hex(key), official=official, threshold=threshold)

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
        return bind_entitlements(document, namespace, keys_of_hex(key))

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

    _amend(
        context,
        lambda before: transfer(before, namespace, keys_of_hex(key)),
        keys,
        ceremony,
        market,
    )


def reviewer_add(
    context: typer.Context,
    key: KeyHex,
    keys: KeysFolder = None,
    ceremony: Travel = None,
    market: Place = Path("market"),
) -> None:
    """Let the holders of these keys approve packages."""
    from signing.amend import appoint

    _amend(context, lambda before: appoint(before, keys_of_hex(key)), keys, ceremony, market)


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
        if package not in place.intake.withdrawn():
            raise InputError(
                f"{plugin} {version}: is not withdrawn, so there is nothing to lift",
                hint="`tavo market yank` withdraws a release.",
            )
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


def _revoked(document: Publishers, key_id: str) -> str:
    reason = document.revoked_keys.get(key_id)
    return "" if reason is None else printable(f"  REVOKED: {reason}")
