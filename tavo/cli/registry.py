"""`tavo registry`: browse, search, show, install, list, verify, uninstall, update."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.render import printable, table
from tavo.errors import ExitCode, RefusedError, UsageError

if TYPE_CHECKING:
    from marketplace_db.catalog import Catalog, PluginRow, ReleaseRow
    from tavo.registry.install import Prepared
    from tavo.registry.trust import OpenCatalog

__all__ = ["register"]

Mirror = Annotated[
    str | None,
    typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
]
PluginName = Annotated[str, typer.Argument(metavar="PLUGIN", help="publisher/name; name alone"
                                           " means tavo/name.")]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Plugins from the signed catalog.", no_args_is_help=True)
    group.command("browse")(browse)
    group.command("search")(search)
    group.command("show")(show)
    group.command("install")(install)
    group.command("list")(list_installed)
    group.command("verify")(verify)
    group.command("uninstall")(uninstall)
    group.command("update")(update)
    app.add_typer(group, name="registry")


def browse(
    context: typer.Context,
    web: Annotated[bool, typer.Option("--web", help="Open the catalog in Datasette.")] = False,
    port: Annotated[int, typer.Option(help="With --web: the port on this machine.")] = 8642,
    mirror: Mirror = None,
) -> None:
    """List all plugins of the verified catalog."""
    session = session_of(context)
    opened = session.catalog(mirror)
    session.tell(opened.notes)
    if web:
        from marketplace_db.web import serve

        serve(opened.file, port=port, announce=session.say)
        return
    _print_plugins(session, opened, "")


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Words of the name, description or tags.")],
    mirror: Mirror = None,
) -> None:
    """Find plugins of the verified catalog by a text."""
    session = session_of(context)
    opened = session.catalog(mirror)
    session.tell(opened.notes)
    _print_plugins(session, opened, text)


def show(context: typer.Context, plugin: PluginName, mirror: Mirror = None) -> None:
    """Show a plugin: what it does, what it may and may not do, its versions."""
    from marketplace_db.catalog import Catalog
    from marketplace_db.manifest import permission_sentences

    session = session_of(context)
    opened = session.catalog(mirror)
    session.tell(opened.notes)
    with Catalog.open(opened.file) as catalog:
        row, versions = catalog.plugin(plugin), catalog.versions(plugin)
        newest = catalog.release(plugin) if row.latest else None
    can, cannot = permission_sentences(newest.parsed_manifest()) if newest else ([], [])
    if session.json:
        session.print_json({**_plugin(row), "versions": [_version(v) for v in versions],
                            "can": can, "cannot": cannot})  # fmt: skip
        return
    print(printable(f"{row.full_id} {row.latest or '(withdrawn)'}: {row.name}"))
    print(printable(f"  {row.description}"))
    official = ", official" if row.official else ""
    print(printable(f"  {row.plugin_type} plugin by {row.publisher_name}{official}; {row.license}"))
    _print_permissions(can, cannot)
    print("Versions:")
    for version in versions:
        withdrawn = f"  withdrawn: {version.yanked_reason}" if version.yanked else ""
        print(printable(
            f"  {version.version}  {version.published_at[:10]}  {version.package}{withdrawn}"
        ))  # fmt: skip
    print(printable(f"Install it: tavo registry install {row.full_id.removeprefix('tavo/')}"))


def install(
    context: typer.Context,
    plugin: PluginName,
    version: Annotated[str | None, typer.Option(help="This version, not the newest.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the permissions.")] = False,
    mirror: Mirror = None,
) -> None:
    """Verify a plugin, show what it may do, ask, and install it."""
    from marketplace_db.catalog import Catalog
    from tavo.registry.install import prepare

    session = session_of(context)
    name, _, wanted = plugin.partition("@")
    opened = session.catalog(mirror)
    session.tell(opened.notes)
    with (
        tempfile.TemporaryDirectory(prefix="tavo-install-") as folder,
        Catalog.open(opened.file) as catalog,
    ):
        prepared = prepare(opened, catalog, name, version or wanted or None, Path(folder))
        release = prepared.accepted.release
        reviews = len(prepared.accepted.reviewer_keys)
        print(printable(
            f"{release.full_id} {release.version}: verified"
            f" ({release.package.short}, signed by its publisher, {reviews} reviews)"
        ))  # fmt: skip
        _print_permissions(prepared.can, prepared.cannot)
        _ask(release, yes=yes)
        installed = session.installations().install(
            prepared.accepted, prepared.wheels, dict(prepared.provenance)
        )
        session.state().grant(prepared.accepted)
    print(printable(f"Installed {installed.full_id} {installed.version}."))
    print(printable(f"Use it: tavo scan . --static-plugins {installed.full_id.removeprefix('tavo/')}"))
