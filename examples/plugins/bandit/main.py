"""Bandit's own engine and tests on one file after the other.

Rules this plugin keeps:
- what is found, how bad it is and how sure, is bandit's, under its own numbers; so are `# nosec`
  comments;
- a file that bandit gives up is not a clean one: that is a finding of its own.
"""

from __future__ import annotations

import inspect
import io
import logging
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from bandit.core import config as bandit_config
from bandit.core import extension_loader
from bandit.core.issue import Cwe, Issue
from bandit.core.manager import BanditManager

from tavo.plugins import Confidence, Context, Finding, Location, Region, Rule, Severity

from tavo.plugins import ConfigError, StaticAnalysisPlugin  # isort: skip

_SEVERITIES = {"LOW": Severity.LOW, "MEDIUM": Severity.MEDIUM, "HIGH": Severity.HIGH}
_CONFIDENCES = {"LOW": Confidence.LOW, "MEDIUM": Confidence.MEDIUM, "HIGH": Confidence.HIGH}
_HELP = (
    "Bandit's documentation says what the test looks for and what to write instead:"
    " https://bandit.readthedocs.io/en/1.9.4/plugins/index.html. Where it is fine as it is,"
    " say so in the line: `# nosec {id}`."
)
_GAVE_UP = Rule(
    id="not-looked-at",
    title="Bandit did not look at this file",
    severity=Severity.INFO,
    confidence=Confidence.HIGH,
    description="The file does not parse with the Python that runs tavo, or a test failed on it.",
    help="Correct the syntax, or run tavo with the version of Python that the file is for.",
)


class Bandit(StaticAnalysisPlugin):
    """Reports what bandit reports."""

    def start(self, context: Context) -> None:
        """Take the configuration: `tests` and `skip` as bandit's -t and -s, and `nosec`."""
        logging.getLogger("bandit").setLevel(logging.CRITICAL)
        profile = {
            "include": set(context.config.get("tests", ())),
            "exclude": set(context.config.get("skip", ())),
        }
        unknown = sorted(
            one for one in profile["include"] | profile["exclude"]
            if not extension_loader.MANAGER.check_id(one)
        )  # fmt: skip
        if unknown:
            raise ConfigError(f"bandit has no test {unknown[0]}; its tests are called like B101")
        try:
            self._manager = BanditManager(
                bandit_config.BanditConfig(), "file", profile=profile,
                ignore_nosec=not context.config.get("nosec", True),
            )  # fmt: skip
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Yield what bandit finds in one file."""
        if file_path.suffix not in {".py", ".pyi"} and not content.startswith("#!"):
            return
        manager = self._manager
        manager.results, manager.skipped, manager.scores = [], [], []
        name = str(file_path)
        manager._parse_file(name, io.BytesIO(content.encode()), [name])
        if manager.skipped:
            yield Finding(
                rule_id=_GAVE_UP.id,
                message=f"Bandit did not look at this file: {manager.skipped[0][1]}.",
                location=Location(path=file_path),
                severity=_GAVE_UP.severity,
                confidence=_GAVE_UP.confidence,
            )
        lines = content.split("\n")
        for issue in manager.results:
            yield _finding(file_path, issue, lines)


def _finding(path: PurePosixPath, issue: Issue, lines: list[str]) -> Finding:
    evidence = {"test": issue.test}
    if issue.cwe.id != Cwe.NOTSET:
        evidence["cwe"] = f"CWE-{issue.cwe.id}"
    return Finding(
        rule_id=issue.test_id,
        message=" ".join(issue.text.split()) or issue.test,
        location=Location(path=path, region=_region(issue, lines)),
        severity=_SEVERITIES.get(issue.severity, Severity.INFO),
        confidence=_CONFIDENCES.get(issue.confidence, Confidence.LOW),
        evidence=evidence,
    )


def _region(issue: Issue, lines: list[str]) -> Region:
    """Return the place; bandit counts columns in bytes, and may name a line behind the last."""
    first = min(max(issue.lineno or 1, 1), len(lines))
    last = min(max([first, *issue.linerange]), len(lines))

    def column(number: int, offset: int) -> int:
        line = lines[number - 1]
        before = line.encode()[: max(offset, 0)].decode(errors="ignore")
        return min(len(before), len(line)) + 1

    start = column(first, issue.col_offset)
    end = column(last, issue.end_col_offset) if issue.end_col_offset > 0 else 1
    if (last, end) <= (first, start) or issue.end_col_offset <= 0:
        end = len(lines[last - 1]) + 1
    return Region(start_line=first, start_column=start, end_line=last, end_column=max(end, 1))


def _rules() -> tuple[Rule, ...]:
    """Return one rule for each test that bandit has."""
    manager = extension_loader.MANAGER
    tests: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    for number, extension in manager.plugins_by_id.items():
        cwe = {
            f"CWE-{getattr(Cwe, name)}"
            for name in re.findall(r"\bCwe\.([A-Z_]+)", inspect.getsource(extension.plugin))
            if getattr(Cwe, name, Cwe.NOTSET) != Cwe.NOTSET
        }
        tests[number] = (extension.name, "MEDIUM", tuple(sorted(cwe)))
    for number, entry in manager.blacklist_by_id.items():
        tests[number] = (entry["name"], entry["level"], (f"CWE-{entry['cwe']}",))
    return (*(_rule(number, *tests[number]) for number in sorted(tests)), _GAVE_UP)


def _rule(number: str, name: str, level: str, cwe: tuple[str, ...]) -> Rule:
    said: dict[str, Any] = {"cwe": cwe} if cwe else {}
    return Rule(
        id=number,
        title=f"bandit: {name.replace('_', ' ')}",
        severity=_SEVERITIES[level],
        confidence=Confidence.MEDIUM,
        description=f"The test {number} ({name}) of bandit 1.9.4.",
        help=_HELP.replace("{id}", number),
        tags=("python",),
        **said,
    )


Bandit.rules = _rules()
