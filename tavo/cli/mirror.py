"""`tavo mirror`: verified copies of a repository, and bundles for a network without a way out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.mirror_audit import audit
from tavo.cli.render import size_of
from tavo.errors import ConfigError, InputError, RefusedError, TavoError, UsageError
from tavo.printable import counted, printable

if TYPE_CHECKING:
    from marketplace_db.mirror import MirrorReport
    from signing.digests import VerifiedFile

__all__ = ["register"]

_SHOWN = 10
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The mirror's folder.")]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Copies of a repository that verify like the original.",
                        no_args_is_help=True)  # fmt: skip
    group.callback()(_group)
    group.command("sync")(sync)
    group.command("export")(export)
    group.command("import")(import_)
    group.command("verify")(verify)
    group.command("status")(status)
    group.command("serve")(serve)
    group.command("audit")(audit)
    group.command("prune")(prune)
    app.add_typer(group, name="mirror")


def _group() -> None:
    """Copies of a repository that verify like the original."""


def sync(
    context: typer.Context,
    directory: Directory,
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="A folder or https address to copy.")
    ],
    plugins: Annotated[
        list[str] | None, typer.Option("--plugin", metavar="ID", help="Only this plugin.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only plugins of this type.")
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option("--category", metavar="WORD", help="Only plugins of this category."),
    ] = None,
    publishers: Annotated[
        list[str] | None,
        typer.Option("--publisher", metavar="NAME", help="Only plugins of this publisher."),
    ] = None,
    platforms: Annotated[
        list[str] | None,
        typer.Option(
            "--platform",
            metavar="NAME",
            help="Only wheels for linux, macos or windows, or such as linux-x86_64.",
        ),
    ] = None,
    pythons: Annotated[
        list[str] | None,
        typer.Option("--python", metavar="3.N", help="Only wheels for this version of Python."),
    ] = None,
    connections: Annotated[
        int, typer.Option(metavar="N", min=1, max=16, help="So many files at a time.")
    ] = 4,
) -> None:
    """Copy a repository into a folder, verifying everything that is copied.

    Each filter may be given several times. What a chosen plugin needs of other plugins comes along;
    the catalog and its recalls are always whole.
    """
    from marketplace_db.errors import MirrorError
    from marketplace_db.selection import Selection

    session = session_of(context)
    try:
        selection = Selection.of(
            plugins=plugins or (),
            types=types or (),
            categories=categories or (),
            publishers=publishers or (),
            platforms=platforms or (),
            pythons=pythons or (),
        )
    except MirrorError as error:
        raise UsageError(f"mirror sync: {error}", hint=error.hint) from error
    report = session.sync_mirror(source, directory, selection, connections)
    _print_report(session, directory, report)


def export(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder for the bundle.")],
    source: Annotated[
        Path, typer.Option("--from", metavar="PLACE", help="A mirror, or a bundle to cut again.")
    ],
    since: Annotated[
        Path | None,
        typer.Option(
            metavar="LAST",
            help="Only what is new since a .have file, a full bundle or a mirror.",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option("--part-size", metavar="SIZE", help="cd, dvd, 4G, or such as 700M.")
    ] = "4G",
) -> None:
    """Write a mirror as a bundle of one or more parts, to carry it across an air gap."""
    session = session_of(context)
    done = session.mirrors(source).export(source, out, size, since)
    for path in done.parts:
        print(printable(str(path)))
    what = done.summary
    base = "full" if what.base is None else f"incremental, builds on version {what.base}"
    session.say(
        f"Bundle {done.bundle[:12]}: {base}; version {what.timestamp},"
        f" {counted(what.releases, 'release')}, {counted(what.files, 'file')},"
        f" {counted(done.bytes, 'byte')} in {counted(len(done.parts), 'part')}."
    )
    if done.have:
        session.say(f"Keep {done.have} here: the next export takes it with --since.")
    if done.missing_reports:
        session.say(f"{counted(done.missing_reports, 'vetting report')} not in this mirror.")
    session.say("Carry it over, then: tavo mirror import DIR PARTS")


def import_(
    context: typer.Context,
    directory: Directory,
    places: Annotated[
        list[Path], typer.Argument(metavar="PARTS...", help="Parts of a bundle, or their folders.")
    ],
) -> None:
    """Bring a bundle into a mirror, verifying it as if it came over the network."""
    session = session_of(context)
    report, bundle = session.import_bundle(places, directory)
    _print_report(session, directory, report)
    if filters := bundle.summary.filters.to_dict():
        session.say(f"This bundle was made with filters: {filters}")


def verify(
    context: typer.Context,
    place: Annotated[Path, typer.Argument(metavar="PLACE", help="A mirror or a full bundle.")],
) -> None:
    """Verify a mirror or a full bundle: signatures, expiry, and the digest of every file."""
    session = session_of(context)
    found = session.mirrors(place).verify(place)
    for path in found.damaged:
        print(printable(f"DAMAGED: {path}"))
    for path in found.missing:
        print(printable(f"MISSING: {path}"))
    hint = "Run `tavo mirror sync` or `tavo mirror import` into it again: that repairs it."
    if found.damaged:
        raise RefusedError(f"{place}: {counted(len(found.damaged), 'file')} damaged", hint=hint)
    if found.missing:
        raise InputError(f"{place}: {counted(len(found.missing), 'file')} missing", hint=hint)
    print(printable(f"{place}: all {found.files} files ({found.bytes} bytes) are right; catalog"
                    f" version {found.refreshed.catalog.version}."))  # fmt: skip


def status(
    context: typer.Context,
    place: Annotated[Path, typer.Argument(metavar="PLACE", help="A mirror, a bundle or a part.")],
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="SOURCE", help="Say what a sync from there would fetch."),
    ] = None,
    files: Annotated[
        bool,
        typer.Option("--files", help="List the files in a bundle, all parts of which are here."),
    ] = False,
) -> None:
    """Show what a mirror or a bundle says of itself: versions, age, expiry, parts and base."""
    from marketplace_db.mirror import read_hint

    session = session_of(context)
    hint = read_hint(place)
    if files:
        if hint is not None:
            raise UsageError(f"{place}: is a mirror, and --files is for bundles")
        _list_files(session, place)
        return
    if hint is None:
        if source is not None:
            raise UsageError(f"{place}: is no mirror, and --from needs one")
        facts = _bundle_facts(place)
    else:
        facts = {"place": str(place), **hint}
        if source is not None:
            facts["would_fetch"] = session.would_fetch(source, place)
    now = datetime.now(UTC)
    for name in ("issued", "expires"):
        _add_age(facts, name, now)
    if session.json:
        session.print_json(facts)
        return
    for key, value in facts.items():
        for name, one in value.items() if isinstance(value, dict) else ((key, value),):
            label = name if name == key else f"{key} {name}"
            shown = ", ".join(map(str, one)) if isinstance(one, list) else one
            if shown is None or shown == "":
                continue
            print(printable(f"{label.replace('_', ' ')}: {shown}"))
    session.say("This is what it says of itself; `tavo mirror verify` checks it.")


def serve(
    context: typer.Context,
    directory: Directory,
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen at.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0: any.")] = 8460,
    files_only: Annotated[bool, typer.Option("--files-only", help="Leave the pages out.")] = False,
) -> None:
    """Serve a mirror over http until interrupted: its files, and pages of its catalog for people.

    Pages need a catalog that verifies here; without one the files are served alone.
    """
    import tempfile

    from marketplace_db.errors import MarketplaceError
    from signing.errors import SigningError

    session = session_of(context)
    if not files_only and (directory / "metadata").is_dir():
        with tempfile.TemporaryDirectory(prefix="tavo-mirror-") as folder:
            cache = Path(folder)
            try:
                session.mirrors(directory).catalog(directory, cache)
            except (SigningError, MarketplaceError, ConfigError, RefusedError) as error:
                session.say(f"Files only, without pages: {error}")
            else:
                _serve_with_pages(session, directory, host, port, cache)
                return
    _serve_files(session, directory, host, port)


def _serve_with_pages(session: Session, directory: Path, host: str, port: int, cache: Path) -> None:
    from marketplace_db.errors import MarketplaceError
    from marketplace_db.web.mirror_front import serve_mirror

    def load() -> VerifiedFile:
        try:
            return session.mirrors(directory).catalog(directory, cache)
        except TavoError as error:  # a marketplace was removed meanwhile: the old pages stay
            raise MarketplaceError(str(error)) from error

    serve_mirror(
        directory,
        load,
        host,
        port,
        ready=lambda address: _say_serving(directory, address, "; its pages are there, too"),
        say=session.say,
    )


def _serve_files(session: Session, directory: Path, host: str, port: int) -> None:
    from tavo.registry.mirror_server import MirrorServer

    with MirrorServer(directory, host, port, session.say if session.verbose else None) as server:
        _say_serving(directory, server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            session.say("Stopped.")


def _say_serving(directory: Path, address: str, more: str = "") -> None:
    print(f"Serving {printable(str(directory))} at {address}{more}", flush=True)


def prune(
    context: typer.Context,
    directory: Directory,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete it; without this it is only listed.")
    ] = False,
    keep_days: Annotated[
        float, typer.Option(metavar="DAYS", min=0, help="What is younger stays.")
    ] = 7.0,
) -> None:
    """List what nothing in a mirror refers to any more: old catalogs, deltas, lists and blobs."""
    session = session_of(context)
    found = session.mirrors(directory).prune(directory, keep_days, delete=delete)
    if session.json:
        session.print_json({**found._asdict(), "deleted": delete})
        return
    for path in found.paths:
        print(printable(path))
    if found.files > len(found.paths):
        session.say(f"… and {found.files - len(found.paths)} more.")
    size = size_of(found.bytes)
    if found.files:
        done = "deleted" if delete else "can go; nothing was deleted: add --delete"
        session.say(f"{counted(found.files, 'file')}, {size}, {done}.")
    else:
        session.say("Nothing to prune.")
    if found.young:
        session.say(f"{counted(found.young, 'file')} that nothing refers to stay until"
                    f" {keep_days:g} days old.")  # fmt: skip


def _print_report(session: Session, directory: Path, report: MirrorReport) -> None:
    print(printable(
        f"{directory}: {counted(report.releases, 'release')},"
        f" {counted(report.fetched_files, 'file')} new, {report.kept_files} kept;"
        f" {report.fetched_bytes} bytes read in {counted(report.requests, 'request')};"
        f" catalog version"
        f" {report.refreshed.catalog.version}"
        + (f" by {counted(report.refreshed.deltas, 'delta')}." if report.refreshed.deltas else ".")
    ))  # fmt: skip
    if report.refreshed.fallback:
        session.say(
            "The whole catalog was fetched, as deltas did not lead to it:"
            f" {printable(report.refreshed.fallback)}"
        )
    if count := report.missing_reports:
        session.say(
            f"{counted(count, 'vetting report')} that reviewers name"
            f" {'is' if count == 1 else 'are'} not at the source; plugins install without, and"
            " `tavo registry reports` says what is missing."
        )
    session.say(f"Use it: tavo registry install PLUGIN --mirror {directory}")


def _bundle_facts(place: Path) -> dict[str, Any]:
    from marketplace_db.bundle import Bundle, find_parts

    labels = find_parts([place])
    first = labels[0]
    here = sorted({label.part for label in labels if label.bundle == first.bundle})
    facts: dict[str, Any] = {
        "place": str(place),
        "bundle": first.bundle,
        "parts": first.parts,
        "parts_here": here,
        "parts_missing": _shortened(sorted(set(range(1, first.parts + 1)) - set(here))),
        "bytes": first.stream,
        **first.summary.to_dict(),
    }
    if not facts["parts_missing"]:
        from marketplace_db.mirror import also_in

        same = [label for label in labels if label.bundle == first.bundle]
        facts["also"] = also_in(Bundle(same).entries)
    if others := sorted({label.bundle for label in labels} - {first.bundle}):
        facts["other_bundles_here"] = _shortened(others)
    return facts


def _list_files(session: Session, place: Path) -> None:
    from marketplace_db.bundle import Bundle

    entries = Bundle.open([place]).entries
    if session.json:
        session.print_json([
            {"path": path, "bytes": entry.length, "sha256": entry.digest.hex}
            for path, entry in entries.items()
        ])  # fmt: skip
        return
    for path, entry in entries.items():
        print(printable(f"{entry.length:>12} {path}"))


def _shortened(values: Sequence[Any]) -> list[Any]:
    return [*values[:_SHOWN], *(["…"] if len(values) > _SHOWN else [])]


def _add_age(facts: dict[str, Any], name: str, now: datetime) -> None:
    from signing.roles import parse_time

    try:
        when = parse_time(facts.get(name))
    except ValueError:
        return
    hours = int((now - when).total_seconds() // 3600)
    if name == "issued":
        facts["age"] = f"{hours // 24} days {hours % 24} hours"
    else:
        facts["expired"] = now >= when
