"""`tavo registry`: the commands around the catalog and what is installed from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.consent import print_permissions
from tavo.cli.context import Session, session_of
from tavo.cli.registry_advisories import advisories
from tavo.cli.registry_diff import diff
from tavo.cli.registry_entitle import entitle, entitlements
from tavo.cli.registry_execute import cancel, execute, executions, statement, targets
from tavo.cli.registry_grant import grant, standing
from tavo.cli.registry_install import Mirror, install, lock, prune, rollback, upgrade
from tavo.cli.registry_reports import reports
from tavo.cli.registry_service import recommend, review, tell
from tavo.cli.render import size_of, table
from tavo.cli.stats import stats
from tavo.errors import ExitCode, RefusedError, TavoError, UsageError, exit_code_of, worst
from tavo.printable import printable

if TYPE_CHECKING:
    from marketplace_db.catalog import Catalog, PluginRow, ReleaseRow
    from marketplace_db.manifest import Manifest
    from tavo.registry.origin import Origin
    from tavo.registry.shelves import Market, Shelf, Shelves
    from tavo.registry.trust import OpenCatalog

__all__ = ["register"]

PluginName = Annotated[str, typer.Argument(metavar="PLUGIN", help="publisher/name; name alone"
                                           " means tavo/name.")]  # fmt: skip


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
    port: Annotated[int, typer.Option(help="With --web: the port on this machine.")] = 8642,
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


def show(context: typer.Context, plugin: PluginName, mirror: Mirror = None) -> None:
    """Show a plugin: what it does, what it may and may not do, its versions."""
    from marketplace_db.catalog import full_id_of
    from marketplace_db.manifest import permission_sentences
    from marketplace_db.permissions import danger_sentences
    from tavo.registry.origin import origin_of

    session = session_of(context)
    with session.shelves(mirror) as shelves:
        shelf = shelves.of(full_id_of(plugin))
        opened, catalog = shelf.opened, shelf.catalog
        where = _where(shelves, shelf)
        row, versions = catalog.plugin(plugin), catalog.versions(plugin)
        newest, passed_over = _newest(opened, catalog, row)
        row = row._replace(latest=newest.version if newest else None)
    manifest = newest.parsed_manifest() if newest else None
    can, cannot = permission_sentences(manifest) if manifest else ([], [])
    danger = danger_sentences(manifest) if manifest else ()
    overrides, unknown = _overrides(opened, newest) if newest else ([], "")
    entitled = _entitled(session, opened, manifest) if manifest else None
    origin = origin_of(opened, newest) if newest else None
    store = session.installations()
    here = store.find(row.full_id)
    words = store.granted(here) if here else None
    if session.json:
        session.print_json({**_plugin(row), **where,
                            "versions": [{**_version(v),
                                          "refused": passed_over.get(v.version, "")}
                                         for v in versions],
                            "entitlement": entitled,
                            "origin": _origin(origin) if origin else None,
                            "can": can, "cannot": cannot,
                            "danger": danger,
                            "overrides": None if unknown else overrides,
                            "needs": [str(need) for need in manifest.requirements]
                            if manifest else [],
                            "python": manifest.python if manifest else "",
                            "installed": {"version": here.version, **_granted(words)}
                            if here else None})  # fmt: skip
        return
    print(printable(f"{row.full_id} {row.latest or '(withdrawn)'}: {row.name}"))
    print(printable(f"  {row.description}"))
    official = ", official" if row.official else ""
    print(printable(f"  {row.plugin_type} plugin by {row.publisher_name}{official}; {row.license}"))
    if "marketplace" in where:
        print(printable(f"  from the marketplace {where['marketplace']}"))
    if origin is not None:
        for line in _origin_lines(origin):
            print(printable(f"  {line}"))
    if manifest and (manifest.requires_plugins or manifest.python):
        needs = [str(need) for need in manifest.requirements]
        needs += [f"CPython {manifest.python}"] if manifest.python else []
        print(printable(f"  needs {', '.join(needs)}"))
    if entitled is not None:
        print(printable(f"  {entitled['sentence']}"))
    print_permissions(can, cannot, danger)
    for one in overrides:
        print(printable(f"ATTENTION: {one['sentence']}"))
    if unknown:
        session.say(f"Whether reviewers let a failed check pass is not known here: {unknown}")
    print("Versions:")
    for version in versions:
        withdrawn = f"  withdrawn: {version.yanked_reason}" if version.yanked else ""
        if not withdrawn and version.version in passed_over:
            withdrawn = f"  refused: {passed_over[version.version]}"
        print(printable(
            f"  {version.version}  {version.published_at[:10]}  {version.package}{withdrawn}"
        ))  # fmt: skip
    name = row.full_id.removeprefix("tavo/")
    if here is None:
        print(printable(f"Install it: tavo registry install {name}"))
        return
    print(printable(f"Installed: {here.version}, {standing(words)}"))
    if words is None:
        print(printable(f"Accept it: tavo registry grant {name}"))


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
                 "installed_at": one.installed_at, **_granted(words),
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
        session.print_json([{**_plugin(row), **_where(shelves, shelf)} for shelf, row in found])
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


def _where(shelves: Shelves, shelf: Shelf) -> dict[str, Any]:
    """Return the fields of a row about where it comes from, and how old that is if it is too old.

    With one marketplace whose lists hold there is nothing to say.
    """
    where: dict[str, Any] = {"marketplace": shelf.name} if shelves.several else {}
    if (stale := shelf.opened.stale) is not None:
        where["stale"] = stale.to_dict()
    return where


def _newest(
    opened: OpenCatalog, catalog: Catalog, row: PluginRow
) -> tuple[ReleaseRow | None, dict[str, str]]:
    """Return the newest release that can be installed, and why newer ones cannot.

    Statements are read only where something was ever taken back: most catalogs know the latest.
    """
    publishers = opened.publishers
    if publishers.revoked_keys or publishers.revoked_packages or opened.withdrawn:
        from tavo.registry.offered import newest_offered

        return newest_offered(opened, catalog, row)
    return (catalog.release(row.full_id, row.latest) if row.latest else None), {}


def _entitled(session: Session, opened: OpenCatalog, manifest: Manifest) -> dict[str, Any] | None:
    """Say whether this machine may use a paid plugin; None for a free one."""
    if manifest.pricing_tier == "free":
        return None
    from marketplace_db.errors import NotAcceptedError
    from tavo.cli.registry_entitle import covered

    held = session.entitlements(opened)
    try:
        claim = None if held is None else held.check(manifest)
    except NotAcceptedError as error:
        problem = str(error).removeprefix(f"{manifest.full_id} {manifest.version}: ")
        return {"covered": False, "sentence": problem}
    if claim is None:
        return {"covered": False, "sentence": "needs an entitlement"}
    return {"covered": True, "sentence": f"{manifest.pricing_tier}; {covered(claim)}"}


def _overrides(opened: OpenCatalog, release: ReleaseRow) -> tuple[list[dict[str, str]], str]:
    """Return what reviewers let pass, and why that is not known where it is not."""
    import tempfile

    from marketplace_db.errors import NotAcceptedError
    from signing.errors import AttestationError
    from tavo.registry.reviews import fetch_overrides, override_sentences

    with tempfile.TemporaryDirectory(prefix="tavo-show-") as folder:
        try:
            found = fetch_overrides(opened, release, Path(folder))
        except (NotAcceptedError, AttestationError) as error:
            return [], str(error)
    told = zip(found, override_sentences(found), strict=True)
    return [
        {"key_id": one.key_id, "check": one.check, "reason": one.reason, "sentence": sentence}
        for one, sentence in told
    ], ""


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "in_file": origin.in_file, "size": origin.size, "problem": origin.problem,
        "lacks": list(origin.lacks),
    }  # fmt: skip


def _origin_lines(origin: Origin) -> list[str]:
    """Say where a plugin comes from, how large it is, and where there is no wheel for it."""
    size = size_of(origin.size)
    where = "in this file" if origin.in_file else "comes from the marketplace"
    lines = [f"{where}, {size}"]
    if origin.problem:
        lines = [f"{where}, {size} without its wheels: {origin.problem}"]
    if origin.lacks:
        lines.append(f"no wheels for {'; '.join(origin.lacks)}")
    return lines


def _granted(words: frozenset[str] | None) -> dict[str, Any]:
    return {"accepted": words is not None, "granted": sorted(words or ())}


def _plugin(row: PluginRow) -> dict[str, Any]:
    return {
        "id": row.full_id, "uuid": row.uuid, "name": row.name, "type": row.plugin_type,
        "latest": row.latest, "publisher": row.publisher, "official": row.official,
        "description": row.description, "author": row.author, "license": row.license,
        "pricing_tier": row.pricing_tier, "categories": list(row.categories),
        "tags": list(row.tags),
    }  # fmt: skip


def _version(row: ReleaseRow) -> dict[str, Any]:
    return {
        "version": row.version, "uuid": row.uuid, "package": row.package.hex,
        "length": row.length, "published_at": row.published_at, "yanked": row.yanked,
        "yanked_reason": row.yanked_reason,
    }  # fmt: skip
