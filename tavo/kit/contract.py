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

from collections.abc import Mapping, Sequence
from typing import Any

from marketplace_db.manifest import Manifest
from tavo import __version__
from tavo.host.interpreters import choose
from tavo.host.local import LocalPlugin
from tavo.kit.rehearsal import JobFailedError, Life, Rehearsed, Tested
from tavo.kit.static_inputs import SAMPLES
from tavo.kit.static_trial import try_static
from tavo.kit.suite import Check, Suite, SuiteReport, grouped
from tavo.progress import Reporter

__all__ = ["run_suite"]

_LENT = ("files", "network", "subprocess", "programs")  # what the host does for a plugin that asks
_LONGEST_LIFE_S = 30.0


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
    suite = Suite(local, accept, config or {}, reporter or Reporter())
    manifest = local.manifest
    suite.begin("starts and stops")
    if _life(suite):
        suite.begin("own tests")
        _own_tests(suite)
        suite.begin("hostile input")
        if manifest.plugin_type == "static":
            try_static(suite)
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


def _life(suite: Suite) -> bool:
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


def _own_tests(suite: Suite) -> None:
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


def _others(suite: Suite) -> None:
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
        grouped(problem.partition(": ")[::2] for problem in rest),
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


def _rules(suite: Suite) -> None:
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


def _printed(suite: Suite) -> None:
    begins = ascii(suite.printed.strip()[:60])
    suite.note(
        "prints nothing",
        [f"it printed {begins}"] if suite.printed else [],
        "to its output",
        "Use context.log, which `plugin run` shows.",
    )


def _permissions(suite: Suite, manifest: Manifest) -> None:
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
