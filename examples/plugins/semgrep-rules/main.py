"""Runs the user's own Semgrep rules with the semgrep or opengrep of the user's machine.

The host reads the files and runs the program; the worker makes the batches and reads the answers.
No rule travels with this plugin, and nothing of Semgrep.
"""

from __future__ import annotations

import json
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

_RULE_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_MOST_FILES, _MOST_BYTES = 800, 4 << 20  # of one run
_LARGEST = 1_000_000  # what semgrep takes by itself
_DEEPEST, _LONGEST = 6, 180  # of a path that the host lays out for a program
_ODD = frozenset('\\:"<>|?*')
_ARGUMENTS = ("scan", "--json", "--quiet", "--metrics=off", "--disable-version-check",
              "--no-git-ignore", "--config", "rules")  # fmt: skip
_OPENGREP = ("scan", "--json", "--quiet", "--no-git-ignore", "--config", "rules")


def _rule(name: str, severity: Severity) -> Rule:
    return Rule(
        id=f"semgrep-{name}", title=f"A rule of yours with the severity {name} found something",
        severity=severity,
        help="The message is that of the rule, whose id is in front of it. Change the code, or the"
        " rule. `# nosemgrep` is obeyed by the program.",
        references=("https://semgrep.dev/docs/writing-rules/overview",), tags=("semgrep",),
    )  # fmt: skip


_ERROR, _WARNING = _rule("error", Severity.HIGH), _rule("warning", Severity.MEDIUM)
_INFO = _rule("info", Severity.LOW)
_BY_SEVERITY = {
    "CRITICAL": _ERROR, "HIGH": _ERROR, "ERROR": _ERROR, "MEDIUM": _WARNING, "WARNING": _WARNING,
    "LOW": _INFO, "INFO": _INFO,
}  # fmt: skip


class SemgrepRules(StaticAnalysisPlugin):
    """Has a program of the user look at the project with the rules in a folder of the project."""

    rules = (_ERROR, _WARNING, _INFO)

    def start(self, context: Context) -> None:
        """Keep what is lent. Raises ConfigError for a folder that is none."""
        self._context = context
        self._folder = PurePosixPath(context.config.get("rules", ".semgrep"))
        self._program = context.config.get("program", "semgrep")
        self._timeout_s = float(context.config.get("timeout_s", 300))
        if self._folder.is_absolute() or ".." in self._folder.parts:
            raise ConfigError(
                f"rules: {self._folder} leaves what is scanned; name a folder or file below it, or"
                " scan the folder with the rules, too"
            )

    def analyze_project(self, files: Sequence[PurePosixPath]) -> Iterable[Finding]:
        """Yield what the rules find, batch by batch."""
        rules = self._rules()
        mine = {str(path) for path in self._rule_paths}
        batch: dict[str, tuple[PurePosixPath, bytes]] = {}
        size = 0
        for number, path in enumerate(sorted(files)):
            if str(path) in mine:
                continue
            data = self._read(path)
            if data is None:
                continue
            if batch and (len(batch) == _MOST_FILES or size + len(data) > _MOST_BYTES):
                yield from self._run(rules, batch)
                batch, size = {}, 0
            batch[_laid_out(path, number)] = (path, data)
            size += len(data)
        if batch:
            yield from self._run(rules, batch)

    def _rules(self) -> dict[str, bytes]:
        """Return the rule files by the names under which the program sees them."""
        named = self._context.project_files(f"{self._folder}/*") or self._context.project_files(
            str(self._folder)
        )
        self._rule_paths = sorted(path for path in named if path.suffix in _RULE_SUFFIXES)
        if not self._rule_paths:
            raise ProjectFileError(
                f"there are no rules (.yaml, .yml, .json) in {self._folder}; name their folder:"
                ' {"tavo/semgrep-rules": {"rules": "FOLDER"}} as --plugin-config'
            )
        return {
            f"rules/{number}{path.suffix}": self._context.read_project(path)
            for number, path in enumerate(self._rule_paths)
        }

    def _read(self, path: PurePosixPath) -> bytes | None:
        try:
            data = self._context.read_project(path)
        except ProjectFileError as error:
            self._context.log.warning(f"{path}: is not looked at: {error}")
            return None
        return data if len(data) <= _LARGEST else None

    def _run(
        self, rules: Mapping[str, bytes], batch: Mapping[str, tuple[PurePosixPath, bytes]]
    ) -> Iterator[Finding]:
        """Run the program over one batch. Raises ProgramError when it did not do its work."""
        arguments = _ARGUMENTS if self._program == "semgrep" else _OPENGREP
        done = self._context.run(
            self._program, [*arguments, "src"],
            files={".semgrepignore": b"", **rules, **{n: data for n, (_, data) in batch.items()}},
            timeout_s=self._timeout_s,
        )  # fmt: skip
        try:
            answer = json.loads(done.out)
            results, errors = answer["results"], answer["errors"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ProgramError(
                f"{self._program} ended with {done.code} and no report: {_line(done.errors)}"
            ) from None
        failed = [one for one in errors if str(one.get("level", "error")) == "error"]
        if failed or done.code not in {0, 1}:
            raise ProgramError(
                f"{self._program} ended with {done.code}: "
                + _line(str((failed or errors or [{}])[0].get("message", done.errors)))
            )
        for one in errors:
            self._context.log.warning(_line(str(one.get("message", ""))))
        for one in results:
            yield _finding(one, batch)


def _laid_out(path: PurePosixPath, number: int) -> str:
    """Return where a file lies for the program: at its own path, where that can be made."""
    plain = (
        len(path.parts) <= _DEEPEST and len(str(path)) <= _LONGEST
        and str(path).isprintable() and not set(str(path)) & _ODD
    )  # fmt: skip
    return f"src/{path}" if plain else f"src/deep/{number}/file{path.suffix[:20]}"


def _finding(one: Mapping[str, Any], batch: Mapping[str, tuple[PurePosixPath, bytes]]) -> Finding:
    path, data = batch[one["path"]]
    more = one.get("extra", {})
    rule = _BY_SEVERITY.get(str(more.get("severity", "")).upper(), _WARNING)
    name = str(one["check_id"]).removeprefix("rules.")
    text = data.decode("utf-8", "replace")
    return Finding(
        rule_id=rule.id,
        message=f"{name}: {_line(str(more.get('message', '')), 2000)}",
        severity=rule.severity,
        confidence=Confidence.MEDIUM,
        evidence={"rule": name},
        location=Location(path=path, region=_region(one["start"], one["end"], text)),
    )


def _region(start: Mapping[str, int], end: Mapping[str, int], text: str) -> Region:
    """Return the place in characters, inside of the file whatever the program says.

    semgrep counts columns in bytes of UTF-8.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    first = min(max(int(start["line"]), 1), len(lines))
    last = min(max(int(end["line"]), first), len(lines))
    left, right = _column(lines[first - 1], start["col"]), _column(lines[last - 1], end["col"])
    return Region(
        start_line=first, start_column=left, end_line=last,
        end_column=max(right, left) if first == last else right,
    )  # fmt: skip


def _column(line: str, column: int) -> int:
    return len(line.encode()[: max(int(column) - 1, 0)].decode("utf-8", "ignore")) + 1


def _line(text: str, longest: int = 300) -> str:
    return " ".join(text.split())[:longest] or "it says nothing"
