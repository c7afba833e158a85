"""`tavo registry` execute, executions, cancel, targets and statement: runs at a marketplace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.registry_service import At, TokenFile
from tavo.cli.render import table
from tavo.errors import ExitCode, InputError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.registry.marketplace import Marketplace

__all__ = ["cancel", "execute", "executions", "statement", "targets"]

_LOOK_S = 2.0
_ENDED = frozenset({"done", "failed", "cancelled"})
RunId = Annotated[str, typer.Argument(metavar="ID", help="The id of a run.")]


def execute(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="publisher/name, or name.")],
    target: Annotated[
        str, typer.Option("--target", metavar="NAME", help="A target of `tavo registry targets`.")
    ],
    at: At,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Default: the newest.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--plugin-config", metavar="FILE", help="YAML for the plugin.")
    ] = None,
    key: Annotated[
        str,
        typer.Option("--key", metavar="TEXT", help="The same key again is the same run."),
    ] = "",
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="Wait for its end, at most so long.")
    ] = 0.0,
    token_file: TokenFile = None,
) -> None:
    """Have a marketplace attack a registered target with a plugin; 1 if something was found."""
    import secrets

    from marketplace_db.catalog import full_id_of

    session = session_of(context)
    chosen = key or secrets.token_hex(16)
    settings = _config(config)
    with _at(session, at, token_file) as place:
        run = place.execute(
            full_id_of(plugin), target=target, key=chosen, version=version, config=settings
        )
        end = time.monotonic() + wait
        while str(run.get("state")) not in _ENDED and time.monotonic() < end:
            time.sleep(min(_LOOK_S, max(0.0, end - time.monotonic())))
            run = place.execution(str(run.get("id")))
        found = place.result(str(run.get("id"))) if run.get("state") == "done" else None
    if session.json:
        session.print_json({"execution": run, "result": found})
    else:
        _show(session, run, found)
    _leave(run, found)


def executions(
    context: typer.Context,
    at: At,
    identifier: Annotated[
        str, typer.Argument(metavar="[ID]", help="One of them, with what it found.")
    ] = "",
    token_file: TokenFile = None,
) -> None:
    """List your organisation's runs at a marketplace, or show one with its result."""
    session = session_of(context)
    with _at(session, at, token_file) as place:
        if identifier:
            run = place.execution(identifier)
            has = run.get("result_until") is not None
            found = place.result(identifier) if has else None
            if session.json:
                session.print_json({"execution": run, "result": found})
            else:
                _show(session, run, found)
            return
        runs = place.executions()
    if session.json:
        session.print_json(runs)
        return
    if not runs:
        session.say("Your organisation has had nothing run there.")
    table(
        ("id", "plugin", "version", "target", "state", "findings", "cost", "asked"),
        [
            tuple(printable(str(value)) for value in (
                one.get("id"), one.get("plugin"), one.get("version"), one.get("target"),
                one.get("state"), one.get("findings"), _cost(one), one.get("asked_at"),
            ))
            for one in runs
        ],
        color=session.color,
    )  # fmt: skip


def cancel(context: typer.Context, identifier: RunId, at: At, token_file: TokenFile = None) -> None:
    """Cancel a run: one that waits at once, one that runs within seconds."""
    session = session_of(context)
    with _at(session, at, token_file) as place:
        run = place.cancel(identifier)
    if session.json:
        session.print_json(run)
        return
    state = "is being cancelled" if run.get("cancelling") else f"is {run.get('state')}"
    print(printable(f"{run.get('id')} {state}."))


def targets(context: typer.Context, at: At, token_file: TokenFile = None) -> None:
    """List what the operator of a marketplace lets your organisation have attacked."""
    session = session_of(context)
    with _at(session, at, token_file) as place:
        found = place.targets()
    if session.json:
        session.print_json(found)
        return
    if not found:
        session.say("The operator has registered no target for your organisation.")
    table(
        ("target", "address", "since"),
        [
            (printable(str(one.get("name"))), printable(str(one.get("url"))),
             printable(str(one.get("created_at"))))
            for one in found
        ],
        color=session.color,
    )  # fmt: skip


def statement(
    context: typer.Context,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-11.")],
    at: At,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Default: stdout.")
    ] = None,
    token_file: TokenFile = None,
) -> None:
    """Write what your organisation's runs used and cost in a month, as CSV."""
    from tavo.cli.market_execute import write_csv

    session = session_of(context)
    with _at(session, at, token_file) as place:
        text = place.statement(month)
    write_csv(text, output)


def _at(session: Session, at: str, token_file: Path | None) -> Marketplace:
    from tavo.registry.marketplace import Marketplace, read_token

    return Marketplace(at, read_token(token_file), offline=session.settings().offline)


def _config(path: Path | None) -> dict[str, Any]:
    """Read the plugin's configuration. Raises InputError, UsageError."""
    if path is None:
        return {}
    from marketplace_db.strict_yaml import load_yaml

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    value = load_yaml(data, name=str(path), limit=64 << 10)
    if not isinstance(value, dict):
        raise UsageError(f"{path}: expected keys and values")
    return value


def _cost(run: dict[str, Any]) -> str:
    cost = run.get("cost") or {}
    if not cost.get("billed"):
        return "nothing"
    return f"{cost.get('amount')} {cost.get('currency')}"


def _show(session: Session, run: dict[str, Any], found: dict[str, Any] | None) -> None:
    used = run.get("used") or {}
    print(printable(
        f"{run.get('plugin')} {run.get('version')} against {run.get('target')}: {run.get('state')},"
        f" run {run.get('id')}"
    ))  # fmt: skip
    if run.get("outcome"):
        print(printable(f"  {run.get('outcome')}"))
    if str(run.get("state")) not in _ENDED:
        session.say(f"Ask again: `tavo registry executions {printable(str(run.get('id')))}`.")
        return
    print(printable(
        f"  {used.get('requests')} requests, {int(used.get('cpu_ms') or 0) / 1000:.2f} s of CPU,"
        f" {int(used.get('wall_ms') or 0) / 1000:.1f} s, sandbox {run.get('sandbox') or 'none'};"
        f" costs {_cost(run)}"
    ))  # fmt: skip
    if found is None:
        return
    for one in found.get("findings") or []:
        print(printable(f"  {one.get('severity')}: {one.get('message')}"))
    if not found.get("findings"):
        print("  Nothing was found.")
    if found.get("truncated"):
        session.say("tavo: findings are left out: the result is bounded by the operator.")


def _leave(run: dict[str, Any], found: dict[str, Any] | None) -> None:
    """End with the exit code of a scan: 1 for findings, 4 for what is not complete."""
    state = run.get("state")
    if state == "failed":
        raise typer.Exit(ExitCode.FAILED)
    if state == "cancelled" or (state == "done" and not run.get("complete")):
        raise typer.Exit(ExitCode.INCOMPLETE)
    if found is not None and found.get("findings"):
        raise typer.Exit(ExitCode.FINDINGS)
