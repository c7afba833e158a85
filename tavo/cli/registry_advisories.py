"""`tavo registry advisories`: what is known to be wrong with what installed plugins bring along."""

from __future__ import annotations

from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.errors import ExitCode
from tavo.printable import printable

__all__ = ["advisories"]


def advisories(
    context: typer.Context,
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
    ] = None,
) -> None:
    """Look for known vulnerabilities in the wheels of installed plugins; exit 1 if there are any.

    The snapshot comes from the repository, signed, and so behind an air gap from a mirror.
    """
    from marketplace_db.advisories.snapshot import Advisories
    from tavo.config import user_paths
    from tavo.registry.advisories import about, fetch_snapshot

    session = session_of(context)
    artifacts, source = session.artifacts(mirror)
    path = fetch_snapshot(artifacts, source, user_paths().cache / "advisories")
    installed = session.installations().list()
    with Advisories(path) as known:
        found = list(about(installed, known))
        info = known.info
    if session.json:
        session.print_json({
            "records": info.records,
            "newest": info.newest,
            "wheels": sum(len(one.wheels) for one in installed),
            "found": [
                {"plugin": one.plugin, "version": one.version, "package": one.package,
                 "package_version": one.package_version, "advisory": one.match.advisory.id,
                 "severity": one.match.advisory.severity, "summary": one.match.advisory.summary,
                 "certain": one.match.certain}
                for one in found
            ],
        })  # fmt: skip
    else:
        for one in found:
            advisory = one.match.advisory
            severity = f", {advisory.severity}" if advisory.severity else ""
            unclear = "" if one.match.certain else " (whether this version is affected is unclear)"
            print(printable(
                f"{one.plugin} {one.version}: {one.package} {one.package_version}:"
                f" {advisory.id}{severity}: {advisory.summary}{unclear}"
            ))  # fmt: skip
        wheels = sum(len(one.wheels) for one in installed)
        records = "1 advisory" if info.records == 1 else f"{info.records} advisories"
        session.say(
            f"{len(found)} known about {wheels} wheels of {len(installed)} plugins; the snapshot"
            f" has {records}, the newest of {info.newest or 'no time'}."
        )
    if found:
        raise typer.Exit(int(ExitCode.FINDINGS))
