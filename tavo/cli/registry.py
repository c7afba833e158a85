"""`tavo registry`: the commands around the catalog and what is installed from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.registry_advisories import advisories
from tavo.cli.registry_diff import diff
from tavo.cli.registry_entitle import entitle, entitlements
from tavo.cli.registry_execute import cancel, execute, executions, statement, targets
from tavo.cli.registry_grant import grant, standing
from tavo.cli.registry_install import Mirror, install, lock, prune, rollback, upgrade
from tavo.cli.registry_reports import reports
from tavo.cli.registry_service import recommend, review, tell
from tavo.cli.registry_show import PluginName, granted_fields, plugin_fields, show, where_from
from tavo.cli.render import table
from tavo.cli.stats import stats
from tavo.errors import ExitCode, RefusedError, TavoError, UsageError, exit_code_of, worst
from tavo.printable import printable

if TYPE_CHECKING:
    from marketplace_db.catalog import PluginRow
    from tavo.registry.shelves import Market, Shelf, Shelves
    from tavo.registry.trust import OpenCatalog

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Plugins from the signed catalog.", no_args_is_help=True)
    group.command("browse")(browse)
    group.command("search")(search)
    group.command("show")(show)
    group.command("reports")(reports)
    group.command("diff")(diff)
    group.command("install")(install)
    group.command("grant")(grant)
    group.command("entitle")(entitle)
    group.command("entitlements")(entitlements)
    group.command("list")(list_installed)
    group.command("upgrade")(upgrade)
    group.command("rollback")(rollback)
    group.command("lock")(lock)
    group.command("prune")(prune)
    group.command("verify")(verify)
    group.command("advisories")(advisories)
    group.command("uninstall")(uninstall)
    group.command("stats")(stats)
    group.command("update")(update)
    group.command("recommend")(recommend)
    group.command("review")(review)
    group.command("tell")(tell)
    group.command("execute")(execute)
    group.command("executions")(executions)
    group.command("cancel")(cancel)
    group.command("targets")(targets)
    group.command("statement")(statement)
    app.add_typer(group, name="registry")


def browse(
    context: typer.Context,
    web: Annotated[bool, typer.Option("--web", help="Open the catalog in Datasette.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --web: the port on this machine.")
    ] = 8642,
    mirror: Mirror = None,
) -> None:
    """List all plugins of the verified catalog."""
    session = session_of(context)
    if web:
        from marketplace_db.web import serve

        opened = session.catalog(mirror)
        session.tell(opened.notes)
        serve(
            opened.file,
            port=port,
            ready=lambda url: session.say(f"The catalog is at {url} until you press Ctrl-C."),
        )
        return
    with session.shelves(mirror) as shelves:
        _print_plugins(session, shelves, "")


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Words of the name, description or tags.")],
    mirror: Mirror = None,
) -> None:
    """Find plugins of the verified catalog by a text."""
    session = session_of(context)
    with session.shelves(mirror) as shelves:
        _print_plugins(session, shelves, text)


def list_installed(context: typer.Context) -> None:
    """List the plugins that are installed on this machine."""
    session = session_of(context)
    store = session.installations()
    installed = store.list()
    granted = [store.granted(one) for one in installed]
    names = _names(session)
    if session.json:
        session.print_json(
            [
                {"id": one.full_id, "version": one.version, "package": one.package.hex,
                 "installed_at": one.installed_at, **granted_fields(words),
                 **({"marketplace": names.get(one.repository)} if names else {})}
                for one, words in zip(installed, granted, strict=True)
            ]
        )  # fmt: skip
        return
    if not installed:
        session.say("No plugins are installed. `tavo registry browse` lists what there is.")
        return
    table(
        ("plugin", "version", "package", "installed", *(["from"] if names else []), "permissions"),
        [
            (one.full_id, one.version, one.package.short, one.installed_at[:10],
             *([names.get(one.repository, "none that is trusted now")] if names else []),
             standing(words))
            for one, words in zip(installed, granted, strict=True)
        ],
        color=session.color,
    )  # fmt: skip


def _names(session: Session) -> dict[str, str]:
    """Return the marketplaces' names by their repositories, nothing where there is only one."""
    if not session.several:
        return {}
    return {market.trust.repository: market.name for market in session.markets()}


def verify(
    context: typer.Context,
    plugin: Annotated[
        str | None, typer.Argument(metavar="[PLUGIN]", help="One plugin only.")
    ] = None,
) -> None:
    """Hash every file of the installed plugins again; look for recalls and for entitlements."""
    from marketplace_db.catalog import full_id_of
    from marketplace_db.errors import NotAcceptedError
    from tavo.cli.chosen import check_entitled, recall_of

    session = session_of(context)
    store = session.installations()
    chosen = [store.get(full_id_of(plugin))] if plugin else store.list()
    recalls = session.recalls()
    problems = 0
    for one in chosen:
        try:
            store.verify(one)
            if (reason := recall_of(recalls, one)) is not None:
                raise RefusedError(
                    f"{one.full_id} {one.version}: was recalled: {reason}",
                    hint=f"Remove it: tavo registry uninstall {one.full_id}",
                )
            check_entitled(session, [one])
            print(printable(f"{one.full_id} {one.version}: good"))
        except (RefusedError, NotAcceptedError) as error:
            problems += 1
            print(printable(f"{one.full_id} {one.version}: BAD: {error}"))
            if error.hint:
                session.say(f"  {error.hint}")
    if not chosen:
        session.say("No plugins are installed.")
    if problems:
        raise typer.Exit(ExitCode.REFUSED)


def uninstall(context: typer.Context, plugin: PluginName) -> None:
    """Remove an installed plugin and its grants from this machine."""
    from marketplace_db.catalog import full_id_of

    session = session_of(context)
    store = session.installations()
    removed = store.remove(full_id_of(plugin))
    print(printable(f"Removed {removed.full_id} {removed.version}."))
    left = store.list()
    needed = {need.full_id for one in left for need in one.manifest.requirements}
    for one in left:
        if one.provenance.get("only_needed") and one.full_id not in needed:
            session.say(
                f"Nothing needs {one.full_id} any more:"
                f" tavo registry uninstall {one.full_id.removeprefix('tavo/')}"
            )


def update(context: typer.Context, mirror: Mirror = None) -> None:
    """Fetch the newest catalogs from a mirror or the configured sources, and verify them."""
    session = session_of(context)
    markets = session.markets()
    if mirror is None and any(market.source for market in markets[1:]):
        _update_all(session, markets)
        return
    source = mirror or session.settings().registry.source
    source = source or next((market.source for market in markets if market.source), None)
    if not source:
        raise UsageError(
            "registry update: no source is configured, and there is no default one",
            hint="Name one with --mirror, or set registry.source in the user configuration.",
        )
    opened = session.catalog(source)
    session.tell(opened.notes)
    print(printable(_updated(opened)))


def _update_all(session: Session, markets: Sequence[Market]) -> None:
    """Update each marketplace that has a source; what fails for one does not stop the others."""
    from marketplace_db.errors import MarketplaceError
    from signing.errors import SigningError

    codes: list[ExitCode] = []
    for market in markets:
        if market.source is None:
            session.say(f"{market.name}: no source is configured for it.")
            continue
        try:
            opened = session.used(market.trust.open(session.source(market.source)))
        except (SigningError, MarketplaceError, TavoError) as error:
            session.complain(f"{market.name}: {error}")
            codes.append(exit_code_of(error))
            continue
        session.tell(f"{market.name}: {note}" for note in opened.notes)
        print(printable(f"{market.name}: {_updated(opened)}"))
    if code := worst(codes):
        raise typer.Exit(code)


def _updated(opened: OpenCatalog) -> str:
    return (
        f"Catalog version {opened.file.version}, issued {opened.file.issued:%Y-%m-%d %H:%M} UTC,"
        f" valid until {opened.record.expires:%Y-%m-%d}."
    )


def _print_plugins(session: Session, shelves: Shelves, text: str) -> None:
    """List the plugins of all open catalogs that match, each from where its namespace comes."""
    found: list[tuple[Shelf, PluginRow]] = []
    for shelf in shelves:
        opened, catalog = shelf.opened, shelf.catalog
        rows = catalog.search(text, index=session.words(catalog) if text else None)
        if opened.publishers.revoked_packages or opened.withdrawn:
            from tavo.registry.offered import listed

            rows = listed(opened, catalog, rows)
        hidden = shelves.hidden(shelf, [row.full_id for row in rows])
        for problem in sorted(set(hidden.values())):
            count = sum(one == problem for one in hidden.values())
            plugins = "1 plugin is" if count == 1 else f"{count} plugins are"
            session.say(f"tavo: {shelf.name}: {plugins} not offered: {problem}")
        found += [(shelf, row) for row in rows if row.full_id not in hidden]
    if session.json:
        session.print_json(
            [{**plugin_fields(row), **where_from(shelves, shelf)} for shelf, row in found]
        )
        return
    if not found:
        session.say(f"No plugin matches {text!r:.60}." if text else "The catalog holds no plugin.")
    several = shelves.several
    table(
        ("plugin", "version", "type", *(["from"] if several else []), "description"),
        [
            (r.full_id, r.latest or "withdrawn", r.plugin_type, *([shelf.name] if several else []),
             r.description)
            for shelf, r in found
        ],
        color=session.color,
    )  # fmt: skip
