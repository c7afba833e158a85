"""The contract suite: what every plugin must hold, tried in the sandbox.

Rules this module keeps:
- static plugins are run by the same code as in a scan, with the programs that they bring, and what
  they answer is judged by the host; the other types are rehearsed inside their process, by
  `tavo.kit.harness`;
- a check that could not be done has failed: nothing looks good that was not tried;
- the report names the package by digest and holds no time and no path of this machine, so that it
  can be attested: the same package, tavo and Python give the same report, figures aside.

Telemetry is no boundary: a plugin that lies about itself can pass this suite. Reviewers read code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from marketplace_db.manifest import Manifest
from tavo import __version__
from tavo.errors import TavoError
from tavo.host.answers import clean
from tavo.host.interpreters import choose
from tavo.host.lending import LendError
from tavo.host.local import LocalPlugin
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, parse_acceptances
from tavo.host.workers import BatchResult, FileInput, StaticWorker
from tavo.kit.harness import NOTHING_LENT
from tavo.kit.rehearsal import JobFailedError, Life, OwnTest, Rehearsal, Rehearsed, Tested
from tavo.plugins.plain import permission_asked
from tavo.plugins.testing import hostile_texts
from tavo.progress import Reporter
from tavo.scan.files import Content, UnreadableError, decode

__all__ = ["Check", "SuiteReport", "run_suite"]

SAMPLES = "tests/samples"
_LATE = frozenset({"timeout", "cpu", "total"})
_LENT = ("files", "network", "subprocess", "programs")  # what the host does for a plugin that asks
_SUFFIXES = {"python": ".py", "javascript": ".js", "typescript": ".ts", "json": ".json",
             "yaml": ".yaml", "markdown": ".md"}  # fmt: skip
_MOST_NAMED = 5
_MOST_PLACES = 3
_LARGEST_REPEATED = 1 << 20
_LONGEST_LIFE_S = 30.0
_AT_ONCE = 4
_MOST_LATE = 3
# a scan takes a file for a binary one if there is a NUL in its first 8 KB; behind them it is text
_BEYOND = b" " * 8191 + b"\n"


_NOTHING = BatchResult(findings={}, failures={})


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried. A `note` is advice and fails nothing."""

    name: str
    state: Literal["passed", "failed", "note", "skipped"]
    found: str
    hint: str = ""


class SuiteReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tavo plugin test` found; `schema` is the version of this form."""

    schema: Literal["tavo-plugin-test/1"] = "tavo-plugin-test/1"
    tavo: str
    python: str
    plugin: str
    version: str
    plugin_type: str
    package: str
    manifest: str
    sandbox: str
    passed: bool
    checks: tuple[Check, ...]
    rules: tuple[str, ...] = ()
    rules_not_shown: tuple[str, ...] = ()
    tried: dict[str, tuple[str, ...]] = {}
    tests: tuple[OwnTest, ...] = ()


class _Suite:
    """The state of one run."""

    def __init__(
        self,
        local: LocalPlugin,
        accept: Sequence[str],
        config: Mapping[str, Any],
        reporter: Reporter,
    ) -> None:
        self.local = local
        self.accept = accept
        self.config = config
        self.reporter = reporter
        self.checks: list[Check] = []
        self.level: SandboxLevel | None = None
        self.rules: set[str] = set()
        self.shown: set[str] = set()
        self.printed = ""
        self.seen: dict[str, set[str]] = {}
        self.left_at_host = False
        self.tests: tuple[OwnTest, ...] = ()
        self.columns: tuple[str, ...] = ()

    def note(self, name: str, problems: Sequence[str], good: str, hint: str = "") -> None:
        """Add a check that failed if there are problems."""
        if problems:
            more = len(problems) - _MOST_NAMED
            named = "; ".join(problems[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
            named = " ".join(named.split())
            self.checks.append(Check(name=name, state="failed", found=named, hint=hint))
        else:
            self.checks.append(Check(name=name, state="passed", found=good))

    def take(self, answer: Life | Tested | Rehearsed) -> None:
        """Keep what every answer holds."""
        self.rules |= set(answer.rules)
        self.printed = self.printed or answer.printed
        for kind, names in answer.seen.items():
            self.seen.setdefault(kind, set()).update(names)

    def rehearsal(self, **options: Any) -> Rehearsal:
        return Rehearsal(self.local, accept=self.accept, config=self.config, **options)

    def begin(self, what: str) -> None:
        """Say what is tried now."""
        self.reporter.end()
        self.reporter.begin(f"testing: {what}", None)
        self.reporter.advance(0)


def run_suite(
    local: LocalPlugin,
    *,
    accept: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> SuiteReport:
    """Try everything; return the report.

    Raises SandboxUnavailableError and NotAvailableError, before anything of the plugin ran.
    """
    suite = _Suite(local, accept, config or {}, reporter or Reporter())
    manifest = local.manifest
    suite.begin("starts and stops")
    if _life(suite):
        suite.begin("own tests")
        _own_tests(suite)
        suite.begin("hostile input")
        if manifest.plugin_type == "static":
            _static(suite)
        else:
            _others(suite)
        _rules(suite)
        _printed(suite)
        _permissions(suite, manifest)
    suite.reporter.end()
    return SuiteReport(
        tavo=__version__,
        python=choose(manifest.full_id, [("", manifest.python)]).version,
        plugin=manifest.full_id,
        version=manifest.version,
        plugin_type=manifest.plugin_type,
        package=local.digest.hex,
        manifest=local.package.manifest_digest.hex,
        sandbox=suite.level.label if suite.level is not None else "not started",
        passed=all(check.state != "failed" for check in suite.checks),
        checks=tuple(suite.checks),
        rules=tuple(sorted(suite.rules)),
        rules_not_shown=tuple(sorted(suite.rules - suite.shown)),
        tried={kind: tuple(sorted(names)) for kind, names in sorted(suite.seen.items())},
        tests=suite.tests,
    )


def _life(suite: _Suite) -> bool:
    try:
        with suite.rehearsal(longest_s=_LONGEST_LIFE_S) as rehearsal:
            try:
                life = rehearsal.do("life", Life)
            finally:
                suite.level = rehearsal.level
    except JobFailedError as error:
        hint = "Mend this first: nothing else was tried."
        suite.note("starts and stops", [str(error)], "", hint)
        return False
    suite.take(life)
    hint = "start() prepares everything, stop() may be called once after it."
    suite.note("starts and stops", [life.error] if life.error else [], "twice in one process", hint)
    return True


def _own_tests(suite: _Suite) -> None:
    name = "own tests"
    try:
        with suite.rehearsal() as rehearsal:
            tested = rehearsal.do("tests", Tested)
    except JobFailedError as error:
        suite.note(name, [str(error)], "")
        return
    suite.take(tested)
    suite.shown |= set(tested.shown)
    suite.tests = tested.tests
    suite.columns = tested.columns
    failed = [test.name for test in tested.tests if test.outcome == "failed"]
    skipped = sum(test.outcome == "skipped" for test in tested.tests)
    if not tested.tests:
        suite.checks.append(
            Check(
                name=name, state="note", found="there is no test in tests/test_*.py",
                hint="Write plain functions test_…; tavo.plugins.testing runs the plugin in them.",
            )
        )  # fmt: skip
        return
    good = f"{len(tested.tests) - skipped} passed" + (f", {skipped} skipped" if skipped else "")
    if failed:
        failed[0] = f"{len(failed)} of {len(tested.tests)} failed: {failed[0]}"
    suite.note(name, failed, good, "They ran in the sandbox, without network and files.")


def _others(suite: _Suite) -> None:
    digests = []
    answers: list[Rehearsed] = []
    for _ in range(2):
        try:
            with suite.rehearsal() as rehearsal:
                answer = rehearsal.do("rehearse", Rehearsed)
        except JobFailedError as error:
            suite.note("hostile input", [str(error)], "")
            return
        suite.take(answer)
        answers.append(answer)
        digests.append(answer.digest)
    first = answers[0]
    late = [problem for problem in first.problems if "its deadline is" in problem]
    twice = [p for p in first.problems if "two runs gave" in p or "two decisions" in p]
    rest = [problem for problem in first.problems if problem not in {*late, *twice}]
    suite.note(
        "hostile input",
        _grouped(problem.partition(": ")[::2] for problem in rest),
        "it stood all of it",
        "What the plugin is handed comes from strangers.",
    )
    suite.note(
        "deadlines",
        late,
        _cost(first.facts) or "none was passed",
        "Bound every pattern and loop; put a cheap test before an expensive one.",
    )
    if digests[0] != digests[1] and not twice:
        twice = ["a fresh process gave other answers to the same input"]
    suite.note(
        "deterministic",
        twice,
        "the same twice, and in a fresh process",
        "Sort what comes from a set; use no clock and no random numbers.",
    )


def _cost(facts: Mapping[str, float]) -> str:
    """Say in words what a rehearsal cost, by the processor's clock."""
    if "requests" in facts:
        return f"at most {facts['requests']:g} requests in one run"
    if "deadline_ms" in facts:
        return (
            f"at most {facts.get('slowest_ms', 0):g} of {facts['deadline_ms']:g} ms;"
            f" {facts.get('slowest_large_ms', 0):g} ms for the largest texts"
        )
    if "ms_for_10000_events" in facts:
        return f"{facts['ms_for_10000_events']:g} ms for 10,000 events"
    return ""


class _Refusing:
    """Notes what a plugin asks the host for; nothing is lent in a rehearsal."""

    def __init__(self, suite: _Suite) -> None:
        self._suite = suite

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        permission, name = permission_asked(kind, content)
        names = self._suite.seen.setdefault(permission, set())
        if len(names) < _MOST_NAMED:
            names.add(clean(name, 200))
        raise LendError("not_available", "nothing is lent in a rehearsal")


def _static(suite: _Suite) -> None:
    installation = suite.local.own()
    try:
        _static_runs(suite, lambda: StaticWorker(
            installation,
            policy=LevelPolicy(
                required=SandboxLevel(installation.required),
                accepted=parse_acceptances(suite.accept),
            ),
            config=suite.config,
            lender=_Refusing(suite),
            apart=True,
        ))  # fmt: skip
    except TavoError as error:
        suite.note("runs in a scan", [str(error)], "", error.hint)
    finally:
        installation.close()


def _static_runs(suite: _Suite, make: Any) -> None:
    with make() as worker:
        worker.start()
        samples = list(_samples(suite.local.plugin_folder, worker, suite.local.manifest))
        inputs = [*samples, *_hostile(suite.local.manifest), *_damaged(samples)]
        # a plugin that has its host read a file is handed the path alone
        paths = [
            *dict.fromkeys((*_sample_paths(suite.local.plugin_folder), *(i.path for i in inputs)))
        ]
        first, left = _analyzed(worker, inputs)
        texts = {item.path: item.data for item in inputs if item.kind == "text"}
        first_project = worker.analyze_project(paths, texts.get) if not left else _NOTHING
        suite.rules |= set(worker.rules)
        if worker.programs_used:
            suite.seen.setdefault("subprocess", set()).update(worker.programs_used)
        # what was late once is late again: it is not waited for a second time
        prompt = [item for item in inputs if not _is_late(first, item)] if not left else []
        again = [worker.analyze([item]) for item in reversed(prompt)]
    fresh, fresh_project = _NOTHING, _NOTHING
    if prompt:
        with make() as worker:
            fresh = worker.analyze(prompt)
            fresh_project = worker.analyze_project(paths, texts.get)
    problems: dict[str, list[tuple[str, str]]] = {"late": [], "invalid": [], "other": []}
    for run in (first, first_project):
        for path, failure in run.failures.items():
            if failure.kind == "raised" and NOTHING_LENT in failure.reason:
                suite.left_at_host = True  # what it asked for comes from a host; here is none
                continue
            kind = "late" if failure.kind in _LATE else failure.kind
            printed = "" if failure.kind == "raised" else _last_line(failure.output)
            where = f" ({printed})" if printed and printed not in failure.reason else ""
            kept = problems[kind if kind in problems else "other"]
            kept.append((str(path), f"{failure.reason}{where}"))
    suite.note(
        "hostile input",
        _grouped(problems["other"]),
        f"{max(len(inputs) - left - len(samples), 0)} texts, no other failure"
        if left
        else f"{len(inputs) - len(samples)} texts, no failure",
        "A project may hold any file; tavo.plugins.testing.hostile_texts has these.",
    )
    late = _grouped(problems["late"])
    late += [f"{left} more texts were not tried after that"] if left else []
    suite.note(
        "deadlines",
        late,
        "none was passed",
        "Bound every pattern and loop, or raise limits in plugin.yaml.",
    )
    suite.note(
        "valid findings",
        [*_grouped(problems["invalid"]), *suite.columns],
        "all that came were taken",
        "Columns count characters; ast counts bytes: len(line.encode()[:col_offset].decode()) + 1."
        if suite.columns
        else "Name declared rules, and places that are in the file.",
    )
    changed = _differences(first, again)
    other = _differences(first, [fresh]) + _differences(first_project, [fresh_project])
    found = [(str(path), "other findings when asked again, in another order") for path in changed]
    found += [(str(path), "other findings in a fresh process") for path in other]
    if prompt:
        suite.note(
            "deterministic",
            _grouped(found),
            "the same again, in another order, in a fresh process",
            "Keep no state between files; sort what comes from a set.",
        )
    else:
        suite.checks.append(
            Check(
                name="deterministic", state="skipped", found="not tried, because of the deadlines"
            )
        )
    sample_paths = {item.path for item in samples}
    for path, findings in first.findings.items():
        if path in sample_paths:
            suite.shown |= {finding.rule_id for finding in findings}


def _analyzed(worker: StaticWorker, inputs: Sequence[FileInput]) -> tuple[BatchResult, int]:
    """Have the files looked at, until some were late. Return the rest's number too."""
    findings: dict[PurePosixPath, Any] = {}
    failures: dict[PurePosixPath, Any] = {}
    for start in range(0, len(inputs), _AT_ONCE):
        result = worker.analyze(inputs[start : start + _AT_ONCE])
        findings.update(result.findings)
        failures.update(result.failures)
        if sum(failure.kind in _LATE for failure in failures.values()) >= _MOST_LATE:
            left = max(len(inputs) - start - _AT_ONCE, 0)
            return BatchResult(findings=findings, failures=failures), left
    return BatchResult(findings=findings, failures=failures), 0


def _is_late(result: BatchResult, item: FileInput) -> bool:
    failure = result.failures.get(item.path)
    return failure is not None and failure.kind in _LATE


def _grouped(problems: Iterable[tuple[str, str]]) -> list[str]:
    """Return each problem once, with the first places where it is; each comes as place, problem."""
    places: dict[str, list[str]] = {}
    for place, problem in problems:
        places.setdefault(problem, []).append(place)
    said = []
    for problem, where in places.items():
        more = len(where) - _MOST_PLACES
        named = ", ".join(where[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
        said.append(f"{named}: {problem}" if problem else named)
    return said


def _differences(first: BatchResult, others: Iterable[BatchResult]) -> list[PurePosixPath]:
    changed = []
    for other in others:
        for path, findings in other.findings.items():
            expected = first.findings.get(path, ())
            if findings != expected and path not in {*first.failures, *other.failures}:
                changed.append(path)
    return changed


def _samples(folder: Path, worker: StaticWorker, manifest: Manifest) -> Iterable[FileInput]:
    language = manifest.languages[0] if manifest.languages else ""
    for relative in _sample_paths(folder):
        kind = worker.wants(relative, language)
        data = (folder / SAMPLES / relative).read_bytes()
        if kind == "text":
            content = _as_scanned(data)
            if content is None or not content.is_text:
                continue
            data = content.data
        if kind is not None:
            yield FileInput(path=relative, data=data, kind=kind)


def _sample_paths(folder: Path) -> list[PurePosixPath]:
    root = folder / SAMPLES
    found = sorted(root.rglob("*")) if root.is_dir() else ()
    return [PurePosixPath(path.relative_to(root).as_posix()) for path in found if path.is_file()]


def _hostile(manifest: Manifest) -> Iterable[FileInput]:
    suffix = _SUFFIXES.get(manifest.languages[0] if manifest.languages else "", ".txt")
    pattern = manifest.file_patterns[0] if manifest.file_patterns else "*.bin"
    for name, text in hostile_texts().items():
        slug = name.replace(" ", "-")
        path = PurePosixPath("hostile") / f"{slug}{suffix}"
        yield FileInput(path=path, data=_as_text(text.encode()))
        binary = PurePosixPath("hostile-bytes") / pattern.replace("*", slug).replace("?", "x")
        yield FileInput(path=binary, data=text.encode("utf-16-le"), kind="binary")


def _as_scanned(data: bytes) -> Content | None:
    try:
        return decode(data)
    except UnreadableError:
        return None


def _as_text(data: bytes) -> bytes:
    """Return UTF-8 text as a scan hands it over: without its mark, with line feeds, or as it is."""
    content = _as_scanned(data)
    if content is not None and not content.is_text:
        content = _as_scanned(_BEYOND + data)
    return data if content is None else content.data


def _damaged(samples: Sequence[FileInput]) -> Iterable[FileInput]:
    """Yield the first samples cut, with NUL bytes, with lone carriage returns, and many times.

    What the plugin looks for is in them, so more of it runs than on any other hostile text.
    """
    for item in samples[:_MOST_NAMED]:
        data = bytes(item.data)
        for what, changed in (
            ("cut", data[: len(data) // 2]),
            ("nul", data.replace(b"\n", b"\0\n")),
            ("cr", data.replace(b"\n", b"\r")),
            ("many", data * max(1, min(200, _LARGEST_REPEATED // max(len(data), 1)))),
        ):
            if item.kind == "text":
                changed = _as_text(changed.decode("utf-8", "ignore").encode())
            path = PurePosixPath("hostile") / what / item.path
            yield FileInput(path=path, data=changed, kind=item.kind)


def _rules(suite: _Suite) -> None:
    missing = sorted(suite.rules - suite.shown)
    if missing:
        suite.checks.append(
            Check(
                name="rules shown", state="note",
                found=f"no test and no sample shows {', '.join(missing)}",
                hint=f"Write a test that makes such a finding, or put a file into {SAMPLES}.",
            )
        )  # fmt: skip
    elif suite.rules:
        suite.note("rules shown", [], f"all {len(suite.rules)}, by tests or samples")


def _printed(suite: _Suite) -> None:
    begins = ascii(suite.printed.strip()[:60])
    suite.note(
        "prints nothing",
        [f"it printed {begins}"] if suite.printed else [],
        "to its output",
        "Use context.log, which `plugin run` shows.",
    )


def _permissions(suite: _Suite, manifest: Manifest) -> None:
    """Compare what the plugin tried with what its manifest asks for."""
    asked = manifest.permissions
    # who runs a program by its name means its own one, where it brings one of that name
    brought = set(manifest.programs)
    started = suite.seen.get("subprocess", set())
    seen = suite.seen | {"subprocess": started - brought, "programs": started & brought}
    declared: dict[str, Any] = {
        "files": asked.files == "project",
        "network": {host.partition(":")[0] for host in asked.network},
        "target": asked.target,
        "env": set(asked.env),
        "subprocess": set(asked.subprocess),
        "programs": brought,
        "native_code": asked.native_code,
    }
    undeclared, unused = [], []
    for kind, allowed in declared.items():
        tried = seen.get(kind, set())
        if isinstance(allowed, set):
            extra = sorted(tried - allowed)
            idle = [f"{kind}: {name}" for name in sorted(allowed - tried)]
        else:
            extra = [] if allowed else sorted(tried)
            idle = [kind] if allowed and not tried else []
            if kind == "native_code" and brought:
                idle = []  # the program is that code
        unused += [] if suite.left_at_host and kind in _LENT else idle
        undeclared += [f"{kind}: it tried {name}" for name in extra]
    hint = "Ask for it in plugin.yaml, or leave it out: it does not work as it is."
    if any(problem.startswith("files: ") for problem in undeclared):
        hint = (
            "The sandbox: a plugin opens no files; what it looks at is handed to it. Leave it out."
        )
    good = "it tried nothing that plugin.yaml does not ask for"
    suite.note("permissions declared", undeclared, good, hint)
    if unused:
        suite.checks.append(
            Check(
                name="permissions used", state="note",
                found=f"asked for and not tried in this run: {', '.join(unused)}",
                hint="Users see every permission before they install; ask for none too many.",
            )
        )  # fmt: skip


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:200]
