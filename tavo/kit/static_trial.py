"""A static plugin run by the code of a scan, on what `tavo.kit.static_inputs` hands it.

Rules this module keeps:
- it runs with the programs that it brings, and nothing else is lent to it;
- its answers are judged by the host: what does not hold is no finding but a problem;
- what was late once is not waited for again, and what was not tried for that reason is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from tavo.errors import TavoError
from tavo.host.answers import clean
from tavo.host.lending import LendError
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, parse_acceptances
from tavo.host.workers import BatchResult, FileInput, StaticWorker
from tavo.kit.static_inputs import damaged, hostile, sample_paths, samples
from tavo.kit.suite import MOST_NAMED, Check, Suite, grouped
from tavo.kit.watching import NOTHING_LENT
from tavo.plugins.plain import permission_asked

__all__ = ["try_static"]

_NOT_AVAILABLE = "it raised NotAvailableError: "
"""What a plugin says that lacks what its user has to name, such as a file in its configuration."""
_LATE = frozenset({"timeout", "cpu", "total"})
_AT_ONCE = 4
_MOST_LATE = 3
_NOTHING = BatchResult(findings={}, failures={})


class _Refusing:
    """Notes what a plugin asks the host for; nothing is lent in a rehearsal."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        permission, name = permission_asked(kind, content)
        names = self._suite.seen.setdefault(permission, set())
        if len(names) < MOST_NAMED:
            names.add(clean(name, 200))
        raise LendError("not_available", "nothing is lent in a rehearsal")


def try_static(suite: Suite) -> None:
    """Run the plugin on all of it, twice in one process and once in another; add the checks."""
    installation = suite.local.own()
    try:
        _runs(suite, lambda: StaticWorker(
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


def _runs(suite: Suite, make: Callable[[], StaticWorker]) -> None:
    with make() as worker:
        worker.start()
        given = list(samples(suite.local.plugin_folder, worker, suite.local.manifest))
        inputs = [*given, *hostile(suite.local.manifest), *damaged(given)]
        # a plugin that has its host read a file is handed the path alone
        paths = [
            *dict.fromkeys((*sample_paths(suite.local.plugin_folder), *(i.path for i in inputs)))
        ]
        first, left = _analyzed(worker, inputs)
        texts = {item.path: bytes(item.data) for item in inputs if item.kind == "text"}
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
            if failure.kind == "raised" and (
                NOTHING_LENT in failure.reason or _NOT_AVAILABLE in failure.reason
            ):
                suite.left_at_host = True  # what it asked for comes from a host; here is none
                continue
            kind = "late" if failure.kind in _LATE else failure.kind
            printed = "" if failure.kind == "raised" else _last_line(failure.output)
            where = f" ({printed})" if printed and printed not in failure.reason else ""
            kept = problems[kind if kind in problems else "other"]
            kept.append((str(path), f"{failure.reason}{where}"))
    suite.note(
        "hostile input",
        grouped(problems["other"]),
        f"{max(len(inputs) - left - len(given), 0)} texts, no other failure"
        if left
        else f"{len(inputs) - len(given)} texts, no failure",
        "A project may hold any file; tavo.plugins.testing.hostile_texts has these.",
    )
    late = grouped(problems["late"])
    late += [f"{left} more texts were not tried after that"] if left else []
    suite.note(
        "deadlines",
        late,
        "none was passed",
        "Bound every pattern and loop, or raise limits in plugin.yaml.",
    )
    suite.note(
        "valid findings",
        [*grouped(problems["invalid"]), *suite.columns],
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
            grouped(found),
            "the same again, in another order, in a fresh process",
            "Keep no state between files; sort what comes from a set.",
        )
    else:
        suite.checks.append(
            Check(
                name="deterministic", state="skipped", found="not tried, because of the deadlines"
            )
        )
    given_paths = {item.path for item in given}
    for path, findings in first.findings.items():
        if path in given_paths:
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


def _differences(first: BatchResult, others: Iterable[BatchResult]) -> list[PurePosixPath]:
    changed = []
    for other in others:
        for path, findings in other.findings.items():
            expected = first.findings.get(path, ())
            if findings != expected and path not in {*first.failures, *other.failures}:
                changed.append(path)
    return changed


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:200]
