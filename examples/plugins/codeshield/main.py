"""The insecure code detector of Purple Llama's CodeShield (MIT), with its rules as they are.

Its patterns run in the worker. Its rules for semgrep run in semgrep (LGPL-2.1), which comes with
this plugin, and which the host runs in the sandbox, without a network.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

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
_ARGUMENTS = ("--experimental", "--json", "--quiet", "--metrics=off", "--disable-version-check",
              "--no-git-ignore", "--jobs", "2", "--timeout", "20", "--disable-nosem")  # fmt: skip
_PARTLY = frozenset({"Syntax error", "Lexical error", "Other syntax error", "PartialParsing"})
# semgrep 1.185 does not take the pattern of this rule for Java, and would run none beside it
_NOT_TAKEN = frozenset({"ssrf_insecure_patterns"})
# semgrep does not start without a certificate of an authority that it could trust in a network. It
# has no network here: this is the certificate of nobody, whose key was thrown away.
_CERTIFICATE = b"""\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUGHAFhSGtFt0mT2IWbqq3qU03XtEwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyOTA5MDA0NFoYDzIxMjYxMTA1MDkw
MDQ0WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASC/mzb/OnDbAuEVF85Y7keln1ErdEEDTEla+MJdyxdGMurIY/MJyydroWPPKQ8
FSKvMXd1vZ0zWMKxItdhD6s/o1MwUTAdBgNVHQ4EFgQURBXgzg39x3FdFvUOAJAB
ZEFKtkswHwYDVR0jBBgwFoAURBXgzg39x3FdFvUOAJABZEFKtkswDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAg9scKcnXMYL8VtaziA0BrOQ8Hye+
tAI6OcOlckdLj70CIE2KQ1H/ktR7m/L1o3HouftrpirjbX+dQR4uFKMrlQd5
-----END CERTIFICATE-----
"""


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
        """Yield what its rules for semgrep find. Raises ProgramError if not all was done."""
        if not self._semgrep:
            return
        self._missed: list[str] = []
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
        if missed := self._missed:
            more = f"; and {len(missed) - 5} more" if len(missed) > 5 else ""
            raise ProgramError("not looked at to the end: " + "; ".join(missed[:5]) + more)

    def _rules_of(self, language: str) -> bytes | None:
        folder = _SETTINGS.SEMGREP_RULE_REPO_PATH / "_generated_"
        path = folder / f"{language}_{self._usecase.value}.json"
        if not path.is_file():
            return None
        rules = json.loads(path.read_bytes())["rules"]
        return json.dumps({"rules": [r for r in rules if r["id"] not in _NOT_TAKEN]}).encode()

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
            "semgrep-core", [*_ARGUMENTS, *chosen, "src"], called="osemgrep",
            files={
                ".semgrepignore": b"", "certificate.pem": _CERTIFICATE, **rules,
                **{name: data for name, (_, data) in batch.items()},
            },
            variables={"SSL_CERT_FILE": "certificate.pem"}, timeout_s=self._timeout_s,
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
        for one in errors:
            message = _line(str(one.get("message", "")))
            self._context.log.warning(message)
            if _kind(one) not in _PARTLY:
                path, _ = batch.get(str(one.get("path", "")), (one.get("path", "a file"), b""))
                self._missed.append(f"{path}: {message.rstrip(': ')}")
        try:
            found = [_found(one, batch) for one in results]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ProgramError("semgrep's report has another form than that of 1.185") from None
        yield from found


def _found(one: Mapping[str, Any], batch: Mapping[str, tuple[PurePosixPath, bytes]]) -> Finding:
    """Return one result of semgrep as a finding."""
    path, data = batch[one["path"]]
    more = one.get("extra", {})
    return _finding(
        str(more.get("severity", "")).lower(), str(one["check_id"]).removeprefix("rules."),
        str(more.get("message", "")), str(more.get("metadata", {}).get("cwe_id", "")),
        Location(path=path, region=_region(one["start"], one["end"], data)), "semgrep",
    )  # fmt: skip


def _kind(error: Mapping[str, Any]) -> str:
    """Return the type of an error, which is a word, or a list that begins with it."""
    kind = error.get("type", "")
    return str(kind[0] if isinstance(kind, list) and kind else kind)


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
