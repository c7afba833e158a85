"""`tavo registry advisories`: what is known to be wrong with what installed plugins bring along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.errors import ExitCode, InputError, TavoError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.registry.advisories import Known

__all__ = ["advisories"]


def advisories(
    context: typer.Context,
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
    ] = None,
) -> None:
    """Look for known vulnerabilities in the wheels of installed plugins; exit 1 if there are any.

    The snapshot comes from the repository, signed, and so behind an air gap from a mirror. With
    several marketplaces those of all of them count, for all plugins.
    """
    from marketplace_db.advisories.snapshot import Advisories
    from tavo.folders import user_paths
    from tavo.registry.advisories import about, forget_others

    session = session_of(context)
    cache = user_paths().cache / "advisories"
    paths = list(_snapshots(session, mirror, cache))
    forget_others(cache, paths)
    installed = session.installations().list()
    found: dict[tuple[str, ...], Known] = {}
    infos = []
    for path in paths:
        with Advisories(path) as known:
            for one in about(installed, known):
                key = (one.plugin, one.package, one.package_version, one.match.advisory.id)
                found.setdefault(key, one)
            infos.append(known.info)
    records = sum(info.records for info in infos)
    newest = max(info.newest for info in infos)
    if session.json:
        session.print_json({
            "records": records,
            "newest": newest,
            "wheels": sum(len(one.wheels) for one in installed),
            "found": [
                {"plugin": one.plugin, "version": one.version, "package": one.package,
                 "package_version": one.package_version, "advisory": one.match.advisory.id,
                 "severity": one.match.advisory.severity, "summary": one.match.advisory.summary,
                 "certain": one.match.certain}
                for one in found.values()
            ],
        })  # fmt: skip
    else:
        for one in found.values():
            advisory = one.match.advisory
            severity = f", {advisory.severity}" if advisory.severity else ""
            unclear = "" if one.match.certain else " (whether this version is affected is unclear)"
            print(printable(
                f"{one.plugin} {one.version}: {one.package} {one.package_version}:"
                f" {advisory.id}{severity}: {advisory.summary}{unclear}"
            ))  # fmt: skip
        wheels = sum(len(one.wheels) for one in installed)
        many = "1 advisory" if records == 1 else f"{records} advisories"
        which = "the snapshot has" if len(infos) == 1 else f"{len(infos)} snapshots have"
        session.say(
            f"{len(found)} known about {wheels} wheels of {len(installed)} plugins; {which}"
            f" {many}, the newest of {newest or 'no time'}."
        )
    if found:
        raise typer.Exit(int(ExitCode.FINDINGS))


def _snapshots(session: Session, mirror: str | None, cache: Path) -> Iterator[Path]:
    """Yield the snapshot of a mirror, else those of all marketplaces, telling which have none.

    Raises InputError if there is none at all; for a single marketplace what `fetch_snapshot` does.
    """
    from marketplace_db.errors import MarketplaceError
    from signing.errors import SigningError
    from tavo.registry.advisories import fetch_snapshot

    markets = session.markets()
    if mirror is not None or len(markets) < 2:
        yield fetch_snapshot(*session.artifacts(mirror), cache)
        return
    some = False
    for market in markets:
        if market.source is None:
            session.say(
                f"tavo: {market.name}: no source is configured, so no snapshot of it counts"
            )
            continue
        try:
            source = session.source(market.source)
            artifacts = market.trust.artifacts(source)
            session.tell(market.trust.news)
            path = fetch_snapshot(artifacts, source, cache)
        except InputError as error:
            session.say(f"tavo: {market.name}: {error}")
        except (SigningError, MarketplaceError, TavoError) as error:
            session.complain(f"{market.name}: its snapshot cannot be used now: {error}")
            session.outcome.append(ExitCode.INCOMPLETE)
        else:
            some = True
            yield path
    if not some:
        raise InputError(
            "no marketplace of this machine has a snapshot of advisories that can be used",
            hint="Their operators take one in with `tavo market advisories`.",
        )
