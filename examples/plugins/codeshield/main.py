"""The insecure code detector of Purple Llama's CodeShield (MIT), with its rules as they are.

Its patterns run in the worker. Its rules for semgrep run in the semgrep of the user's machine,
which the host starts; semgrep does not travel with this plugin.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from tavo.plugins import (
    Confidence,
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


def _without_semgrep() -> types.ModuleType:
    """Return the module of settings that CodeShield looks for before its own.

    Its own one looks for semgrep when it is imported, and fails without it.
    """
    found = importlib.util.find_spec("codeshield")
    if found is None or not found.submodule_search_locations:
        raise ImportError("codeshield is not installed")
    rules = Path(next(iter(found.submodule_search_locations))) / "insecure_code_detector" / "rules"
    settings = types.ModuleType("codeshield.insecure_code_detector.internal.oss")
    settings.__dict__.update(
        RULES_ROOT=rules, SEMGREP_RULE_REPO_PATH=rules / "semgrep",
        ENABLE_REGEX_ANALYZER=True, ENABLE_SEMGREP=False, SEMGREP_COMMAND=[],
    )  # fmt: skip
    package = types.ModuleType("codeshield.insecure_code_detector.internal")
    package.__dict__.update(oss=settings, __path__=[])
    sys.modules[package.__name__], sys.modules[settings.__name__] = package, settings
    return settings


_SETTINGS = _without_semgrep()

from codeshield.insecure_code_detector import (  # noqa: E402
    insecure_code_detector,
    insecure_patterns,
)
from codeshield.insecure_code_detector.analyzers import Analyzer  # noqa: E402
from codeshield.insecure_code_detector.languages import Language  # noqa: E402
from codeshield.insecure_code_detector.usecases import UseCase  # noqa: E402

_LANGUAGES = {
    ".c": Language.C, ".h": Language.C, ".cc": Language.CPP, ".cpp": Language.CPP,
    ".cxx": Language.CPP, ".hpp": Language.CPP, ".cs": Language.CSHARP, ".java": Language.JAVA,
    ".js": Language.JAVASCRIPT, ".jsx": Language.JAVASCRIPT, ".mjs": Language.JAVASCRIPT,
    ".ts": Language.JAVASCRIPT, ".tsx": Language.JAVASCRIPT, ".kt": Language.KOTLIN,
    ".m": Language.OBJECTIVE_C, ".php": Language.PHP, ".py": Language.PYTHON,
    ".rb": Language.RUBY, ".rs": Language.RUST, ".swift": Language.SWIFT, ".xml": Language.XML,
}  # fmt: skip
_MOST_FILES, _MOST_BYTES, _LARGEST = 800, 4 << 20, 1_000_000
_LONGEST_MATCHED = 500_000  # CodeShield's patterns are Python's
_ARGUMENTS = ("scan", "--json", "--quiet", "--metrics=off", "--disable-version-check",
              "--no-git-ignore", "--disable-nosem")  # fmt: skip


def _rule(name: str, severity: Severity) -> Rule:
    return Rule(
        id=f"codeshield-{name}", severity=severity, owasp=("LLM05:2025",), tags=("codeshield",),
        title=f"CodeShield has a rule of the severity {name} for this code",
        help="The message says what is insecure. Change the code; where a model wrote it, ask for"
        " another way and look at what else it wrote.",
        references=("https://github.com/meta-llama/PurpleLlama",),
    )  # fmt: skip


_ERROR, _WARNING = _rule("error", Severity.HIGH), _rule("warning", Severity.MEDIUM)
_ADVICE = _rule("advice", Severity.LOW)
_BY_SEVERITY = {"error": _ERROR, "warning": _WARNING, "advice": _ADVICE, "info": _ADVICE}


class CodeShield(StaticAnalysisPlugin):
    """Reports what CodeShield's patterns and rules say about files and project."""

    rules = (_ERROR, _WARNING, _ADVICE)

    def start(self, context: Context) -> None:
        """Keep what is configured and lent."""
        self._context = context
        self._usecase = UseCase(context.config.get("rules", "codeshield"))
        self._semgrep = context.config.get("semgrep", True)
        self._timeout_s = float(context.config.get("timeout_s", 300))

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Yield what CodeShield's patterns match, each at its first place, as CodeShield does."""
        language = _LANGUAGES.get(file_path.suffix.lower())
        if language is None:
            return
        lines = content.split("\n")
        patterns = insecure_patterns.load(language, Analyzer.REGEX, self._usecase)
        found = [
            issue
            for pattern in patterns
            for issue in insecure_code_detector._search_pattern(pattern, content[:_LONGEST_MATCHED])
        ]
        for issue in sorted(found, key=lambda one: (one.line, str(one.pattern_id))):
            line = issue.line or 1
            text = lines[line - 1]
            start = len(text) - len(text.lstrip()) + 1
            region = Region(
                start_line=line, start_column=start, end_line=line, end_column=len(text) + 1
            )
            yield _finding(
                issue.severity.value, str(issue.pattern_id or issue.cwe_id), issue.description,
                issue.cwe_id, Location(path=file_path, region=region), "pattern",
            )  # fmt: skip

    def analyze_project(self, files: Sequence[PurePosixPath]) -> Iterable[Finding]:
        """Yield what CodeShield's rules for semgrep find, with the user's semgrep."""
        if not self._semgrep:
            return
        groups: dict[str, list[PurePosixPath]] = {}
        for path in sorted(files):
            language = _LANGUAGES.get(path.suffix.lower())
            if language is not None and self._rules_of(language.value) is not None:
                groups.setdefault(language.value, []).append(path)
        batch: dict[str, tuple[PurePosixPath, bytes]] = {}
        rules: dict[str, bytes] = {}
        size = number = 0
        for language, paths in groups.items():
            for path in paths:
                data = self._read(path)
                if data is None:
                    continue
                if batch and (len(batch) == _MOST_FILES or size + len(data) > _MOST_BYTES):
                    yield from self._run(rules, batch)
                    batch, rules, size = {}, {}, 0
                rules[f"rules/{language}.json"] = self._rules_of(language) or b""
                number += 1
                batch[f"src/{number}{path.suffix.lower()}"] = (path, data)
                size += len(data)
        if batch:
            yield from self._run(rules, batch)

    def _rules_of(self, language: str) -> bytes | None:
        folder = _SETTINGS.SEMGREP_RULE_REPO_PATH / "_generated_"
        path = folder / f"{language}_{self._usecase.value}.json"
        return path.read_bytes() if path.is_file() else None

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
        """Run semgrep over one batch. Raises ProgramError when it did not do its work."""
        chosen = [word for name in sorted(rules) for word in ("--config", name)]
        done = self._context.run(
            "semgrep", [*_ARGUMENTS, *chosen, "src"],
            files={".semgrepignore": b"", **rules, **{n: data for n, (_, data) in batch.items()}},
            timeout_s=self._timeout_s,
        )  # fmt: skip
        try:
            answer = json.loads(done.out)
            results, errors = answer["results"], answer["errors"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ProgramError(
                f"semgrep ended with {done.code} and no report: {_line(done.errors)}"
            ) from None
        failed = [one for one in errors if str(one.get("level", "error")) == "error"]
        if failed or done.code not in {0, 1}:
            raise ProgramError(
                f"semgrep ended with {done.code}: "
                + _line(str((failed or errors or [{}])[0].get("message", done.errors)))
            )
        for one in results:
            path, data = batch[one["path"]]
            more = one.get("extra", {})
            name = str(one["check_id"]).removeprefix("rules.")
            yield _finding(
                str(more.get("severity", "")).lower(), name, str(more.get("message", "")),
                str(more.get("metadata", {}).get("cwe_id", "")),
                Location(path=path, region=_region(one["start"], one["end"], data)), "semgrep",
            )  # fmt: skip


def _finding(
    severity: str, name: str, message: str, cwe: str, location: Location, analyzer: str
) -> Finding:
    rule = _BY_SEVERITY.get(severity, _WARNING)
    return Finding(
        rule_id=rule.id,
        message=f"{name}: {_line(message, 2000)}",
        severity=rule.severity,
        confidence=Confidence.MEDIUM,
        evidence={"rule": name, "cwe": cwe or "none", "analyzer": analyzer},
        location=location,
    )


def _region(start: Mapping[str, int], end: Mapping[str, int], data: bytes) -> Region:
    """Return the place in characters; semgrep counts columns in bytes of UTF-8."""
    lines = data.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")
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
