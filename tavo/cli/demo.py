"""`tavo demo`: the whole product on the example agents, in a minute and without a network.

Rules this module keeps:
- every step is a command that the user can type, carried out by this tavo, and every figure is out
  of its report; nothing is prepared;
- the machine is as before: what is installed, is installed on the stage.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.errors import InputError, UsageError
from tavo.printable import counted, printable

if TYPE_CHECKING:
    from tavo.cli.demo_stage import Done, Stage

__all__ = ["ATTEMPTS", "Figures", "Step", "register"]

ATTEMPTS = 3
_STEPS = 6
_PLUGIN = "model-files"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the story: what was typed, what came out in one line, and its report."""

    title: str
    typed: str
    result: str
    report: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the story comes to."""

    findings: int
    models: int
    attempts: int
    worked_before: int
    worked_after: int
    blocked: int
    alarms: int


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the page.")
    ] = Path("tavo-demo.html"),
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """See all of it on example agents, in a minute, without a network."""
    from tavo.cli.demo_page import page
    from tavo.cli.demo_stage import Stage

    session = session_of(context)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise UsageError(
            f"demo: {output}: is {'a folder' if output.is_dir() else 'in no folder'}",
            hint="Name a file that is to be written, as with --output story.html.",
        )
    steps: list[Step] = []
    with _stopped_by_signals(), Stage() as stage:
        for step in _story(stage, session):
            steps.append(step)
            if not session.json:
                print(printable(f"{len(steps)}/{_STEPS}  {step.title}: {step.result}"), flush=True)
    figures = _figures(steps)
    from signing.files import write_atomically

    try:
        write_atomically(output, page(steps, figures).encode())
    except OSError as error:
        raise InputError(f"demo: {output}: cannot be written: {error.strerror}") from error
    if session.json:
        from dataclasses import asdict

        session.print_json({**asdict(figures), "page": str(output.absolute())})
    else:
        print(printable(f"{_STEPS}/{_STEPS}  The story, in one page: {output}"))
    if open_:
        import webbrowser

        if not webbrowser.open(output.absolute().as_uri()):
            session.say(f"No browser was found; open {output} in one.")


def _story(stage: Stage, session: Session) -> Iterator[Step]:
    def working(text: str) -> None:
        session.say(f"… {text}")

    working("scanning the example agent")
    scan = ("scan", "shop-agent", "--no-cache")
    report = ("--output", "json={}")
    yield _scanned(stage.run(*scan, report=report))

    working("installing a plugin from the catalog in this file, and scanning again")
    shown = stage.run("--json", "registry", "show", _PLUGIN)
    installed = stage.run("registry", "install", _PLUGIN, "--yes")
    again = stage.run(*scan, "--static-plugins", _PLUGIN, report=report)
    yield _with_plugin(installed, again, json.loads(shown.out))

    working("attacking an agent with flaws")
    agent, _ = stage.serve(["flawed-agent/agent.py", "--port", "0"], own=False, marks="listens at ")
    target = (stage.folder / "flawed-agent" / "target.yaml").read_text("utf-8")
    attack = ("--attempts", str(ATTEMPTS), "--no-early-stop", "--seed", "1")
    bare = stage.write("agent.yaml", _aimed(target, agent))
    before = stage.run("attack", bare, *attack, report=("--report", "{}"))
    yield _attacked("Attack the flawed agent", before)

    working("putting the proxy in front, and attacking again")
    audit = "audit.jsonl"
    config = (stage.folder / "flawed-agent" / "proxy.yaml").read_text("utf-8")
    proxy = stage.write("proxy.yaml", _proxied(config, agent, audit))
    address, server = stage.serve(
        ["proxy", "serve", "--config", proxy], own=True, marks="listens at "
    )
    guarded = stage.write("guarded.yaml", _aimed(target, f"{address}/v1"))
    after = stage.run("attack", guarded, *attack, report=("--report", "{}"))
    server.stop()
    rows = [json.loads(line) for line in (stage.folder / audit).read_text("utf-8").splitlines()]
    yield _guarded(after, rows, config)

    working("reading the proxy's log")
    logged = stage.run("logs", "analyze", audit, report=report)
    yield _analysed(logged, len(rows))


def _aimed(target: str, address: str) -> str:
    import re

    return re.sub(r"(?m)^url: .*$", f"url: {address}", target)


def _proxied(config: str, agent: str, audit: str) -> str:
    """Return the example's proxy.yaml for this agent, on any port, with texts in its log."""
    import re

    base = agent.removesuffix("/v1")
    config = re.sub(r'url: "[^"]*"', f'url: "{base}"', config)
    config = re.sub(r"(?m)^listen: .*$", "listen: {address: 127.0.0.1, port: 0}", config)
    return re.sub(r"(?m)^audit: .*$", f"audit: {{file: {audit}, texts: true}}", config)


def _scanned(done: Done) -> Step:
    return Step(
        title="Scan the example agent", typed=done.typed, result=_counts(done.report),
        report=done.report,
    )  # fmt: skip


def _with_plugin(installed: Done, again: Done, row: Mapping[str, Any]) -> Step:
    rows = [one for one in again.report["plugins"] if one["plugin"] == row["id"]]
    found = [one for one in again.report["findings"] if one["tool"] == row["id"]]
    return Step(
        title=f"Install {_PLUGIN} from the signed catalog",
        typed=f"{installed.typed} && {again.typed}",
        result=f"verified, sandbox {rows[0]['sandbox']}; {counted(len(found), 'more finding')}",
        report=again.report,
        more={"row": row, "found": found, "run": rows[0]},
    )


def _attacked(title: str, done: Done) -> Step:
    probes = [one for one in done.report["probes"] if one["tried"]]  # others are for other targets
    worked = [one for one in probes if one["worked"]]
    return Step(
        title=title, typed=done.typed,
        result=f"{_total(done.report, 'worked')} of {_total(done.report, 'tried')} attacks worked,"
        f" of {len(worked)} of {len(probes)} kinds",
        report={**done.report, "probes": probes},
    )  # fmt: skip


def _total(report: Mapping[str, Any], what: str) -> int:
    return sum(int(one[what]) for one in report["probes"])


def _guarded(after: Done, rows: list[Mapping[str, Any]], config: str) -> Step:
    step = _attacked("Put the proxy in front and attack again", after)
    ended = [row for row in rows if row["kind"] == "done"]
    blocked = [row for row in ended if row.get("verdict") == "block"]
    filters = Counter(
        said["filter"] for row in ended for said in row.get("said", ()) if said["action"] != "allow"
    )
    return Step(
        title=step.title,
        typed=f"tavo proxy serve --config proxy.yaml && {step.typed}",
        result=f"{step.result}; {len(blocked)} of {len(ended)} requests were blocked",
        report=step.report,
        more={"requests": len(ended), "blocked": len(blocked), "filters": dict(filters),
              "config": config},
    )  # fmt: skip


def _analysed(done: Done, rows: int) -> Step:
    return Step(
        title="Analyse the proxy's log", typed=done.typed,
        result=f"{_counts(done.report)} in {rows} lines", report=done.report,
    )  # fmt: skip


def _counts(report: Mapping[str, Any]) -> str:
    summary = report["summary"]
    severe = ", ".join(f"{n} {name}" for name, n in summary["by_severity"].items() if n)
    return counted(summary["findings"], "finding") + (f" ({severe})" if severe else "")


def _figures(steps: list[Step]) -> Figures:
    scan, plugin, before, after, logs = steps
    return Figures(
        findings=scan.report["summary"]["findings"],
        models=len(plugin.more["found"]),
        attempts=_total(before.report, "tried"),
        worked_before=_total(before.report, "worked"),
        worked_after=_total(after.report, "worked"),
        blocked=after.more["blocked"],
        alarms=logs.report["summary"]["findings"],
    )


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C, so that it leaves nothing running either."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
