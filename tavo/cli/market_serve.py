"""`tavo market` serve and work: the marketplace as a service, and the process beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.key import load_keyring
from tavo.cli.market_place import KeysFolder, Place
from tavo.errors import UsageError

__all__ = ["register"]

ReleaseEvery = Annotated[
    float,
    typer.Option(
        "--release-every", metavar="HOURS", help="Release what is new; 0 leaves that to you."
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands to `tavo market`."""
    group.command("serve")(serve)
    group.command("work")(work)


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8640,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only the server; `market work` runs elsewhere.")
    ] = False,
    release_every: ReleaseEvery = 0.0,
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Serve the marketplace: pages and API here, vetting and releases in a second process."""
    from tavo import __version__
    from tavo.operator.service import log_as_json
    from tavo.operator.service import serve as run

    session = session_of(context)
    _check(release_every)
    log_as_json(quiet=session.quiet)
    words = ["market", "work", "--market", str(market.absolute()), "--for-server", str(os.getpid()),
             "--release-every", str(release_every)]  # fmt: skip
    if keys is not None:
        words += ["--keys", str(keys.absolute())]
    if session.config is not None:
        words = ["--config", str(session.config.absolute()), *words]
    if session.quiet:
        words = ["--quiet", *words]
    run(
        market,
        host=host,
        port=port,
        worker=None if no_worker else words,
        version=__version__,
        ready=lambda url: session.say(f"The marketplace is at {url} until you press Ctrl-C."),
    )


def work(
    context: typer.Context,
    for_server: Annotated[
        int, typer.Option("--for-server", metavar="PID", help="End when this process does.")
    ] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell whether it could start.")
    ] = False,
    release_every: ReleaseEvery = 0.0,
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Do what the server's rows ask for, until told to end: vet, and release if you say so."""
    import signal

    from signing.roles import ONLINE_ROLES
    from tavo.operator.service import log_as_json
    from tavo.operator.worker import Worker
    from tavo.registry.trust import utc_now

    session = session_of(context)
    _check(release_every)
    log_as_json(quiet=session.quiet)
    worker = Worker(
        market,
        load_keyring(keys, ONLINE_ROLES),
        clock=utc_now,
        release_every_s=release_every * 3600,
        accept_sandbox=session.settings().sandbox.accept,
    )
    if check:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopped.set())
    worker.run(parent=for_server or None)


def _check(hours: float) -> None:
    if not 0 <= hours <= 48:
        raise UsageError(
            f"--release-every {hours:g}: expected 0 to 48 hours",
            hint="The timestamp lives 3 days: release more often than that.",
        )
