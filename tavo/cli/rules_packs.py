"""`tavo rules` packs and fetch, and `tavo market rules`: signed packs of rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.market_place import KeysFolder, Place
from tavo.errors import InputError
from tavo.printable import printable

__all__ = ["register", "register_market"]

Mirror = Annotated[
    str | None,
    typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
]


def register(group: typer.Typer) -> None:
    """Add the commands to `tavo rules`."""
    group.command("packs")(packs)
    group.command("fetch")(fetch)


def register_market(group: typer.Typer) -> None:
    """Add the command to `tavo market`."""
    group.command("rules")(publish)


def packs(context: typer.Context, mirror: Mirror = None) -> None:
    """List the packs of rules that a mirror or the configured source has signed."""
    from tavo.registry.rule_packs import known_packs

    session = session_of(context)
    artifacts, source = session.artifacts(mirror)
    found = known_packs(artifacts)
    if session.json:
        session.print_json([
            {"name": one.name, "version": str(one.version), "sha256": one.artifact.digest.hex,
             "bytes": one.artifact.length}
            for one in found
        ])  # fmt: skip
        return
    for one in found:
        print(printable(f"{one.name} {one.version}, {one.artifact.length} bytes"))
    if not found:
        session.say(f"{source.name} has signed no packs of rules.")


def fetch(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The pack's name.")],
    version: Annotated[str | None, typer.Option(help="This version, not the newest.")] = None,
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Where its folder is made.")
    ] = Path(),
    mirror: Mirror = None,
) -> None:
    """Unpack a signed pack of rules into a folder of its own, for `tavo scan --rules`."""
    from tavo.registry.rule_packs import fetch as fetch_pack
    from tavo.registry.rule_packs import find, known_packs

    session = session_of(context)
    artifacts, source = session.artifacts(mirror)
    pack = find(known_packs(artifacts), name, version, source.name)
    place, new = fetch_pack(pack, source, to)
    print(printable(str(place)))
    session.say(f"{'Unpacked' if new else 'It was there already'}. Use it: tavo scan PATH --rules"
                f" {place}")  # fmt: skip


def publish(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of rules.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="The pack's name, such as team.")],
    version: Annotated[str, typer.Option(metavar="VERSION", help="Such as 1.0.")],
    keys: KeysFolder = None,
    ceremony: Annotated[
        Path | None,
        typer.Option("--ceremony", metavar="DIR", help="Write a folder that the holders sign."),
    ] = None,
    market: Place = Path("market"),
) -> None:
    """Sign a pack of rules with the offline keys of `releases`; its rules must all be usable."""
    from signing.ceremony import Change
    from tavo.cli.market_offline import change_offline
    from tavo.cli.rules_logs import apart, validated
    from tavo.registry.rule_packs import build, file_name
    from tavo.scan.rules import load_rules

    file = file_name(name, version)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder", hint="Name a folder of rule files.")
    scan, sigma = apart([folder])
    problems = [str(one) for one in load_rules(scan).problems]
    problems += validated(sigma)[1] if sigma else []
    for problem in problems:
        print(printable(problem))
    if problems:
        raise InputError(
            f"{folder}: {len(problems)} problems, named above; nothing was signed",
            hint="`tavo rules validate` says the same.",
        )
    data = build(folder)
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tavo-rules-") as made:
        pack = Path(made) / file
        pack.write_bytes(data)
        change_offline(context, lambda _: Change(releases=[pack]), keys, ceremony, market,
                       only_new=f"releases/{file}")  # fmt: skip
