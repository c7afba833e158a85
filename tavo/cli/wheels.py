"""The wheels of a plugin: `tavo plugin lock`, and what `tavo plugin pack --build-wheel` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.errors import UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from signing.attest import BuildClaim

__all__ = ["build_wheels", "lock"]


def lock(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The plugin's folder.")],
    wheels: Annotated[
        Path | None,
        typer.Option("--wheels", metavar="DIR", help="Where its wheels lie; default: .wheels."),
    ] = None,
    no_deps: Annotated[
        bool,
        typer.Option("--no-deps", help="Lock what plugin.yaml names, and not what that asks for."),
    ] = False,
) -> None:
    """Lock what a plugin needs to the wheels in a folder, by version and digest; fetch nothing."""
    from tavo.host.local import WHEELS_FOLDER
    from tavo.kit.wheels import make_bare_lock, make_lock

    session = session_of(context)
    place = wheels or folder / WHEELS_FOLDER
    locked, unlocked = make_bare_lock(folder, place) if no_deps else (make_lock(folder, place), [])
    if session.json:
        session.print_json(
            [{"file": one.filename, "name": one.name, "version": one.version,
              "sha256": one.digest.hex} for one in locked]
        )  # fmt: skip
        return
    for one in locked:
        print(printable(f"{one.digest.hex}  {one.filename}"))
    if unlocked:
        session.say(printable(
            "Asked for and not locked, so not there when the plugin runs: " + ", ".join(unlocked)
        ))  # fmt: skip
    session.say(f"{folder / 'requirements.lock'} is written. Next: tavo plugin validate {folder}")
    if wheels is not None and wheels.absolute() != (folder / WHEELS_FOLDER).absolute():
        session.say(f"`plugin run` and `plugin test` look for them in {folder / WHEELS_FOLDER}.")


def build_wheels(
    session: Session, folder: Path, sdists: Sequence[Path], tools: Path | None, key: Path | None
) -> list[dict[str, Any]]:
    """Build, sign and lock the wheels of source distributions; return what to say about each."""
    from tavo.cli.key import load_key
    from tavo.kit.build import build_wheel
    from tavo.kit.wheels import add_to_lock, keep_wheel, manifest_with_needs
    from tavo.registry.trust import utc_now

    if key is None:
        raise UsageError(
            "plugin pack: --build-wheel needs --key FILE: you sign how the wheel was built",
            hint="`tavo key new FILE` makes a key.",
        )
    manifest_with_needs(folder)
    private = load_key(key)
    claims: list[BuildClaim] = []
    told = []
    for sdist in sdists:
        session.say(printable(f"Building {sdist.name} twice in the sandbox …"))
        built = build_wheel(sdist, tools)
        wheel, statement = keep_wheel(built, folder, private, now=utc_now())
        claim = built.claim
        claims.append(claim)
        told.append({
            "wheel": str(wheel), "sha256": claim.digest.hex, "statement": str(statement),
            "source": claim.source, "source_sha256": claim.source_digest.hex,
            "backend": claim.backend, "tools": [name for name, _ in claim.tools],
            "sandbox": claim.sandbox, "python": claim.python,
        })  # fmt: skip
        session.say(printable(
            f"Built {claim.wheel} with {claim.backend} at {claim.sandbox}, equal both times."
        ))  # fmt: skip
    add_to_lock(folder, claims)
    return told
