"""The user's word for a plugin that nobody signed: read it, agree to it as it is now."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.consent import may_read, print_permissions
from tavo.cli.context import Session, session_of
from tavo.errors import RefusedError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.host.local import LocalPlugin
    from tavo.host.state import State

__all__ = ["PluginPath", "confirm_local", "trust"]

WARNING = (
    "Nobody signed or reviewed this plugin. It runs in a sandbox, with the permissions below;"
    " what it reports may be wrong on purpose."
)

PluginPath = Annotated[
    Path, typer.Argument(metavar="PATH", help="The plugin's folder, or its packed zip.")
]


def trust(
    context: typer.Context,
    path: PluginPath,
    digest: Annotated[
        str, typer.Option("--digest", metavar="SHA256", help="Agree to this content, unasked.")
    ] = "",
    grant: Annotated[
        list[str] | None,
        typer.Option(
            "--grant", metavar="env:NAME",
            help="With --digest: let it read this environment variable; may be repeated.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Agree to run a plugin that nobody signed, as it is now; `tavo scan` then runs it."""
    from tavo.host.local import open_local

    session = session_of(context)
    if grant and not digest:
        raise UsageError(
            "plugin trust: --grant needs --digest",
            hint="Without --digest you are asked about each variable.",
        )
    with session.state() as state, open_local(path) as local:
        if digest and digest != local.digest.hex:
            raise RefusedError(
                f"{path}: has the digest {local.digest.hex}, not {digest}",
                hint="It was changed, or it is another plugin. Read it again.",
            )
        if not digest:
            if not sys.stdin.isatty() and not state.is_confirmed_local(local.digest):
                raise RefusedError(
                    f"{path}: nobody is here to agree to {local.manifest.full_id}"
                    f" {local.manifest.version}",
                    hint=f"Read it, then name its content: --digest {local.digest.hex}",
                )
            confirm_local(session, state, local)
            return
        _remember(state, local, _variables(local, grant or ()))
    session.say(f"{local.manifest.full_id} {local.manifest.version} may run as it is now.")


def confirm_local(session: Session, state: State, local: LocalPlugin) -> None:
    """Warn, show the permissions and ask, unless this content was agreed to.

    Raises RefusedError when the answer is no, NotConfirmedError when nobody is there to answer.
    """
    from marketplace_db.permissions import danger_sentences, permission_sentences
    from tavo.host.sandbox.levels import parse_acceptances

    if state.is_confirmed_local(local.digest):
        return
    if not sys.stdin.isatty():
        local.confirmed(state)
    manifest = local.manifest
    print(printable(f"{local.source}: {manifest.full_id} {manifest.version}"), file=sys.stderr)
    print(WARNING, file=sys.stderr)
    can, cannot = permission_sentences(manifest)
    print_permissions(can, cannot, danger_sentences(manifest), to=sys.stderr)
    accepted = parse_acceptances(session.settings().sandbox.accept)
    if (level := accepted.get(manifest.full_id)) is not None:
        print(printable(
            f"You accepted sandbox level {level.label} for {manifest.full_id}, and this"
            " plugin calls itself so: it may run at that level."
        ), file=sys.stderr)  # fmt: skip
    print(f"sha256 {local.digest.hex}", file=sys.stderr)
    if not typer.confirm("Run it as it is now?", default=False, err=True):
        raise RefusedError(f"{local.source}: not run, you did not agree to it")
    _remember(state, local, [name for name in sorted(set(manifest.permissions.env))
                             if may_read(name)])  # fmt: skip


def _variables(local: LocalPlugin, words: Collection[str]) -> list[str]:
    """Return the variables that words name. Raises UsageError for one that it does not ask for."""
    asked = {f"env:{name}" for name in local.manifest.permissions.env}
    for word in words:
        if word not in asked:
            raise UsageError(
                f"--grant {word!r:.100}: {local.manifest.full_id} does not ask for that",
                hint=f"It asks for {', '.join(sorted(asked))}." if asked else
                "It asks for no environment variable; the rest is agreed to as a whole.",
            )  # fmt: skip
    return [word.removeprefix("env:") for word in words]


def _remember(state: State, local: LocalPlugin, variables: Collection[str]) -> None:
    state.confirm_local(
        local.digest,
        path=str(local.source.absolute()),
        full_id=local.manifest.full_id,
        variables=variables,
    )
