"""The step of the Action, from the inputs to tavo's exit code.

Rules this module keeps:
- the file is checked before it runs, and what it does not know ends the step before a scan;
- one scan; every report is a view of what it stored;
- the step ends with tavo's code. What fails after the scan makes it worse, never better;
- nothing is written through a link that the scanned project brought along.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tavo_action.base import PROJECT_FILE, Base, base_of, name_inside
from tavo_action.errors import DEFECT, FAILED, INCOMPLETE, INTERRUPTED, USAGE, ActionError
from tavo_action.fetch import take_file
from tavo_action.inputs import Inputs, read_inputs, scan_words
from tavo_action.workflow import Workflow

__all__ = ["main"]

_ENDINGS = {
    "text": "txt", "json": "json", "sarif": "sarif", "junit": "xml", "markdown": "md",
    "html": "html", "github": "github.txt", "sqlite": "db", "ai-bom": "cdx.json",
}  # fmt: skip
_MEANINGS = {
    0: "nothing at or above the threshold",
    1: "findings at or above the threshold",
    2: "wrong inputs; nothing was started",
    3: "not done: an input, the network or a file to be written failed",
    4: "not complete: a file, rule or plugin failed; what was found is reported",
    5: "refused: a signature, digest, version or permission check failed",
    70: "a defect of tavo",
    130: "interrupted",
}
_ENDED = (0, 1, INCOMPLETE)
_MOST_SAID, _MOST_NAMED = 40, 10


def main(environment: Mapping[str, str] | None = None) -> int:
    """Run the step; return its exit code."""
    variables = os.environ if environment is None else environment
    if isinstance(sys.stdout, io.TextIOWrapper):  # the runner reads UTF-8, whatever the locale is
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    workflow = Workflow(variables)
    try:
        return _step(variables, workflow)
    except ActionError as error:
        return _stopped(workflow, error.code, f"{error}\n{error.hint}".strip())
    except OSError as error:
        return _stopped(workflow, FAILED, f"the step failed: {error}")
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001
        with workflow.foreign():
            traceback.print_exc(file=sys.stdout)
        return _stopped(workflow, DEFECT, f"a defect of the Action: {type(error).__name__}")


def _stopped(workflow: Workflow, code: int, message: str) -> int:
    workflow.say("error", message)
    try:
        workflow.output("exit-code", str(code))
        workflow.output("complete", "false")
    except OSError:
        pass  # the code says it too
    return code


def _step(variables: Mapping[str, str], workflow: Workflow) -> int:
    inputs = read_inputs(variables)
    workspace = Path(os.path.realpath(variables.get("GITHUB_WORKSPACE") or os.curdir))
    folder = Path(tempfile.mkdtemp(prefix="tavo-", dir=variables.get("RUNNER_TEMP") or None))
    tavo = Tavo(folder / "tavo.pyz", workspace, workflow)
    take_file(inputs.tavo, inputs.sha256, tavo.file, folder=workspace)
    workflow.output("tavo-file", str(tavo.file))
    wanted = _formats(inputs)
    tavo.check_formats(wanted, folder / "no.db")
    sarif = _sarif_place(inputs.sarif_file, workspace)
    inputs, diff = _judged_by_base(inputs, variables, workspace, folder, tavo)
    if inputs.lock:
        _install(inputs, tavo)
    store = folder / "results.db"
    code = tavo.show(*scan_words(inputs, store=str(store), diff=diff))
    ended = code in _ENDED and store.exists()
    if ended:
        try:
            _reports(inputs, wanted, tavo, store, sarif, code)
        except (ActionError, OSError) as error:
            hint = getattr(error, "hint", "")
            workflow.say("error", f"a report failed: {error}\n{hint}".strip())
            workflow.output("complete", "false")
            code = code if code > 1 else getattr(error, "code", FAILED)
    else:
        code = code or FAILED
        workflow.say("error", tavo.last_words or f"tavo ended with {code}: {_meaning(code)}")
        workflow.output("complete", "false")
        if inputs.summary:
            workflow.summary(f"**tavo: exit code {code}**, {_meaning(code)}\n")
    workflow.output("exit-code", str(code))
    return code


def _meaning(code: int) -> str:
    return _MEANINGS.get(code, "an exit code that tavo does not have")


# -- what judges


def _judged_by_base(
    inputs: Inputs, variables: Mapping[str, str], workspace: Path, folder: Path, tavo: Tavo
) -> tuple[Inputs, str]:
    """Return the inputs with the files of the base in the places of the pull request's own."""
    named = [
        *inputs.policy, *inputs.policy_data, *inputs.rules, inputs.baseline, inputs.suppressions,
        inputs.plugin_config, inputs.lock, inputs.target if _is_file(inputs.target) else "",
    ]  # fmt: skip
    uses_files = os.path.lexists(workspace / PROJECT_FILE) or any(
        name_inside(workspace, name) for name in named if name
    )
    from_base = inputs.gate_from_base and uses_files
    if not from_base and inputs.diff != "base":
        return inputs, inputs.diff
    base = base_of(variables, workspace, folder / "base")
    if base is None:
        return inputs, "" if inputs.diff == "base" else inputs.diff
    if from_base:
        inputs = _taken(inputs, base)
        if settings := base.settings():
            tavo.options = ("--config", settings)
        if base.differs:
            tavo.workflow.say(
                "notice",
                f"this pull request changes {', '.join(base.differs)}; it is judged by what"
                f" {base.commit[:12]} has under these names",
            )
    if ignores := base.ignores():
        tavo.workflow.say(
            "warning", f"this pull request changes what is looked at: {', '.join(ignores[:20])}"
        )
    return inputs, base.revision if inputs.diff == "base" else inputs.diff


def _taken(inputs: Inputs, base: Base) -> Inputs:
    def one(named: str, what: str) -> str:
        return base.take(named, what) if named else ""

    return replace(
        inputs,
        policy=tuple(one(named, "policy") for named in inputs.policy),
        policy_data=tuple(one(named, "policy-data") for named in inputs.policy_data),
        rules=tuple(one(named, "rules") for named in inputs.rules),
        baseline=one(inputs.baseline, "baseline"),
        suppressions=one(inputs.suppressions, "suppressions"),
        plugin_config=one(inputs.plugin_config, "plugin-config"),
        lock=one(inputs.lock, "lock"),
        target=one(inputs.target, "target") if _is_file(inputs.target) else inputs.target,
    )


def _is_file(target: str) -> bool:
    return bool(target) and "://" not in target


def _install(inputs: Inputs, tavo: Tavo) -> None:
    words = ["registry", "install", "-r", inputs.lock, "--yes"]
    words += [f"--grant={word}" for word in inputs.grants]
    words += [f"--mirror={inputs.mirror}"] if inputs.mirror else []
    code = tavo.show(*words)
    if code != 0:
        raise ActionError(
            tavo.last_words or f"the plugins of {inputs.lock} were not installed",
            code=code if code in _MEANINGS else FAILED,
        )


# -- reports


def _formats(inputs: Inputs) -> dict[str, str]:
    """Return the formats of tavo that are needed, and which input asks for each."""
    wanted = dict.fromkeys(inputs.formats, "formats")
    if inputs.sarif_file or inputs.upload_sarif:
        wanted.setdefault("sarif", "sarif-file" if inputs.sarif_file else "upload-sarif")
    if inputs.annotate:
        wanted.setdefault("github", "annotate")
    if inputs.summary:
        wanted.setdefault("markdown", "summary")
    return wanted


def _sarif_place(named: str, workspace: Path) -> Path | None:
    """Return where the SARIF report goes. Raises ActionError for a way out of the workspace."""
    if not named:
        return None
    place = workspace / named
    parent = Path(os.path.realpath(place.parent))
    if not Path(named).is_absolute() and not parent.is_relative_to(workspace):
        raise ActionError(
            f"sarif-file: {named} leads out of the workspace, through a link or `..`",
            hint="Name a folder of the runner, such as ${{ runner.temp }}, by its whole path.",
        )
    if place.name in {"", ".."} or not parent.is_dir():
        raise ActionError(f"sarif-file: {named}: the folder is not there")
    return parent / place.name


def _reports(
    inputs: Inputs,
    wanted: Mapping[str, str],
    tavo: Tavo,
    store: Path,
    sarif: Path | None,
    code: int,
) -> None:
    """Write every report. Raises ActionError if one fails."""
    workflow = tavo.workflow
    run = json.loads(tavo.ask("results", "export", "--store", str(store), "--format", "json"))
    workflow.output("findings", str(run["summary"]["findings"]))
    workflow.output("complete", "true" if run["run"]["complete"] else "false")
    if code == INCOMPLETE and not inputs.annotate:  # else the annotations begin with it
        undone = [one for one in run["not_done"] if one["incomplete"] and not one.get("allowed")]
        lines = [f"{x['kind']} {x['subject']}: {x['reason']}" for x in undone[:_MOST_NAMED]]
        if len(undone) > len(lines):
            lines.append(f"and {len(undone) - len(lines)} more, see the report")
        workflow.say("error", "\n".join(["the scan is not complete:", *lines]))
    folder = store.parent / "reports"
    folder.mkdir()
    files: list[Path] = []
    for kind, asked_by in wanted.items():
        if kind == "sqlite":
            shutil.copyfile(store, folder / "tavo.db")
            files.append(folder / "tavo.db")
            continue
        text = tavo.ask("results", "export", "--store", str(store), "--format", kind)
        if kind == "sarif":
            text = _in_category(text, inputs.category)
        if asked_by not in {"annotate", "summary"}:
            name = f"tavo.{_ENDINGS.get(kind, kind)}"
            path = sarif if kind == "sarif" and sarif is not None else folder / name
            _write(path, text)
            files.append(path)
            if kind == "sarif":
                workflow.output("sarif-file", str(path))
        if kind == "github" and inputs.annotate:
            workflow.annotate(text.decode("utf-8", "replace"))
        if kind == "markdown" and inputs.summary:
            head = f"**tavo: exit code {code}**, {_meaning(code)}\n\n"
            workflow.summary(head + text.decode("utf-8", "replace"))
    workflow.output("report-files", "\n".join(map(str, files)))
    workflow.output("report-folder", str(folder))


def _in_category(sarif: bytes, category: str) -> bytes:
    """Return the report under this category; GitHub takes the one inside before that beside it."""
    if category == "tavo":
        return sarif
    value = json.loads(sarif)
    for run in value["runs"]:
        run["automationDetails"]["id"] = f"{category}/"
    return json.dumps(value, indent=1).encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file in one go; a link of that name is replaced, not followed."""
    handle, partial = tempfile.mkstemp(prefix=".tavo-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    except OSError:
        Path(partial).unlink(missing_ok=True)
        raise


# -- the program


class Tavo:
    """The checked file, run by this interpreter in the workspace."""

    def __init__(self, file: Path, workspace: Path, workflow: Workflow) -> None:
        self.file = file
        self.workflow = workflow
        self.options: tuple[str, ...] = ()
        self.last_words = ""
        self._workspace = workspace
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("INPUT_")}

    def show(self, *words: str) -> int:
        """Run a command, and show what it prints as it prints it; return its exit code."""
        said: list[str] = []
        with self.workflow.foreign(), self._start(words, subprocess.PIPE) as running:
            assert running.stderr is not None  # noqa: S101
            for line in running.stderr:
                # Of two pipes the runner could read this one later, when commands work again.
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
                said = [*said[-_MOST_SAID:], line.decode("utf-8", "replace").rstrip()]
            code = running.wait()
        self.last_words = "\n".join(_sentence(said))
        return code if code >= 0 else 128 - code

    def ask(self, *words: str) -> bytes:
        """Return what a command prints. Raises ActionError if it fails."""
        done = subprocess.run(
            self._command(words), cwd=self._workspace, env=self._environment, check=False,
            capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode == 0:
            return done.stdout
        said = _sentence(done.stderr.decode("utf-8", "replace").splitlines())
        raise ActionError(
            "\n".join(said) or f"tavo {words[0]} ended with {done.returncode}",
            code=done.returncode if done.returncode in _MEANINGS else FAILED,
        )

    def check_formats(self, wanted: Mapping[str, str], no_store: Path) -> None:
        """Raise ActionError for a format that this tavo.pyz does not have."""
        for kind, asked_by in wanted.items():
            if kind == "sqlite":
                continue
            done = subprocess.run(
                self._command(("results", "export", "--store", str(no_store), "--format", kind)),
                cwd=self._workspace, env=self._environment, check=False, capture_output=True,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            # It refuses what it does not know, before it looks for the store, which is not there.
            if done.returncode == USAGE:
                raise ActionError(
                    f"this tavo.pyz has no format {kind}, which the input {asked_by} asks for",
                    hint="Take a newer tavo.pyz, or change that input.",
                )
            if done.returncode != FAILED:
                said = done.stderr.decode("utf-8", "replace").strip()[-2000:]
                raise ActionError(f"tavo.pyz does not work here: {said}", code=FAILED)

    def _start(self, words: Sequence[str], errors: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(words), cwd=self._workspace, env=self._environment, stderr=errors,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def _command(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-I", "-S", str(self.file), *self.options, *words]


def _sentence(lines: Sequence[str]) -> list[str]:
    """Return the error of tavo among its last lines: from `tavo: ` on."""
    starts = [number for number, line in enumerate(lines) if line.startswith("tavo: ")]
    return list(lines[starts[-1] :]) if starts else list(lines[-3:])
