"""`tavo proxy check`: recorded exchanges through a chain, as regression tests of a policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import session_of
from tavo.printable import counted, printable

if TYPE_CHECKING:
    from tavo.proxy.replay import Replayed

__all__ = ["register"]


def register(group: typer.Typer) -> None:
    """Add the command to its group."""
    group.command("check")(check)


def check(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="EXCHANGES...", help="JSON Lines, an audit log with texts, or HAR."),
    ],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The proxy.yaml to judge by.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="FILE", help="Write them with today's verdicts as expected."
        ),
    ] = None,
) -> None:
    """Replay recorded exchanges through a chain, without a network; exit 1 if a verdict differs."""
    import asyncio

    from tavo.cli.proxy import plugin_worker
    from tavo.errors import ExitCode, InputError, UsageError, about
    from tavo.proxy.config import load_config, read_config
    from tavo.proxy.recorded import Expected, line_of, read_recording
    from tavo.proxy.replay import replayed

    session = session_of(context)
    if config is None:
        raise UsageError(
            "proxy check: --config FILE is missing, the proxy.yaml whose filters are checked",
            hint="For example: tavo proxy check --config proxy.yaml exchanges.jsonl",
        )
    made = load_config(read_config(config), str(config), config.absolute().parent)
    prefixes = {name: one.prefix or f"/{name}" for name, one in made.upstreams.items()}
    recordings = [read_recording(path, prefixes) for path in files]
    exchanges = [one for recording in recordings for one in recording.exchanges]
    left_out: dict[str, int] = {}
    for recording in recordings:
        for why, count in recording.left_out.items():
            left_out[why] = left_out.get(why, 0) + count
    if not exchanges:
        why = "; ".join(f"{count} {text}" for text, count in left_out.items())
        raise InputError(
            f"proxy check: there is no exchange in {', '.join(map(str, files))}"
            + (f": {why}" if why else "")
        )

    async def main() -> list[Replayed]:
        worker_of = lambda name, options: plugin_worker(session, name, options)  # noqa: E731
        return [one async for one in replayed(made, exchanges, worker_of)]

    with about(config):
        done = asyncio.run(main())
    if session.json:
        session.print_json([_value(one) for one in done])
    else:
        for one in done:
            print(_line(one))
    wrong = sum(bool(one.wrong) for one in done)
    expected = sum(one.recorded.expect is not None for one in done)
    session.say(
        f"{counted(len(done), 'exchange')}: {expected - wrong} as expected, {wrong} not,"
        f" {len(done) - expected} without an expectation"
    )
    for text, count in left_out.items():
        session.say(f"  left out: {count} {text}")
    changed = sum(one.recorded.was == "modify" and one.verdict == "allow" for one in done)
    if changed:
        session.say(
            f"  {changed} were recorded behind filters that had changed them already;"
            " a log of a proxy that observes has what came"
        )
    if write is not None:
        from msgspec.structs import replace

        from signing.files import write_atomically

        lines = [
            line_of(
                one.recorded,
                replace(
                    one.recorded.expect or Expected(), verdict=one.verdict, code=one.code or None
                ),
            )
            for one in done
        ]
        try:
            write_atomically(write, b"".join(lines))
        except OSError as error:
            raise InputError(f"{write}: cannot be written: {error.strerror or error}") from error
        session.say(f"  wrote {write}")
    raise typer.Exit(ExitCode.FINDINGS if wrong else ExitCode.OK)


def _line(one: Replayed) -> str:
    recorded = one.recorded
    mark = "FAIL" if one.wrong else "ok  " if recorded.expect is not None else "    "
    parts = [f"{mark} {one.verdict:<6}  {recorded.where}  {recorded.name}"]
    if recorded.was and recorded.was != one.verdict:
        parts[0] += f"  (was {recorded.was})"
    if one.code:
        parts.append(f"{one.phase}: {one.reason} ({one.code})")
    parts += [
        f"{said.where}: {said.filter} {said.action} {said.detail}".rstrip() for said in one.said
    ]
    if one.unjudged:
        parts.append(f"not judged: {one.unjudged}")
    parts += [f"expected otherwise: {text}" for text in one.wrong]
    return "\n              ".join(printable(part) for part in parts)


def _value(one: Replayed) -> dict[str, Any]:
    import msgspec

    recorded = one.recorded
    return {
        "where": recorded.where, "name": recorded.name, "verdict": one.verdict, "code": one.code,
        "phase": one.phase, "said": msgspec.to_builtins(one.said), "unjudged": one.unjudged,
        "expected": recorded.expect is not None, "wrong": one.wrong,
    }  # fmt: skip
