"""`tavo registry advisories`: what is known to be wrong with what installed plugins bring along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.errors import ExitCode, InputError, TavoError, UsageError
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
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            metavar="FILE",
            help="Write the snapshot, for the plugin dependency-audit, and stop; .xz, .gz: packed.",
        ),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RECORDS",
            help="With --write: out of a zip of osv.dev or a folder of records.",
        ),
    ] = None,
) -> None:
    """Look for known vulnerabilities in the wheels of installed plugins; exit 1 if there are any.

    The snapshot comes from the repository, signed, and so behind an air gap from a mirror. With
    several marketplaces those of all of them count, for all plugins.
    """
    if write is not None:
        _write(session_of(context), write, records, mirror)
        return
    if records is not None:
        raise UsageError(
            "registry advisories: --from needs --write",
            hint="Name the snapshot to write, for example --write advisories.db.xz.",
        )
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
    many_records = sum(info.records for info in infos)
    newest = max(info.newest for info in infos)
    if session.json:
        session.print_json({
            "records": many_records,
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
        many = "1 advisory" if many_records == 1 else f"{many_records} advisories"
        which = "the snapshot has" if len(infos) == 1 else f"{len(infos)} snapshots have"
        session.say(
            f"{len(found)} known about {wheels} wheels of {len(installed)} plugins; {which}"
            f" {many}, the newest of {newest or 'no time'}."
        )
    if found:
        raise typer.Exit(int(ExitCode.FINDINGS))


def _write(session: Session, out: Path, records: Path | None, mirror: str | None) -> None:
    """Write one snapshot: out of records, else the one of a mirror or marketplace."""
    import hashlib
    import tempfile

    from marketplace_db.advisories.snapshot import Advisories, read_records, write_snapshot
    from signing.files import write_atomically
    from tavo.folders import user_paths

    if records is not None and mirror is not None:
        raise UsageError(
            "registry advisories: --from and --mirror are two sources", hint="Name one of them."
        )
    if records is not None and not records.exists():
        raise UsageError(
            f"{records}: there is no such file or folder",
            hint="Fetch all.zip of an ecosystem from osv.dev, and name it.",
        )
    with tempfile.TemporaryDirectory(prefix="tavo-advisories-") as folder:
        if records is not None:
            made = Path(folder) / "advisories.db"
            write_snapshot(read_records(records), made)
        else:
            found = list(_snapshots(session, mirror, user_paths().cache / "advisories"))
            if len(found) > 1:
                raise UsageError(
                    f"registry advisories: {len(found)} marketplaces have a snapshot each",
                    hint="Name the one to write with --mirror.",
                )
            (made,) = found
        with Advisories(made) as known:
            info = known.info
        if records is not None and not info.records:
            raise InputError(
                f"{records}: holds no advisory, so nothing is written: what is compared with an"
                " empty snapshot looks clean",
                hint="Name all.zip of an ecosystem from osv.dev, or a folder of its JSON records.",
            )
        data = _packed(made.read_bytes(), out.suffix)
    try:
        write_atomically(out, data)
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}", hint="Name another file.") from error
    digest = hashlib.sha256(data).hexdigest()
    if session.json:
        session.print_json({"records": info.records, "newest": info.newest, "sha256": digest,
                            "bytes": len(data)})  # fmt: skip
        return
    many = "1 advisory" if info.records == 1 else f"{info.records} advisories"
    print(printable(
        f"{out}: {many}, the newest of {info.newest or 'no time'},"
        f" {len(data)} bytes, sha256 {digest}"
    ))  # fmt: skip


def _packed(data: bytes, suffix: str) -> bytes:
    if suffix == ".xz":
        import lzma

        return lzma.compress(data)
    if suffix == ".gz":
        import gzip

        return gzip.compress(data, mtime=0)
    return data


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
