"""`tavo registry` review, tell and recommend: what users say, and what fits their project."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import session_of
from tavo.cli.registry_install import Mirror
from tavo.errors import UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from marketplace_db.catalog import PluginRow

__all__ = ["At", "TokenFile", "recommend", "review", "tell"]

_MOST_ASKED = 50

At = Annotated[
    str,
    typer.Option("--at", metavar="URL", envvar="TAVO_MARKETPLACE", help="The marketplace."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Your token; else TAVO_TOKEN holds it."),
]


def review(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="publisher/name, or name.")],
    at: At,
    rating: Annotated[
        int, typer.Option("--rating", min=0, max=5, help="1 to 5; without it reviews are shown.")
    ] = 0,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="In a few words.")] = "",
    body: Annotated[str, typer.Option("--body", metavar="TEXT", help="What others read.")] = "",
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Default: the newest.")
    ] = None,
    token_file: TokenFile = None,
) -> None:
    """Rate a plugin at a marketplace, or show what others say there."""
    from marketplace_db.catalog import full_id_of
    from tavo.registry.marketplace import Marketplace, read_token

    session = session_of(context)
    offline = session.settings().offline
    if not rating:
        if title or body:
            raise UsageError("registry review: a review needs --rating", hint="From 1 to 5.")
        with Marketplace(at, offline=offline) as place:
            _show(session, place.reviews(full_id_of(plugin)))
        return
    with Marketplace(at, read_token(token_file), offline=offline) as place:
        done = place.review(
            full_id_of(plugin), rating=rating, title=title, body=body, version=version
        )
    if session.json:
        session.print_json(done)
        return
    print(printable(
        f"Your review of {done.get('plugin')} {done.get('version')}: {done.get('rating')} of 5,"
        f" {done.get('state')}."
    ))  # fmt: skip
    session.say("It is shown when the operator has read it.")


def tell(context: typer.Context, at: At, token_file: TokenFile = None) -> None:
    """Tell a marketplace what is installed here; nothing else ever tells it."""
    import hashlib
    import platform

    from tavo import __version__
    from tavo.folders import user_paths
    from tavo.registry.marketplace import Marketplace, read_token

    session = session_of(context)
    installed = session.installations().list()
    if not installed:
        session.say("Nothing is installed here.")
        return
    # The same for this user on this machine each time, and no name for anybody else.
    here = hashlib.sha256(f"{platform.node()}\0{user_paths().data}".encode()).hexdigest()
    done: list[dict[str, Any]] = []
    with Marketplace(at, read_token(token_file), offline=session.settings().offline) as place:
        for one in installed:
            own = hashlib.sha256(f"{here}\0{one.full_id}\0{one.version}".encode()).hexdigest()
            done.append(
                place.tell(one.full_id, one.version, key=own[:32], client_version=__version__)
            )
    if session.json:
        session.print_json(done)
        return
    for told in done:
        print(printable(f"{told.get('plugin')} {told.get('version')}: told"))


def recommend(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="The project; default: here.")
    ] = None,
    at: Annotated[
        str,
        typer.Option("--at", metavar="URL", help="Ask there what others have besides yours."),
    ] = "",
    mirror: Mirror = None,
) -> None:
    """Say which plugins fit a project, and why; nothing about it leaves this machine."""
    from marketplace_db.manifest import manifest_from_json
    from tavo.registry.recommend import installed_together
    from tavo.registry.recommend import recommend as choose

    session = session_of(context)
    rows: dict[str, PluginRow] = {}
    with session.shelves(mirror) as shelves:
        project = _project(session, paths or [Path()])
        installed = {one.full_id for one in session.installations().list()}
        candidates = []
        for shelf in shelves:
            manifests = shelf.catalog.newest_manifests()
            hidden = shelves.hidden(shelf, manifests)
            found_here = {
                row.full_id: row
                for row in shelf.catalog.all_plugins()
                if row.full_id in manifests and row.full_id not in {*installed, *hidden}
            }
            rows |= found_here
            candidates += [(r, manifest_from_json(manifests[n])) for n, r in found_here.items()]
    found = choose(project, candidates)
    if at:
        found = installed_together(found, _together(session, at, installed), rows)
    if session.json:
        session.print_json([
            {"plugin": one.plugin.full_id, "version": one.plugin.latest, "score": one.score,
             "reasons": list(one.reasons)}
            for one in found
        ])  # fmt: skip
        return
    if not found:
        more = "No other" if installed else "No"
        session.say(f"{more} plugin of the catalog is for something in this project.")
    for one in found:
        print(printable(f"{one.plugin.full_id} {one.plugin.latest}: {one.plugin.name}"))
        for reason in one.reasons:
            print(printable(f"  because {reason}"))
    if found:
        session.say(f"Look at one: `tavo registry show {found[0].plugin.full_id}`.")


def _together(session: Any, at: str, installed: set[str]) -> dict[str, list[tuple[str, int]]]:
    """Ask a marketplace what others have besides what is installed here, as far as it knows it."""
    from tavo.errors import RefusedError
    from tavo.registry.marketplace import Marketplace

    found: dict[str, list[tuple[str, int]]] = {}
    with Marketplace(at, offline=session.settings().offline) as place:
        for name in sorted(installed)[:_MOST_ASKED]:
            try:
                found[name] = place.installed_together(name)
            except RefusedError:
                continue  # it is of another marketplace
    return found


def _project(session: Any, paths: list[Path]) -> Any:
    """Take an inventory of the paths."""
    from tavo.registry.recommend import Project
    from tavo.runs.ai_bom import take_inventory
    from tavo.runs.scan import usual_jobs
    from tavo.scan.files import scan_root, walk
    from tavo.scan.languages import language_at

    settings = session.settings()
    inventory = take_inventory(
        paths, exclude=settings.scan.exclude, largest=settings.scan.max_file_bytes,
        jobs=settings.scan.jobs or usual_jobs(), reporter=session.reporter(),
    )  # fmt: skip
    names: list[str] = []
    languages: Counter[str] = Counter()
    for file in walk(paths, scan_root(paths), exclude=settings.scan.exclude):
        if not file.problem:
            names.append(file.relative.name)
            language = language_at(file.relative)
            if language:
                languages[language] += 1
    parts = {part.name.lower(): part.group or str(part.kind) for part in inventory.parts}
    return Project(files=tuple(names), languages=languages, parts=parts)


def _show(session: Any, value: dict[str, Any]) -> None:
    if session.json:
        session.print_json(value)
        return
    found = value.get("reviews", [])
    if not found:
        session.say("Nobody has reviewed it yet.")
        return
    print(printable(f"{value.get('rating')} of 5 from {value.get('ratings')} reviews"))
    for one in found:
        print(printable(
            f"{one.get('rating')} of 5 by {one.get('author')}, version {one.get('version')},"
            f" {str(one.get('updated_at'))[:10]}: {one.get('title')}"
        ))  # fmt: skip
        for line in str(one.get("body", "")).splitlines():
            print(printable(f"    {line}"))
