"""`tavo proxy run`: a program whose base URL cannot be set, behind a proxy of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tavo.cli.context import session_of

__all__ = ["AuditFile", "Observe", "register"]

AuditFile = Annotated[
    Path | None, typer.Option("--audit", metavar="FILE", help="Write the audit log there.")
]
Observe = Annotated[bool, typer.Option("--observe", help="Judge everything, change nothing.")]


def register(group: typer.Typer) -> None:
    """Add the command to its group."""
    group.command("run")(run)


def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The program.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The proxy.yaml to judge by.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", metavar="NAME", help="A filter with its defaults; again for more."
        ),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", metavar="HOST", help="A host of models, beside the known ones."),
    ] = None,
    tunnel: Annotated[
        list[str] | None,
        typer.Option("--tunnel", metavar="HOST", help="Let a host or pattern through, unseen."),
    ] = None,
    unknown_paths: Annotated[
        str | None,
        typer.Option("--unknown-paths", metavar="RULE", help="block, pass or record."),
    ] = None,
    audit: AuditFile = None,
    observe: Observe = False,
) -> None:
    """Run a program with its https to models judged; exit with its exit code."""
    import msgspec

    from tavo.cli.proxy import plugin_worker, refuse_network, secret_for
    from tavo.errors import ConfigError, about
    from tavo.proxy.config import Audit, ProxyConfig, load_config, read_config
    from tavo.proxy.forward.hosts import known_providers
    from tavo.proxy.forward.running import run_behind
    from tavo.proxy.sharing import Shared

    session = session_of(context)
    if config is not None:
        made = load_config(read_config(config), str(config), config.absolute().parent)
        given = known_providers(judge or ())
        more = {name: one for name, one in given.items() if name in _names(judge)}
        made = msgspec.structs.replace(made, upstreams={**made.upstreams, **more})
    else:
        made = ProxyConfig(proxy=1, upstreams=known_providers(judge or ()))
    changes: dict[str, Any] = {}
    if filters:
        if made.filters:
            raise ConfigError(
                f"proxy run: {config} has filters, and --filter would leave them out",
                hint="Name all filters in the configuration, or all with --filter.",
            )
        changes["filters"] = [{"filter": name} for name in filters]
    if unknown_paths is not None:
        if unknown_paths not in ("block", "pass", "record"):
            raise ConfigError(
                f"proxy run: --unknown-paths is {unknown_paths!r}, expected block, pass or record"
            )
        changes["unknown_paths"] = unknown_paths
    if audit is not None:
        changes["audit"] = Audit(file=str(audit.absolute()))
    if observe:
        changes["observe"] = True
    if tunnel:
        changes["run"] = msgspec.structs.replace(made.run, tunnel=[*made.run.tunnel, *tunnel])
    made = msgspec.structs.replace(made, **changes)
    if session.settings().offline:
        refuse_network(made, "proxy run")
    with about(config):
        code = run_behind(
            command, made, say=session.say, shared=Shared(key=secret_for(made)),
            worker_of=lambda name, options: plugin_worker(session, name, options),
        )  # fmt: skip
    raise typer.Exit(code)


def _names(judge: list[str] | None) -> set[str]:
    return {host.lower().replace(":", "-") for host in judge or ()}
