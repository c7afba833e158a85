"""`tavo proxy`: the traffic between programs and models, filtered, metered and written down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of

if TYPE_CHECKING:
    from tavo.proxy.config import ProxyConfig

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Filter, meter and record traffic to models.", no_args_is_help=True)
    group.callback()(_group)
    group.command("serve")(serve)
    audit = typer.Typer(help="The audit log of a proxy.", no_args_is_help=True)
    audit.callback()(_audit)
    audit.command("verify")(verify)
    group.add_typer(audit, name="audit")
    app.add_typer(group, name="proxy")


def _group() -> None:
    """Filter, meter and record traffic to models."""


def _audit() -> None:
    """The audit log of a proxy."""


def serve(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The proxy.yaml to serve.")
    ] = None,
    upstream: Annotated[
        str | None, typer.Option("--upstream", metavar="URL", help="One provider, without a file.")
    ] = None,
    litellm: Annotated[
        Path | None,
        typer.Option("--litellm", metavar="FILE", help="Start from a configuration of LiteLLM."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes any.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, max=256, help="Processes.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option("--audit", metavar="FILE", help="Write the audit log there.")
    ] = None,
    observe: Annotated[
        bool, typer.Option("--observe", help="Judge and record everything, change nothing.")
    ] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="With --litellm: print a proxy.yaml and stop.")
    ] = False,
) -> None:
    """Serve a reverse proxy for models until it is told to end."""
    from tavo.errors import UsageError

    session = session_of(context)
    if sum(one is not None for one in (config, upstream, litellm)) != 1:
        raise UsageError(
            "proxy serve: give one of --config, --upstream and --litellm",
            hint="For example: tavo proxy serve --upstream https://api.openai.com",
        )
    if print_config:
        if litellm is None:
            raise UsageError("proxy serve: --print-config goes with --litellm")
        _print_converted(session, litellm)
        return
    from tavo.proxy.serving import serve as run

    raise typer.Exit(run(_serving(session, config, upstream, litellm, {
        "port": port, "workers": workers, "audit": audit, "observe": observe or None,
    })))  # fmt: skip


def verify(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audit logs.")],
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="HASH", help="The last hash, as you noted it elsewhere."),
    ] = None,
) -> None:
    """Check that audit logs are what was written; exit 5 if one is not."""
    import msgspec

    from tavo.errors import ExitCode, InputError, UsageError
    from tavo.proxy.audit_chain import verify as look

    session = session_of(context)
    if expect is not None and len(files) != 1:
        raise UsageError("proxy audit verify: --expect goes with one file")
    rows = []
    for path in files:
        try:
            found = look(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        if expect is not None and found.head != expect and not found.broken:
            found.broken = f"the last hash is {found.head}, expected {expect}: rows are missing"
        rows.append((path, found))
    if session.json:
        import json

        print(json.dumps([{"file": str(p), **msgspec.to_builtins(f)} for p, f in rows], indent=2))
    else:
        for path, found in rows:
            print(_told(path, found))
    broken = any(found.broken for _, found in rows)
    raise typer.Exit(ExitCode.REFUSED if broken else ExitCode.OK)


# -- inside


def _plugin_worker(session: Session, name: str, options: Mapping[str, Any]) -> Any:
    """Verify an installed plugin, and return a worker that judges what passes."""
    from tavo.cli.chosen import verified_plugin
    from tavo.runs.filtering import PassingWorker

    accept = session.settings().sandbox.accept
    return PassingWorker(verified_plugin(session, name, ()), accept=accept, config=options)


def _told(path: Path, found: Any) -> str:
    from tavo.printable import printable

    if found.broken:
        return printable(f"{path}: NOT what was written: {found.broken}")
    more = []
    if found.blocked:
        more.append(f"{found.blocked} blocked")
    if found.open:
        more.append(f"{found.open} without an end")
    if found.torn:
        more.append(f"{found.torn} rows cut off by a crash")
    if found.missed:
        more.append(f"{found.missed} exchanges NOT written")
    counts = "".join(f", {one}" for one in more)
    first = f"{path}: intact: {found.rows} rows, {found.exchanges} exchanges{counts},"
    return printable(f"{first} {found.first} to {found.last}") + f"\n  last hash {found.head}"


def _refuse_network(made: ProxyConfig) -> None:
    """Raise UsageError for an upstream that is not on this machine."""
    from urllib.parse import urlsplit

    from tavo.errors import UsageError
    from tavo.proxy.config import is_loopback

    for name, upstream in made.upstreams.items():
        host = urlsplit(upstream.url).hostname or ""
        if not is_loopback(host):
            raise UsageError(
                f"proxy serve: {name} is at {host}, and --offline forbids the network",
                hint="Leave --offline out; an upstream on this machine is served with it, too.",
            )


def _print_converted(session: Session, path: Path) -> None:
    from tavo.proxy.config import read_config
    from tavo.proxy.litellm import converted, yaml_of

    value, notes = converted(read_config(path), str(path))
    for note in notes:
        session.say(f"note: {note}")
    print(yaml_of(value), end="")


def _serving(
    session: Session, config: Path | None, upstream: str | None, litellm: Path | None,
    given: dict[str, Any],
) -> Any:  # fmt: skip
    import msgspec

    from tavo.config import user_paths
    from tavo.private import make_private
    from tavo.proxy.config import (
        Audit,
        load_config,
        read_config,
        simple_config,
    )  # fmt: skip
    from tavo.proxy.serving import Serving
    from tavo.proxy.snippets import base_url, snippets

    replace = msgspec.structs.replace

    def changed(made: ProxyConfig) -> ProxyConfig:
        """Apply what the command line says, at the start and at each reload."""
        if given["port"] is not None:
            made = replace(made, listen=replace(made.listen, port=given["port"]))
        if given["workers"] is not None:
            made = replace(made, workers=given["workers"])
        if given["audit"] is not None:
            made = replace(made, audit=Audit(file=str(given["audit"].absolute())))
        return replace(made, observe=True) if given["observe"] else made

    def read(data: bytes) -> ProxyConfig:
        folder = config.absolute().parent if config is not None else None
        return changed(load_config(data, str(config), folder))

    if config is not None:
        made = read(read_config(config))
    elif litellm is not None:
        from tavo.proxy.litellm import converted, yaml_of

        value, notes = converted(read_config(litellm), str(litellm))
        for note in notes:
            session.say(f"note: {note}")
        made = changed(load_config(yaml_of(value).encode(), str(litellm)))
    else:
        made = changed(simple_config(upstream or ""))
    if session.settings().offline:
        _refuse_network(made)
    token = made.admin.token_file
    if token is None:
        state = user_paths().state
        if not made.admin.off:
            make_private(state)
        token = str(state / f"proxy-{made.listen.port}.token")

    def told(port: int, admin_port: int) -> None:
        print(f"tavo proxy listens at {base_url(made, port)}", flush=True)
        for line in snippets(made, port):
            session.say(line)
        if admin_port:
            session.say(f"admin: http://127.0.0.1:{admin_port}, token in {token}")
        for key, one in made.upstreams.items():
            if one.unsafe_unverified:
                session.say(f"WARNING: {key}: certificates are NOT verified (unsafe_unverified)")
        if not made.filters and not made.observe:
            session.say("no filter is configured: traffic is metered and recorded, not judged")

    return Serving(
        config=made, file=config.absolute() if config is not None else None, read=read,
        token_file=Path(token), told=told, say=session.say,
        worker_of=lambda name, options: _plugin_worker(session, name, options),
    )  # fmt: skip
