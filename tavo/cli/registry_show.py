"""`tavo registry show`: all that is known of one plugin, before it is installed.

What the catalog, the reviewers' statements and this machine say is read here; nothing is decided.
The fields of its JSON that other commands print too are made here as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.consent import print_permissions
from tavo.cli.context import Session, session_of
from tavo.cli.registry_grant import standing
from tavo.cli.registry_install import Mirror
from tavo.cli.render import size_of
from tavo.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace_db.catalog import Catalog, PluginRow, ReleaseRow
    from marketplace_db.manifest import Manifest
    from tavo.registry.origin import Origin
    from tavo.registry.shelves import Shelf, Shelves
    from tavo.registry.trust import OpenCatalog

__all__ = ["PluginName", "granted_fields", "plugin_fields", "show", "where_from"]

PluginName = Annotated[str, typer.Argument(metavar="PLUGIN", help="publisher/name; name alone"
                                           " means tavo/name.")]  # fmt: skip


def show(context: typer.Context, plugin: PluginName, mirror: Mirror = None) -> None:
    """Show a plugin: what it does, what it may and may not do, its versions."""
    from marketplace_db.catalog import full_id_of
    from marketplace_db.permissions import danger_sentences, permission_sentences
    from tavo.registry.origin import origin_of

    session = session_of(context)
    with session.shelves(mirror) as shelves:
        shelf = shelves.of(full_id_of(plugin))
        opened, catalog = shelf.opened, shelf.catalog
        where = where_from(shelves, shelf)
        row, versions = catalog.plugin(plugin), catalog.versions(plugin)
        newest, passed_over = _newest(opened, catalog, row)
        row = row._replace(latest=newest.version if newest else None)
        refused = {**_taken_back(opened, versions), **passed_over}
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
        session.print_json({**plugin_fields(row), **where,
                            "versions": [{**_version(v),
                                          "refused": refused.get(v.version, "")}
                                         for v in versions],
                            "entitlement": entitled,
                            "origin": _origin(origin) if origin else None,
                            "can": can, "cannot": cannot,
                            "danger": danger,
                            "overrides": None if unknown else overrides,
                            "needs": [str(need) for need in manifest.requirements]
                            if manifest else [],
                            "python": manifest.python if manifest else "",
                            "installed": {"version": here.version, **granted_fields(words)}
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
        state = _state(version, refused.get(version.version, ""))
        print(printable(
            f"  {version.version}  {version.published_at[:10]}  {version.package}{state}"
        ))  # fmt: skip
    name = row.full_id.removeprefix("tavo/")
    if here is None:
        print(printable(f"Install it: tavo registry install {name}"))
        return
    print(printable(f"Installed: {here.version}, {standing(words)}"))
    if words is None:
        print(printable(f"Accept it: tavo registry grant {name}"))


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


def _taken_back(opened: OpenCatalog, versions: Sequence[ReleaseRow]) -> dict[str, str]:
    """Return why releases were withdrawn or recalled, by version; those that stand are not there.

    As in `_newest`, nothing is asked where nothing was ever taken back.
    """
    if not (opened.publishers.revoked_packages or opened.withdrawn or any(
        version.yanked for version in versions
    )):  # fmt: skip
        return {}
    from tavo.registry.offered import recall_problem

    problems = {version.version: recall_problem(opened, version) for version in versions}
    return {version: problem for version, problem in problems.items() if problem}


def _state(release: ReleaseRow, problem: str) -> str:
    """Return what follows a release in the list of all."""
    if not problem:
        return f"  lifted; was withdrawn: {release.yanked_reason}" if release.yanked else ""
    if release.yanked and problem.startswith("was withdrawn: "):
        return f"  withdrawn: {release.yanked_reason}"
    return f"  refused: {problem}"


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


def where_from(shelves: Shelves, shelf: Shelf) -> dict[str, Any]:
    """Return the fields of a row about where it comes from, and how old that is if it is too old.

    With one marketplace whose lists hold there is nothing to say.
    """
    where: dict[str, Any] = {"marketplace": shelf.name} if shelves.several else {}
    if (stale := shelf.opened.stale) is not None:
        where["stale"] = stale.to_dict()
    return where


def granted_fields(words: frozenset[str] | None) -> dict[str, Any]:
    """Return the fields of an installed plugin about what it was granted, None if nothing yet."""
    return {"accepted": words is not None, "granted": sorted(words or ())}


def plugin_fields(row: PluginRow) -> dict[str, Any]:
    """Return the fields of a plugin of the catalog."""
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
