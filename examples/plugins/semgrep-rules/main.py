"""Runs the user's own Semgrep rules with semgrep (LGPL-2.1), which comes with this plugin.

The host reads the files and runs the program in the sandbox, without a network; the worker makes
the batches and reads the answers. No rule travels with this plugin.
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
_ARGUMENTS = ("--experimental", "--json", "--quiet", "--metrics=off", "--disable-version-check",
              "--no-git-ignore", "--jobs", "2", "--timeout", "20", "--config", "rules")  # fmt: skip
_PARTLY = frozenset({"Syntax error", "Lexical error", "Other syntax error", "PartialParsing"})
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
    """Has semgrep look at the project with the rules in a folder of the project."""

    rules = (_ERROR, _WARNING, _INFO)

    def start(self, context: Context) -> None:
        """Keep what is lent. Raises ConfigError for a folder that is none."""
        self._context = context
        self._folder = PurePosixPath(context.config.get("rules", ".semgrep"))
        self._timeout_s = float(context.config.get("timeout_s", 300))
        if self._folder.is_absolute() or ".." in self._folder.parts:
            raise ConfigError(
                f"rules: {self._folder} leaves what is scanned; name a folder or file below it, or"
                " scan the folder with the rules, too"
            )

    def analyze_project(self, files: Sequence[PurePosixPath]) -> Iterable[Finding]:
        """Yield what the rules find, batch by batch. Raises ProgramError for what was not done."""
        rules = self._rules()
        self._missed: list[str] = []
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
        if missed := self._missed:
            more = f"; and {len(missed) - 5} more" if len(missed) > 5 else ""
            raise ProgramError("not looked at to the end: " + "; ".join(missed[:5]) + more)

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
        """Run semgrep over one batch. Raises ProgramError when it did not do its work."""
        done = self._context.run(
            "semgrep-core", [*_ARGUMENTS, "src"], called="osemgrep",
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
            found = [_finding(one, batch) for one in results]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ProgramError("semgrep's report has another form than that of 1.185") from None
        yield from found


def _kind(error: Mapping[str, Any]) -> str:
    """Return the type of an error, which is a word, or a list that begins with it."""
    kind = error.get("type", "")
    return str(kind[0] if isinstance(kind, list) and kind else kind)


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
