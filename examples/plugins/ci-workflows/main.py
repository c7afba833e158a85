"""Audits GitHub Actions workflows with zizmor (MIT), which comes with this plugin.

The host reads the files and runs the program in the sandbox, without a network; the worker makes
the batches and reads the answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tavo.plugins import (
    Confidence,
    ConfigError,
    Context,
    Finding,
    Location,
    ProgramError,
    ProjectFileError,
    Region,
    Rule,
    Severity,
    StaticAnalysisPlugin,
)

_SUFFIXES = frozenset({".yml", ".yaml"})
_MOST_FILES, _MOST_BYTES = 50, 1 << 20  # of one run, whose report may have 8 MB
_LARGEST = 1_000_000
_ARGUMENTS = ("--offline", "--quiet", "--no-progress", "--no-exit-codes", "--strict-collection",
              "--collect", "all", "--format", "json-v1")  # fmt: skip
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_. -]{0,79}")
_CAUSE = re.compile(r"^ *\d+: ", re.MULTILINE)
# Keys at the top of a document, in the block style or the flow style of YAML.
_TOP = rb"""(?m)(?:^|[{,][ ]*)["']?%s["']?[ ]*:"""
_WORKFLOW = (re.compile(_TOP % b"on"), re.compile(_TOP % b"jobs"))
_DEPENDABOT = (re.compile(_TOP % b"updates"), re.compile(_TOP % b"version"))


def _rule(name: str, title: str, severity: Severity, cwe: str = "") -> Rule:
    return Rule(
        id=f"zizmor-{name}", title=title, severity=severity, cwe=(cwe,) if cwe else (),
        help=f"What can happen, and how to mend it, with an example:"
        f" https://docs.zizmor.sh/audits/#{name} . Where it is meant, say so in that line:"
        f" `# zizmor: ignore[{name}]`.",
        references=(f"https://docs.zizmor.sh/audits/#{name}",), tags=("zizmor", "ci"),
    )  # fmt: skip


_H, _M, _L, _I = Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.INFO
_RULES = (
    _rule("adhoc-packages", "Step installs packages outside of a lock file", _L, "CWE-1357"),
    _rule("anonymous-definition", "Workflow or action has no name", _I),
    _rule("archived-uses", "Action comes from an archived repository", _M, "CWE-1104"),
    _rule("artipacked", "Checkout leaves its token on the disk", _M, "CWE-522"),
    _rule("bot-conditions", "Condition asks for an actor that others can pose as", _H, "CWE-290"),
    _rule("cache-poisoning", "Release is built from a cache that others can fill", _H, "CWE-349"),
    _rule("concurrency-limits", "Runs of the workflow are not limited", _L, "CWE-770"),
    _rule("dangerous-triggers", "Trigger gives a stranger's change the secrets", _H, "CWE-863"),
    _rule("dependabot-cooldown", "Dependabot takes releases on their first day", _M, "CWE-1357"),
    _rule("dependabot-execution", "Dependabot may run code of dependencies", _H, "CWE-829"),
    _rule("excessive-permissions", "Token of a workflow may do too much", _M, "CWE-250"),
    _rule("forbidden-uses", "Action is one that your settings forbid", _H),
    _rule("github-app", "Token of a GitHub App may do too much", _M, "CWE-250"),
    _rule("github-env", "Step writes text of others into its environment file", _H, "CWE-77"),
    _rule("hardcoded-container-credentials", "Container has its password in the workflow", _H,
          "CWE-798"),
    _rule("insecure-commands", "Workflow commands in output are obeyed", _H, "CWE-77"),
    _rule("insecure-url-scheme", "Address without encryption", _M, "CWE-319"),
    _rule("misfeature", "Feature of GitHub Actions that is better left alone", _L),
    _rule("obfuscation", "Expression or name of an action is disguised", _L, "CWE-506"),
    _rule("overprovisioned-secrets", "Job gets all secrets instead of those it needs", _M,
          "CWE-272"),
    _rule("secrets-inherit", "Called workflow inherits all secrets", _M, "CWE-272"),
    _rule("secrets-outside-env", "Secret is used outside of an environment", _M, "CWE-522"),
    _rule("self-hosted-runner", "Job runs on a runner of your own", _M, "CWE-653"),
    _rule("self-repository", "Action of the own repository is named as one of others", _I),
    _rule("superfluous-actions", "Action does what the runner does already", _I, "CWE-1357"),
    _rule("template-injection", "Expression is pasted into code that runs", _H, "CWE-94"),
    _rule("typosquat-uses", "Action's name looks like that of a known one", _H, "CWE-506"),
    _rule("undocumented-permissions", "Permission without a comment that says why", _I),
    _rule("unpinned-images", "Image is not pinned to a digest", _H, "CWE-829"),
    _rule("unpinned-tools", "Action installs a tool in whatever version there is", _M, "CWE-829"),
    _rule("unpinned-uses", "Action is not pinned to a commit", _H, "CWE-829"),
    _rule("unredacted-secrets", "Part of a secret is not covered in logs", _M, "CWE-532"),
    _rule("unsound-condition", "Condition is always true", _H, "CWE-670"),
    _rule("unsound-contains", "Condition holds for parts of a name", _H, "CWE-185"),
    _rule("unsound-ternary", "Expression with && and || gives the wrong value", _L, "CWE-670"),
    _rule("use-trusted-publishing", "Package is published with a password", _I, "CWE-522"),
)  # fmt: skip
_OTHER = Rule(
    id="zizmor-other", title="An audit of zizmor that this plugin does not know found something",
    severity=_M, help="The name of the audit is in front of the message.",
    references=("https://docs.zizmor.sh/audits/",), tags=("zizmor", "ci"),
)  # fmt: skip
_BY_ID = {rule.id: rule for rule in (*_RULES, _OTHER)}
_SEVERITIES = {"high": _H, "medium": _M, "low": _L, "informational": _I}
_CONFIDENCES = {
    "high": Confidence.HIGH, "medium": Confidence.MEDIUM, "low": Confidence.LOW
}  # fmt: skip


class CiWorkflows(StaticAnalysisPlugin):
    """Has zizmor look at the workflows, actions and Dependabot settings of a project."""

    rules = (*_RULES, _OTHER)

    def start(self, context: Context) -> None:
        """Keep what is lent. Raises ConfigError for a file of settings outside of the project."""
        self._context = context
        self._timeout_s = float(context.config.get("timeout_s", 120))
        self._persona = context.config.get("persona", "regular")
        self._ignores = context.config.get("ignores", True)
        named = context.config.get("config")
        self._settings = None if named is None else PurePosixPath(named)
        if self._settings and (self._settings.is_absolute() or ".." in self._settings.parts):
            raise ConfigError(
                f"config: {self._settings} leaves what is scanned; name a file below it"
            )

    def analyze_project(self, files: Sequence[PurePosixPath]) -> Iterable[Finding]:
        """Yield what zizmor finds, batch by batch. Raises ProgramError for what it did not read."""
        wanted = [path for path in sorted(files) if _kind(path) or _may_be(path)]
        if not wanted:
            return
        arguments, settings = self._arguments()
        missed: list[str] = []
        batch: dict[str, tuple[PurePosixPath, bytes]] = {}
        size = 0
        for number, path in enumerate(wanted):
            try:
                data = self._context.read_project(path)
            except ProjectFileError as error:
                missed.append(f"{path}: {_line(str(error))}")
                continue
            data = _as_scanned(data)
            kind = _kind(path) or _told_by(path, data)
            if not kind:
                continue
            if len(data) > _LARGEST:
                missed.append(f"{path}: has more than {_LARGEST} bytes")
                continue
            if batch and (len(batch) == _MOST_FILES or size + len(data) > _MOST_BYTES):
                yield from self._run(arguments, settings, batch, missed)
                batch, size = {}, 0
            batch[_laid_out(path, kind, number)] = (path, data)
            size += len(data)
        if batch:
            yield from self._run(arguments, settings, batch, missed)
        if missed:
            more = f"; and {len(missed) - 5} more" if len(missed) > 5 else ""
            raise ProgramError("not audited: " + "; ".join(missed[:5]) + more)

    def _arguments(self) -> tuple[list[str], dict[str, bytes]]:
        """Return the options, and the file with zizmor's settings if one is configured."""
        arguments = [*_ARGUMENTS, f"--persona={self._persona}"]
        if not self._ignores:
            arguments.append("--no-ignores")
        if self._settings is None:
            return [*arguments, "--no-config"], {}
        data = self._context.read_project(self._settings)
        return [*arguments, "--config", "zizmor.yml"], {"zizmor.yml": data}

    def _run(
        self,
        arguments: Sequence[str],
        settings: Mapping[str, bytes],
        batch: Mapping[str, tuple[PurePosixPath, bytes]],
        missed: list[str],
    ) -> Iterator[Finding]:
        """Audit one batch; where zizmor refuses it, file by file, so that one does not hide all."""
        done = self._context.run(
            "zizmor", [*arguments, "src"],
            files={**settings, **{name: data for name, (_, data) in batch.items()}},
            timeout_s=self._timeout_s,
        )  # fmt: skip
        if done.code and len(batch) > 1:
            for name, one in batch.items():
                yield from self._run(arguments, settings, {name: one}, missed)
            return
        if done.code:
            missed += [f"{path}: {_why(done.errors)}" for path, _ in batch.values()]
            return
        try:
            found = [_finding(one, batch) for one in json.loads(done.out)]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            raise ProgramError(
                f"zizmor's report has not the form json-v1: {_line(done.text or done.errors)}"
            ) from None
        yield from found


def _kind(path: PurePosixPath) -> str:
    """Return what a file is for GitHub, or nothing."""
    if path.suffix not in _SUFFIXES:
        return ""
    if path.parts[-3:-1] == (".github", "workflows"):
        return "workflow"
    if path.stem == "action":
        return "action"
    return "dependabot" if path.parts[-2:-1] == (".github",) and path.stem == "dependabot" else ""


def _may_be(path: PurePosixPath) -> bool:
    """Tell whether it may be such a file of which the scan saw less than the repository.

    Who scans from inside of `.github` or `.github/workflows`, or names one file, gives it no more
    of its path.
    """
    inside = len(path.parts) == 1 or path.parts[:-1] == ("workflows",)
    return inside and path.suffix in _SUFFIXES


def _told_by(path: PurePosixPath, data: bytes) -> str:
    """Return what a file is by what it holds, or nothing."""
    if path.stem == "dependabot" and all(key.search(data) for key in _DEPENDABOT):
        return "dependabot"
    return "workflow" if all(key.search(data) for key in _WORKFLOW) else ""


def _laid_out(path: PurePosixPath, kind: str, number: int) -> str:
    """Return where a file lies for the program, which goes by the names of files and folders."""
    if kind == "workflow":
        name = path.name if _PLAIN.fullmatch(path.name) else f"workflow{path.suffix}"
        return f"src/{number}/.github/workflows/{name}"
    return f"src/{number}/{'' if kind == 'action' else '.github/'}{path.name}"


def _as_scanned(data: bytes) -> bytes:
    """Return the lines as a scan counts them."""
    plain = data.removeprefix(b"\xef\xbb\xbf")
    return plain.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _finding(one: Mapping[str, Any], batch: Mapping[str, tuple[PurePosixPath, bytes]]) -> Finding:
    ident = str(one["ident"])
    rule = _BY_ID.get(f"zizmor-{ident}", _OTHER)
    places = one["locations"]
    main = next((p for p in places if p["symbolic"]["kind"] == "Primary"), places[0])
    path, data = batch[_path_of(main)]
    how = one["determinations"]
    evidence = {"audit": ident, "reference": str(one.get("url") or rule.references[0])}
    if mended := "; ".join(str(fix["title"]) for fix in one.get("fixes") or ()):
        evidence["to mend it"] = _line(mended)
    return Finding(
        rule_id=rule.id,
        message=f"{ident}: {_line(str(one['desc']))}: {_line(str(main['symbolic']['annotation']))}",
        severity=_SEVERITIES.get(str(how["severity"]).lower(), rule.severity),
        confidence=_CONFIDENCES.get(str(how["confidence"]).lower(), Confidence.LOW),
        evidence=evidence,
        location=Location(path=path, region=_region(main["concrete"]["location"], data)),
    )


def _path_of(place: Mapping[str, Any]) -> str:
    key = place["symbolic"]["key"]["Local"]  # older ones say given_path
    name = str(key["verbatim_path"] if "verbatim_path" in key else key["given_path"])
    return str(PurePosixPath(name.replace("\\", "/")))


def _region(place: Mapping[str, Any], data: bytes) -> Region:
    """Return the place in characters, inside of the file whatever the program says.

    zizmor counts rows from 0, and columns from 0 in bytes of UTF-8.
    """
    lines = data.split(b"\n")
    start, end = place["start_point"], place["end_point"]
    first = min(max(int(start["row"]), 0), len(lines) - 1)
    last = min(max(int(end["row"]), first), len(lines) - 1)
    left, right = _column(lines[first], start["column"]), _column(lines[last], end["column"])
    return Region(
        start_line=first + 1, start_column=left, end_line=last + 1,
        end_column=max(right, left) if first == last else right,
    )  # fmt: skip


def _column(line: bytes, column: int) -> int:
    return len(line[: max(int(column), 0)].decode("utf-8", "replace")) + 1


def _why(errors: str) -> str:
    """Return what zizmor says was wrong, without its frame."""
    said = errors.partition("Stack backtrace:")[0]
    causes: list[str] = []
    for one in _CAUSE.split(said.partition("Caused by:")[2] or said):
        if (text := " ".join(one.split())) and not any(text in before for before in causes):
            causes.append(text)
    return "zizmor does not take it: " + _line(": ".join(causes))


def _line(text: str, longest: int = 300) -> str:
    return " ".join(text.split())[:longest] or "it says nothing"
