"""`tavo proxy`: the traffic between programs and models, filtered, metered and written down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.proxy_audit import register as register_audit
from tavo.cli.proxy_check import register as register_check
from tavo.cli.proxy_run import AuditFile, Observe
from tavo.cli.proxy_run import register as register_run

if TYPE_CHECKING:
    from tavo.proxy.config import ProxyConfig

__all__ = ["plugin_worker", "refuse_network", "register", "secret_for"]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Filter, meter and record traffic to models.", no_args_is_help=True)
    group.callback()(_group)
    group.command("serve")(serve)
    register_run(group)
    register_check(group)
    register_audit(group)
    app.add_typer(group, name="proxy")


def _group() -> None:
    """Filter, meter and record traffic to models."""


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
    audit: AuditFile = None,
    observe: Observe = False,
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


# -- inside


def plugin_worker(session: Session, name: str, options: Mapping[str, Any]) -> Any:
    """Verify an installed plugin, and return a worker that judges what passes."""
    from tavo.cli.chosen import verified_plugin
    from tavo.runs.filtering import PassingWorker

    accept = session.settings().sandbox.accept
    return PassingWorker(
        verified_plugin(session, name, ()), accept=accept, config=options, say=session.say
    )


def secret_for(made: ProxyConfig, *, may_change: bool = False) -> bytes | None:
    """Return the secret of placeholders, kept beside the audit log, else with this user's state.

    None where nothing is judged, and nothing will be after a reload.
    """
    from tavo.folders import user_paths
    from tavo.private import make_private
    from tavo.proxy.sharing import kept_secret

    if made.secret_file is not None:
        return kept_secret(Path(made.secret_file))
    if not made.filters and not made.observe and not may_change:
        return None
    if made.audit is not None:
        return kept_secret(Path(f"{made.audit.file}.secret"))
    state = user_paths().state
    make_private(state)
    return kept_secret(state / "proxy.secret")


def refuse_network(made: ProxyConfig, command: str) -> None:
    """Raise UsageError for what is asked and is not on this machine."""
    from urllib.parse import urlsplit

    from tavo.errors import UsageError
    from tavo.proxy.config import is_loopback

    places = {name: one.url for name, one in made.upstreams.items()}
    if made.telemetry is not None:
        places["telemetry"] = made.telemetry.endpoint
    if made.run.tunnel and command == "proxy run":
        places["run.tunnel"] = f"https://{made.run.tunnel[0]}"
    for name, url in places.items():
        host = urlsplit(url).hostname or ""
        if not is_loopback(host):
            raise UsageError(
                f"{command}: {name} is at {host}, and --offline forbids the network",
                hint="Leave --offline out; an upstream on this machine is served with it, too.",
            )


def _warned(made: ProxyConfig) -> list[str]:
    """Return what an operator must not be mistaken about."""
    lines = []
    if made.observe:
        lines.append(
            "OBSERVE ONLY: traffic is judged, and nothing is changed or blocked; answers say so"
            " with x-tavo-observe"
        )
    elif not made.filters:
        lines.append("no filter is configured: traffic is metered, not judged")
    if made.audit is None:
        lines.append("no audit log: nothing is written down; --audit FILE or audit.file keeps one")
    return lines


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

    from tavo.folders import user_paths
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
        refuse_network(made, "proxy serve")
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
        for line in _warned(made):
            session.say(line)

    return Serving(
        config=made, file=config.absolute() if config is not None else None, read=read,
        token_file=Path(token), told=told, say=session.say,
        worker_of=lambda name, options: plugin_worker(session, name, options),
        secret=secret_for(made, may_change=config is not None),
    )  # fmt: skip
