"""OpenGrep or Semgrep at work instead of our engine, for a user who asks for it.

Rules this module keeps:
- it is asked for on the command line, and nowhere else; the program comes from PATH;
- it gets the rules that our engine would have used, and the same files, and no network: no metrics,
  no version check, no login, and proxies that lead nowhere;
- what it says is checked like any input; what it did not do is a problem of the file or the rule;
- ignore comments are read by us, so that a report names them whichever engine ran.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tavo.covering import CREDENTIAL, SECRET, Piece, pieces_of
from tavo.errors import InputError, UsageError
from tavo.plugins import Finding, Location, Region, Rule, Step
from tavo.printable import printable
from tavo.programs import find_program, run_program
from tavo.scan.files import SourceFile, UnreadableError, decode, read
from tavo.scan.formula import FormulaError
from tavo.scan.languages import is_source, parse_file
from tavo.scan.precedence import yields_of
from tavo.scan.results import FileResult, Hit
from tavo.scan.rule_entries import describe
from tavo.scan.rule_source import RuleProblem
from tavo.scan.rules import PROBLEM, entries_of
from tavo.scan.suppress import Ignores, find_ignores, find_ignores_in_lines

__all__ = ["ENGINES", "Engine", "ExternalScan", "find_engine", "scan_external"]

ENGINES = ("opengrep", "semgrep")
_SECONDS = 3600.0
_SECONDS_PER_RULE = 30
_MOST_OUTPUT = 256 << 20
_MOST_ARGUMENTS = {"linux": 1_000_000, "win32": 24_000}
_MOST_HITS = 1_000
_MOST_LINES = 10
_LONGEST_LINE = 400
_NOWHERE = "http://127.0.0.1:9"
_MOST_TRIES = 40
_ENGINE_LANGUAGES = frozenset({
    "python", "py", "python2", "python3", "javascript", "js", "typescript", "ts", "regex", "none",
    "generic", "yaml", "json",
})  # fmt: skip
_FINISHED = frozenset({0, 1, 2})
_VERSION = re.compile(r"\d+(?:\.\d+)+")


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that is there: its name, where it is, and its version."""

    name: str
    program: Path
    version: str


class ExternalScan(msgspec.Struct, kw_only=True):
    """What an engine said: a result for each file, its rules, and what is wrong with others."""

    results: list[FileResult]
    rules: dict[str, Rule]
    problems: list[RuleProblem]
    failures: list[str]
    yields: dict[str, tuple[str, ...]] = {}

    def rule(self, rule_id: str) -> Rule:
        """Return what a rule says about itself."""
        return self.rules[rule_id]


class _Place(msgspec.Struct):
    line: int
    col: int


class _Result(msgspec.Struct):
    check_id: str
    path: str
    start: _Place
    end: _Place
    extra: dict[str, Any]


class _Error(msgspec.Struct):
    message: str = ""
    long_msg: str = ""
    path: str | None = None
    rule_id: str | None = None


class _Paths(msgspec.Struct):
    scanned: list[str] = []


class _Report(msgspec.Struct):
    results: list[_Result]
    errors: list[_Error] = []
    paths: _Paths = msgspec.field(default_factory=_Paths)


def find_engine(name: str) -> Engine:
    """Find an engine on PATH and ask for its version. Raises UsageError, InputError."""
    if name not in ENGINES:
        raise UsageError(
            f"--engine {printable(name)}: is not an engine",
            hint=f"Use tavo, {' or '.join(ENGINES)}.",
        )
    program = find_program(name)
    if program is None:
        raise UsageError(
            f"--engine {name}: there is no {name} in the folders of PATH",
            hint="Install it, or leave --engine out: tavo's own engine needs nothing else.",
        )
    with tempfile.TemporaryDirectory(prefix="tavo-") as folder:
        try:
            said = run_program(
                [str(program), "--version"], extra=_variables(name, folder), seconds=60,
                most=1 << 16, folder=Path(folder),
            )  # fmt: skip
        except OSError as error:
            raise InputError(f"{program}: does not start: {error.strerror}") from error
    found = _VERSION.search(said.out.decode("utf-8", "replace"))
    if said.code != 0 or said.stopped or found is None:
        reason = said.stopped or printable(said.errors.strip()[:200]) or f"code {said.code}"
        raise InputError(f"{program}: does not tell its version: {reason}")
    return Engine(name=name, program=program, version=found.group())


def scan_external(
    engine: Engine, files: Sequence[SourceFile], rule_paths: Sequence[Path], *, jobs: int,
    largest: int,
) -> ExternalScan:  # fmt: skip
    """Let an engine scan files with the rules below some paths. What fails is in the answer."""
    entries, scan = _rules(rule_paths)
    by_path = {str(file.path): file for file in files}
    reports: list[_Report] = []
    with tempfile.TemporaryDirectory(prefix="tavo-") as folder:
        config = Path(folder) / "rules.json"
        entries = _accepted(engine, entries, config, list(by_path)[:1], scan)
        config.write_text(json.dumps({"rules": entries}), encoding="utf-8")
        for chunk in _chunks(list(by_path)):
            answer = _ask(engine, config, chunk, jobs=jobs, largest=largest)
            if isinstance(answer, str):
                scan.failures.append(answer)
            else:
                reports.append(answer)
    _read(reports, by_path, scan)
    return scan


def _rules(rule_paths: Sequence[Path]) -> tuple[list[Mapping[str, Any]], ExternalScan]:
    scan = ExternalScan(results=[], rules={}, problems=[], failures=[])
    usable: list[Mapping[str, Any]] = []
    for path in rule_paths:
        for file, entries in entries_of(path)[0]:
            if isinstance(entries, FormulaError):
                scan.problems.append(RuleProblem(file=file, rule_id="", reason=str(entries)))
                continue
            for entry in entries:
                rule_id = str(entry.get("id", ""))
                try:
                    if PROBLEM in entry:
                        raise FormulaError(str(entry[PROBLEM]))
                    if rule_id in scan.rules:
                        raise FormulaError("there is another rule with this id")
                    rule = describe(entry, rule_id, str(entry.get("message", "")))
                    yields_to = yields_of(entry, rule_id)
                except (FormulaError, ValueError) as error:
                    problem = RuleProblem(file=file, rule_id=rule_id, reason=str(error))
                    scan.problems.append(problem)
                    continue
                scan.rules[rule_id] = rule
                if yields_to:
                    scan.yields[rule_id] = yields_to
                usable.append(entry)
    return usable, scan


def _accepted(
    engine: Engine, entries: list[Mapping[str, Any]], config: Path, probe: list[str],
    scan: ExternalScan,
) -> list[Mapping[str, Any]]:  # fmt: skip
    """Return the rules without those for which the engine refuses all; name these.

    A rule for a language that it does not know is one. They are looked for by halves, in a file.
    """
    suspects = [entry for entry in entries if not _languages_of(entry) <= _ENGINE_LANGUAGES]
    if not suspects or not probe:
        return entries
    refused: list[Mapping[str, Any]] = []
    todo = [suspects]
    for _ in range(_MOST_TRIES):
        if not todo:
            break
        some = todo.pop()
        config.write_text(json.dumps({"rules": some}), encoding="utf-8")
        answer = _ask(engine, config, probe, jobs=1, largest=1)
        if not isinstance(answer, str) and not (answer.errors and _is_refusal(answer)):
            continue
        if len(some) > 1:
            todo += [some[len(some) // 2 :], some[: len(some) // 2]]
            continue
        reason = answer if isinstance(answer, str) else _said(answer.errors[0])
        rule_id = str(some[0].get("id", ""))
        scan.problems.append(
            RuleProblem(file=Path(), rule_id=rule_id, reason=f"{engine.name}: {reason}")
        )
        refused += some
    for some in todo:
        for entry in some:
            rule_id, reason = str(entry.get("id", "")), "too many rules are refused: not tried"
            scan.problems.append(RuleProblem(file=Path(), rule_id=rule_id, reason=reason))
        refused += some
    return [entry for entry in entries if not any(entry is one for one in refused)]


def _languages_of(entry: Mapping[str, Any]) -> frozenset[str]:
    languages = entry.get("languages")
    return frozenset(map(str, languages)) if isinstance(languages, list) else frozenset({""})


def _is_refusal(report: _Report) -> bool:
    return any(error.path is None and not error.rule_id for error in report.errors)


def _said(error: _Error) -> str:
    return printable(" ".join((error.message or error.long_msg).split()))[:300]


def _chunks(paths: Sequence[str]) -> Iterator[list[str]]:
    most = _MOST_ARGUMENTS.get(sys.platform, 400_000)
    chunk: list[str] = []
    size = 0
    for path in paths:
        size += len(path.encode("utf-8", "surrogateescape")) + 9
        if chunk and size > most:
            yield chunk
            chunk, size = [], len(path)
        chunk.append(path)
    if chunk:
        yield chunk


def _variables(name: str, folder: str) -> dict[str, str]:
    """Return the variables that keep an engine from the network, and from the user's login."""
    out = {
        "SEMGREP_SEND_METRICS": "off", "SEMGREP_ENABLE_VERSION_CHECK": "0",
        "SEMGREP_SETTINGS_FILE": str(Path(folder) / "settings.yml"),
        "SEMGREP_LOG_FILE": str(Path(folder) / "log"),
        **{proxy: _NOWHERE for base in ("http", "https", "all")
           for proxy in (f"{base}_proxy", f"{base}_proxy".upper())},
    }  # fmt: skip
    if name == "semgrep":  # OpenGrep unpacks itself below the home folder, once
        out["HOME"] = out["XDG_CONFIG_HOME"] = folder
    return out


def _ask(
    engine: Engine, config: Path, paths: Sequence[str], *, jobs: int, largest: int
) -> _Report | str:
    command = [
        str(engine.program), "scan", "--config", str(config), "--json", "--quiet",
        "--no-rewrite-rule-ids", "--disable-version-check", "--no-git-ignore", "--disable-nosem",
        "--dataflow-traces", "--timeout", str(_SECONDS_PER_RULE), "--max-target-bytes",
        str(largest), "--jobs", str(jobs),
    ]  # fmt: skip
    if engine.name == "semgrep":
        command += ["--metrics", "off"]
    try:
        answer = run_program(
            [*command, "--", *paths], extra=_variables(engine.name, str(config.parent)),
            seconds=_SECONDS, most=_MOST_OUTPUT, folder=config.parent,
        )  # fmt: skip
    except OSError as error:
        return f"does not start: {error.strerror}"
    if answer.stopped:
        return f"was stopped: {answer.stopped}"
    try:
        report = msgspec.json.decode(answer.out, type=_Report)
    except (msgspec.MsgspecError, ValueError) as error:
        said = printable(answer.errors.strip()[:300]) or f"no report that can be read: {error}"
        return f"failed with code {answer.code}: {said}"
    if answer.code not in _FINISHED and not report.errors:
        return f"failed with code {answer.code}"
    return report


def _read(
    reports: Sequence[_Report], by_path: Mapping[str, SourceFile], scan: ExternalScan
) -> None:
    found: dict[str, list[_Result]] = {}
    problems: dict[str, list[str]] = {}
    scanned: set[str] = set()
    for report in reports:
        scanned.update(report.paths.scanned)
        for result in report.results:
            found.setdefault(result.path, []).append(result)
        for error in report.errors:
            reason = _said(error)
            if error.path is not None and error.path in by_path:
                problems.setdefault(error.path, []).append(reason)
            elif error.rule_id:
                problem = RuleProblem(file=Path(), rule_id=error.rule_id, reason=reason)
                scan.problems.append(problem)
            else:
                scan.failures.append(reason)
    for path, file in by_path.items():
        if path in scanned or path in found or path in problems:
            scan.results.append(_result(file, found.get(path, []), problems.get(path, []), scan))
        elif is_source(file.relative) and reports:
            reason = "the engine did not look at it"
            scan.results.append(FileResult(file.relative, problems=(reason,), scanned=False))


def _result(
    file: SourceFile, results: Sequence[_Result], problems: list[str], scan: ExternalScan
) -> FileResult:
    if not results:
        return FileResult(file.relative, problems=tuple(problems))
    try:
        data = decode(read(file, largest=1 << 30)).data
    except UnreadableError as error:
        return FileResult(file.relative, problems=(*problems, str(error)))
    lines = data.decode("utf-8", "replace").split("\n")
    ignores = _ignores(file.relative, data)
    hits: list[Hit] = []
    secrets: dict[Piece, None] = {}
    for one in sorted(results, key=lambda r: (r.start.line, r.start.col, r.check_id)):
        if len(hits) >= _MOST_HITS:
            problems.append(f"more than {_MOST_HITS} findings: the rest was left out")
            break
        rule = scan.rules.get(one.check_id)
        try:
            if rule is None:
                raise ValueError("it is of no rule that was asked for")
            finding = _finding(one, rule, file.relative, lines)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            problems.append(f"a finding of {printable(one.check_id)} cannot be read: {error}")
            continue
        if CREDENTIAL in rule.tags:
            secrets.update(dict.fromkeys(_secret(one, finding.location, lines)))
        hits.append(Hit(finding, ignores.of(rule.id, one.start.line)))
    return FileResult(
        file.relative, tuple(hits), (*problems, *ignores.problems), secrets=tuple(secrets)
    )


def _secret(one: _Result, location: Location, lines: Sequence[str]) -> Iterator[Piece]:
    """Yield what a finding of a rule with the tag `credential` points at."""
    bound = (one.extra.get("metavars") or {}).get(SECRET)
    region = location.region
    if isinstance(bound, Mapping):
        try:
            start = msgspec.convert(bound.get("start"), _Place)
            end = msgspec.convert(bound.get("end"), _Place)
            region = _location(start, end, location.path, lines).region
        except (msgspec.ValidationError, ValueError):
            pass  # then all that it points at
    if region is not None:
        yield from pieces_of(region, lambda n: lines[n - 1] if n <= len(lines) else None)


def _ignores(path: PurePosixPath, data: bytes) -> Ignores:
    if not is_source(path):
        return find_ignores_in_lines(data.decode("utf-8", "replace"))
    parsed = parse_file(data, path.suffix)
    try:
        return find_ignores(parsed)
    finally:
        parsed.release()


def _finding(one: _Result, rule: Rule, path: PurePosixPath, lines: Sequence[str]) -> Finding:
    extra = one.extra
    variables = extra.get("metavars") or {}
    fix = extra.get("fix")
    return Finding(
        rule_id=rule.id,
        message=" ".join(str(extra.get("message", "")).split()) or rule.title,
        location=_location(one.start, one.end, path, lines),
        severity=rule.severity,
        confidence=rule.confidence,
        evidence={
            str(name): " ".join(str(value.get("abstract_content", "")).split())[:80]
            for name, value in variables.items()
        },
        flow=tuple(_flow(extra.get("dataflow_trace") or {}, path, lines)),
        fix=fix if isinstance(fix, str) else None,
    )


def _flow(trace: Mapping[str, Any], path: PurePosixPath, lines: Sequence[str]) -> Iterator[Step]:
    """Yield the steps of a trace as far as they are in the same file."""
    places = [("tainted here", trace.get("taint_source"))]
    places += [
        ("goes on as", {"location": one.get("location"), "content": one.get("content")})
        for one in trace.get("intermediate_vars") or ()
    ]
    places.append(("arrives here", trace.get("taint_sink")))
    for message, value in places:
        location, content = _of_trace(value)
        if location is None:
            continue
        start = msgspec.convert(location["start"], _Place)
        end = msgspec.convert(location["end"], _Place)
        text = f"{message}: {content}" if content else message
        yield Step(location=_location(start, end, path, lines), message=text)


def _of_trace(value: Any) -> tuple[Mapping[str, Any] | None, str]:
    """Return place and code of a step, which is `["CliLoc", [place, code]]` at the ends."""
    if isinstance(value, Mapping) and isinstance(value.get("location"), Mapping):
        return value["location"], " ".join(str(value.get("content", "")).split())[:80]
    if isinstance(value, list) and len(value) == 2 and value[0] == "CliLoc":
        place, code = value[1]
        return place, " ".join(str(code).split())[:80]
    return None, ""


def _location(start: _Place, end: _Place, path: PurePosixPath, lines: Sequence[str]) -> Location:
    region = Region(
        start_line=start.line, start_column=start.col, end_line=end.line, end_column=end.col
    )
    shown = lines[start.line - 1 : min(end.line, start.line + _MOST_LINES - 1)]
    snippet = "\n".join(line.removesuffix("\r")[:_LONGEST_LINE] for line in shown)
    return Location(path=path, region=region, snippet=snippet)
