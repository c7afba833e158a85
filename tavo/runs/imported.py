"""Findings of other tools as a part of a run: read from SARIF files, judged like all others.

Rules this module keeps:
- files are read, and refused, before a run begins;
- a source file is only looked at below the root, and never through a link that leads out of it;
- each tool has a row in the run, with the digest of the file that it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from tavo.errors import ExitCode, InputError
from tavo.plugins import Severity
from tavo.results.imported.document import SarifFile, read_sarif
from tavo.results.imported.findings import read_run
from tavo.results.imported.places import Places, uri_of_folder
from tavo.results.store import ResultStore
from tavo.results.values import PluginRun
from tavo.runs.combined import CombinedRun
from tavo.runs.gate import GatePlan
from tavo.scan.files import SourceFile, UnreadableError, decode, read

__all__ = ["add_imported", "import_sarif", "read_all"]

_LARGEST = 2 << 20


def read_all(paths: Iterable[Path]) -> tuple[SarifFile, ...]:
    """Read SARIF files, each once. Raises InputError for the first that is refused."""
    files = [read_sarif(path) for path in dict.fromkeys(paths)]
    seen: dict[str, Path] = {}
    for file in files:
        first = seen.setdefault(file.digest, file.path)
        if first != file.path:
            raise InputError(
                f"{file.path}: is the same as {first}", hint="Name each file of results once."
            )
    return tuple(files)


def import_sarif(
    files: Sequence[SarifFile],
    store: ResultStore,
    *,
    root: Path,
    bases: Sequence[str] = (),
    command: Sequence[str] = (),
    fail_on: Severity = Severity.LOW,
    exit_zero: bool = False,
    gate: GatePlan | None = None,
) -> tuple[int, ExitCode]:
    """Make one run of the findings of other tools; return its number and its exit code.

    `gate` is what it is judged by besides `fail_on`.
    """
    run = CombinedRun(store, command=command, root=root, rules=0, largest=_LARGEST)
    add_imported(run, files, bases=bases)
    return run.id, run.finish(fail_on=fail_on, exit_zero=exit_zero, plan=gate)


def add_imported(
    run: CombinedRun, files: Sequence[SarifFile], *, bases: Sequence[str] = ()
) -> None:
    """Add what other tools found to a run. `bases` are what their machines called the root."""
    root = run.root.resolve()
    others = [uri_of_folder(run.root), *map(_uri_of, bases)]

    def text_of(path: PurePosixPath) -> str | None:
        file = _source_of(root, path)
        if file is None:
            return None
        try:
            content = decode(read(file, largest=_LARGEST))
        except UnreadableError:
            return None
        return content.data.decode("utf-8", "replace") if content.is_text else None

    for file in files:
        for value in file.runs:
            places = Places(value, root=uri_of_folder(root), bases=others, read=text_of)
            said = read_run(value, places)
            run.note(said.notices)
            found = {one.finding.location.path for one in said.reported}
            run.add_imported(
                said.reported,
                [one for path in found if (one := _source_of(root, path)) is not None],
                PluginRun(
                    plugin=said.tool, version=said.version, package=file.digest, sandbox="",
                    files=len(found), findings=len(said.reported),
                ),
            )  # fmt: skip


def _uri_of(base: str) -> str:
    """Return what `--base` names as a URI: it is one, or a folder of any machine."""
    if "://" in base:
        return base if base.endswith("/") else f"{base}/"
    folder = base.replace("\\", "/")
    return f"file:///{folder.strip('/')}/"


def _source_of(root: Path, path: PurePosixPath) -> SourceFile | None:
    """Return a regular file of the project, None for anything else."""
    try:
        real = (root / path).resolve(strict=True)
        if not real.is_relative_to(root) or not real.is_file():
            return None
    except (OSError, RuntimeError, ValueError):
        return None
    return SourceFile(real, path)
