"""`tavo results`: the runs of a result store, listed, shown again, exported; and all reports.

Rules this module keeps:
- what cannot be written is refused before a scan starts, and one report that fails keeps no other
  from being written.
"""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, assert_never

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.render import columns, styled, table, wants_color
from tavo.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from tavo.results.store import ResultStore
    from tavo.results.values import Run

__all__ = ["Format", "Output", "ReportFormat", "Reports", "register", "reports_of", "write_reports"]


class Format(enum.StrEnum):
    """The formats of a report."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    OCSF = "ocsf"
    GITHUB = "github"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    HTML = "html"
    SQLITE = "sqlite"
    BASELINE = "baseline"
    AI_BOM = "ai-bom"


ReportFormat = Annotated[
    Format | None, typer.Option("--format", help="The report's format; default: text.")
]
Output = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        metavar="[FORMAT=]FILE",
        help="Write a report to a file; may be repeated with FORMAT=.",
    ),
]


class Reports:
    """The reports that were asked for: one for standard output or none, and those in files."""

    def __init__(self, printed: Format | None, files: Sequence[tuple[Format, Path]]) -> None:
        self.printed, self.files = printed, tuple(files)


Store = Annotated[Path, typer.Option("--store", metavar="FILE", help="The result store.")]
RunNumber = Annotated[int | None, typer.Argument(metavar="[RUN]", help="Default: the newest.")]
_DEFAULT = Path("results.db")


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    from tavo.cli.results_import import import_results

    group = typer.Typer(help="Stored results of scans.", no_args_is_help=True)
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("export")(export)
    group.command("import")(import_results)
    app.add_typer(group, name="results")


def list_runs(context: typer.Context, store: Store = _DEFAULT) -> None:
    """List the runs of a store, the newest first."""
    from tavo.results.store import ResultStore

    session = session_of(context)
    with ResultStore(store, must_exist=True) as opened:
        runs = opened.runs()
    if session.json:
        session.print_json(
            [
                {"id": run.id, "uuid": run.uuid, "started_at": run.info.started_at,
                 "complete": run.complete, "exit_code": run.exit_code, "files": run.files,
                 "findings": run.findings, "root": run.info.root}
                for run in runs
            ]
        )  # fmt: skip
        return
    if not runs:
        session.say(f"{store} holds no run.")
    table(
        ("run", "started", "complete", "files", "findings", "root"),
        [
            (str(run.id), run.info.started_at[:19], "yes" if run.complete else "NO",
             str(run.files), str(run.findings), run.info.root)
            for run in runs
        ],
        color=session.color,
    )  # fmt: skip


def show(context: typer.Context, run: RunNumber = None, store: Store = _DEFAULT) -> None:
    """Show the report of a run again."""
    _export(context, store, run, Reports(Format.TEXT, ()))


def export(
    context: typer.Context,
    run: RunNumber = None,
    store: Store = _DEFAULT,
    format: Annotated[  # noqa: A002
        Format | None, typer.Option("--format", help="The report's format; default: json.")
    ] = None,
    output: Output = None,
) -> None:
    """Write a run in other formats to standard output or to files."""
    printed = None if output else Format.JSON
    _export(context, store, run, reports_of(format, output, printed=printed, save=store))


def reports_of(
    kind: Format | None, outputs: Sequence[str] | None, *, printed: Format | None,
    save: Path | None = None,
) -> Reports:  # fmt: skip
    """Return what --format and --output ask for; `printed` is the format without --format.

    `FILE` takes the report of --format away from standard output, `FORMAT=FILE` is one more. Raises
    UsageError for what is unclear or cannot be written.
    """
    if kind is Format.AI_BOM or any(one.startswith("ai-bom=") for one in outputs or ()):
        raise UsageError(
            "a bill of materials is made from a project, not from results",
            hint="Use `tavo scan PATH --format ai-bom`, with --output FILE for a file.",
        )
    files: list[tuple[Format, Path]] = []
    plain = None
    for given in outputs or ():
        name, mark, path = given.partition("=")
        if mark and (not name or name.replace("-", "").isalnum()):
            files.append((_format(name, given), writable(path, given)))
        elif plain is not None:
            raise UsageError(
                f"--output {given}: a second file, after {plain}, without the name of its format",
                hint=f"Name it, as in `--output html={given}`.",
            )
        elif kind is None:
            raise UsageError(
                f"--output {given}: does not say which format",
                hint=f"Name it, as in `--output html={given}`, or with --format.",
            )
        else:
            plain = given
            files.append((kind, writable(given, given)))
    taken = [*([save] if save is not None else []), *(path for _, path in files)]
    seen: set[Path] = set()
    for one in taken:
        if one.absolute() in seen:
            raise UsageError(
                f"{one}: is named for two reports", hint="Give each one a file of its own."
            )
        seen.add(one.absolute())
    for made, place in files:
        if made is Format.SQLITE:
            from tavo.results.store_file import check_replaced

            check_replaced(place)
    shown = None if plain is not None else kind or printed
    if shown is Format.SQLITE:
        raise UsageError(
            "--format sqlite: a database cannot be printed",
            hint="Name a file: `--output sqlite=results.db`.",
        )
    return Reports(shown, files)


def _format(name: str, given: str) -> Format:
    try:
        return Format(name)
    except ValueError:
        import difflib

        near = difflib.get_close_matches(name, [one.value for one in Format], n=1)
        raise UsageError(
            f"--output {given}: {name!r} is no format",
            hint=f"Did you mean {near[0]}?" if near else
            f"Formats are {', '.join(Format)}; a file with `=` in its name is `./{given}`.",
        ) from None  # fmt: skip


def writable(path: str, given: str) -> Path:
    """Return the path of a report. Raises UsageError if no file can be put there."""
    place = Path(path)
    reason = ""
    if not path:
        reason = "names no file"
    elif place.is_symlink():
        # In a scanned project a link could choose where we write.
        reason = f"{path} is a symbolic link, reports are not written through one"
    elif place.is_dir() or path.endswith(("/", os.sep)):
        reason = f"{path} is a folder"
    elif place.exists() and not place.is_file():
        reason = f"{path} is not an ordinary file"
    else:
        folder = next((one for one in place.absolute().parents if one.exists()), place)
        if not folder.is_dir():
            reason = f"{folder} is not a folder"
        elif not os.access(folder, os.W_OK):
            reason = f"the folder {folder} cannot be written"
    if reason:
        raise UsageError(f"--output {given}: {reason}", hint="Name a file in a folder of yours.")
    return place


def write_reports(store: ResultStore, run_id: int, reports: Reports, session: Session) -> ExitCode:
    """Print and write the reports of a run; return FAILED if a file could not be written."""
    code = ExitCode.OK
    for kind, path in reports.files:
        from signing.files import write_atomically

        try:
            write_atomically(path, _report(store, run_id, kind, path))
        except (OSError, InputError) as error:
            code = ExitCode.FAILED
            why = getattr(error, "strerror", None) or error
            session.complain(f"{path}: the report cannot be written: {why}")
        else:
            session.say(f"tavo: {kind.value} report in {path}")
    if reports.printed is Format.TEXT:
        from tavo.results.export.text import run_to_lines

        run = store.run(run_id)
        colored = wants_color(sys.stdout, allowed=session.color)
        for line in run_to_lines(
            run, store.findings(run_id), width=columns(), verbose=session.verbose
        ):
            print(styled(line, color=colored).rstrip())
    elif reports.printed is not None:
        print(_report(store, run_id, reports.printed, None).decode("utf-8"), end="")
    if reports.printed is not Format.TEXT:
        _say_incomplete(store.run(run_id), session)
    return code


def _say_incomplete(run: Run, session: Session) -> None:
    """Say in one line why a run is not complete to whoever does not see its text report."""
    missing = [notice for notice in run.notices if notice.incomplete and not notice.allowed]
    if missing:
        from tavo.results.export.text_gate import last_line

        for line in last_line(missing, lambda text, _indent, style: iter([((style, text),)])):
            session.complain("".join(text for _, text in line))


def _report(store: ResultStore, run_id: int, kind: Format, path: Path | None) -> bytes:
    """Return the report of a run. Exporters are imported for what they are asked."""
    if kind is Format.SQLITE:
        from tavo.results.export.sqlite import run_to_sqlite

        return run_to_sqlite(store, run_id)
    run = store.run(run_id)
    findings = store.findings(run_id)
    if kind is Format.JSON:
        from tavo.results.export.json import run_to_json

        text = run_to_json(run, findings)
    elif kind is Format.SARIF:
        from tavo.results.export.sarif import run_to_sarif

        text = run_to_sarif(run, findings)
    elif kind is Format.OCSF:
        from tavo.results.export.ocsf import run_to_ocsf

        text = run_to_ocsf(run, findings)
    elif kind is Format.JUNIT:
        from tavo.results.export.junit import run_to_junit

        text = run_to_junit(run, findings)
    elif kind is Format.GITHUB:
        from tavo.results.export.github import run_to_github

        text = run_to_github(run, findings, prefix=_checkout(run.info.root)[0])
    elif kind is Format.MARKDOWN:
        from tavo.results.export.markdown import COMMENT, SUMMARY, run_to_markdown

        step = os.environ.get("GITHUB_STEP_SUMMARY")
        limit = SUMMARY if step and path == Path(step) else COMMENT
        prefix, files = _checkout(run.info.root)
        below = f"{files}{prefix}" if files else ""
        text = run_to_markdown(run, findings, files=below, limit=limit)
    elif kind is Format.HTML:
        from tavo.results.export.html import run_to_html

        text = run_to_html(run, findings)
    elif kind is Format.BASELINE:
        from tavo.results.baseline import baseline_text

        text = baseline_text(run, findings)
    elif kind is Format.TEXT or kind is Format.AI_BOM:  # which is refused before
        from tavo.results.export.text import run_to_lines

        text = "\n".join(styled(line, color=False).rstrip() for line in run_to_lines(run, findings))
    else:
        assert_never(kind)
    text = text.rstrip()
    return f"{text}\n".encode("utf-8", "backslashreplace") if text else b""


def _checkout(root: str) -> tuple[str, str]:
    """Return where a folder is in the repository that a CI system checked out, and where to see it.

    The first, such as `services/api/`, is empty at its root; the second is the address of the
    commit's files, empty where none is known.
    """
    known = os.environ.get
    if known("GITHUB_ACTIONS"):
        top = known("GITHUB_WORKSPACE", "")
        parts = [known(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "SHA")]
        address = f"{parts[0]}/{parts[1]}/blob/{parts[2]}/" if all(parts) else ""
    elif known("GITLAB_CI"):
        top = known("CI_PROJECT_DIR", "")
        parts = [known("CI_PROJECT_URL", ""), known("CI_COMMIT_SHA", "")]
        address = f"{parts[0]}/-/blob/{parts[1]}/" if all(parts) else ""
    else:
        return "", ""
    path = os.path.relpath(os.path.realpath(root), os.path.realpath(top)) if top else "."
    path = path.replace(os.sep, "/")
    if path == ".." or path.startswith("../"):
        return "", ""
    return ("" if path == "." else f"{path}/"), address


def _export(context: typer.Context, path: Path, run: int | None, reports: Reports) -> None:
    from tavo.results.store import ResultStore

    session = session_of(context)
    with ResultStore(path, must_exist=True) as store:
        code = write_reports(store, store.run(run).id, reports, session)
    if code is not ExitCode.OK:
        raise typer.Exit(int(code))
