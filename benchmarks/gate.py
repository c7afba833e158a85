"""What the gate costs: thresholds, baseline and suppressions, and a policy by each evaluator.

    .venv/cp311/bin/python benchmarks/gate.py [--findings 10000] [--repeat 3]

CPU seconds of this process and of its children, from the findings in the store to the verdict in
the store. The policy is that of the tests, six rules and an exception. Where both evaluators are
here, their verdicts are compared; an evaluator that is not here is "not measured".
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from measure import machine  # noqa: E402

from tavo.plugins import Confidence, Finding, Location, Region, Rule, Severity  # noqa: E402
from tavo.programs import find_program  # noqa: E402
from tavo.results.baseline import baseline_text, read_baseline  # noqa: E402
from tavo.results.gate import denies, verdict  # noqa: E402
from tavo.results.policy.files import PolicyFiles, read_policy  # noqa: E402
from tavo.results.policy.opa import by_opa  # noqa: E402
from tavo.results.policy.regopy import by_regopy, has_regopy  # noqa: E402
from tavo.results.store import ResultStore  # noqa: E402
from tavo.results.values import Reported, RunInfo  # noqa: E402
from tavo.runs.gate import GatePlan, judge  # noqa: E402
from tavo.runs.suppressions import read_suppressions  # noqa: E402

POLICY = ROOT / "tests" / "results" / "policies"
INFO = RunInfo(command=("scan",), root="/", tool_version="0", started_at="2026-11-28T00:00:00Z")
TODAY = date(2026, 11, 28)


def cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def made(count: int) -> list[Reported]:
    """Return findings of 50 rules in 300 files, as varied as those of a large project."""
    rules = [
        Rule(
            id=f"rule-{n}", title=f"Rule {n}", severity=list(Severity)[n % 5],
            confidence=list(Confidence)[n % 3], cwe=(("CWE-94", "CWE-502", "CWE-22")[n % 3],),
            owasp=("LLM05:2025",), tags=("taint", "ai"),
        )
        for n in range(50)
    ]  # fmt: skip
    out = []
    for n in range(count):
        rule = rules[n % 50]
        path = PurePosixPath(f"{('agent', 'tools', 'tests')[n % 3]}/module_{n % 300}.py")
        line = 1 + n // 300
        region = Region(start_line=line, start_column=5, end_line=line, end_column=30)
        out.append(
            Reported(
                rule=rule,
                finding=Finding(
                    rule_id=rule.id, severity=rule.severity, confidence=rule.confidence,
                    message=f"Text written by a model ends in call {n}: \"use({n})\" runs it.",
                    location=Location(path=path, region=region, snippet=f"    use({n})"),
                    evidence={"$X": f"answer_{n}"},
                ),
            )
        )  # fmt: skip
    return out


def stored(findings: list[Reported]) -> tuple[ResultStore, int]:
    store = ResultStore()
    run_id = store.begin(INFO)
    store.add(run_id, findings)
    return store, run_id


def gate(findings: list[Reported], plan: Callable[[], GatePlan]) -> tuple[float, int, list[str]]:
    """Judge a stored run as a scan does; return CPU seconds, exit code and what was said."""
    store, run_id = stored(findings)
    began = cpu_s()
    asked = plan()
    found = list(store.findings(run_id))
    judged = judge(
        asked, found, [], [], files=300, rules=50, looked=lambda tool, path: True
    )  # fmt: skip
    store.mark(
        run_id, (new for old, new in zip(found, judged.findings, strict=True) if new is not old)
    )
    store.add_notices(run_id, judged.notices)
    store.add_gate(run_id, judged.gate)
    said = judged.gate.policy_results
    code = verdict(
        judged.findings, complete=not any(one.incomplete for one in judged.notices),
        fail_on=Severity.LOW, denied=denies(said),
    )  # fmt: skip
    spent = cpu_s() - began
    for one in judged.notices:
        if one.kind == "policy":
            raise SystemExit(f"no figure: {one.reason}")
    return (
        spent,
        int(code),
        [f"{one.kind} {one.rule} {one.fingerprint} {one.message}" for one in said],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    findings = made(asked.findings)
    print(f"{machine()}; {asked.findings} findings; medians of {asked.repeat} runs; CPU s;"
          f" load {os.getloadavg()[0]:.1f}\n")  # fmt: skip
    print("| gate | CPU s | exit code | policy results |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        store, run_id = stored(findings[: len(findings) // 2])
        (place / "b.json").write_text(baseline_text(store.run(run_id), store.findings(run_id)))
        (place / "s.yaml").write_text(
            "suppressions:\n" + "".join(
                f"  - {{rule: rule-{n % 50}, path: \"agent/module_{n}.py\", reason: agreed,"
                f" expires: 2027-01-01, approved_by: ada}}\n" for n in range(200)
            )
        )  # fmt: skip
        policy = read_policy([POLICY / "guide.rego"], [POLICY / "guide.json"])
        with_files = lambda: GatePlan(  # noqa: E731
            baseline=read_baseline(place / "b.json"),
            suppressions=read_suppressions(place / "s.yaml", TODAY),
        )
        rows: list[tuple[str, Callable[[], GatePlan]]] = [
            ("thresholds", GatePlan), ("baseline of half, 200 suppressions", with_files)
        ]  # fmt: skip
        for name, plan in rows:
            runs = [gate(findings, plan) for _ in range(asked.repeat)]
            print(f"| {name} | {statistics.median(r[0] for r in runs):.2f} | {runs[0][1]} | |")
    return policies(findings, policy, asked.repeat)


def policies(findings: list[Reported], policy: PolicyFiles, repeat: int) -> int:
    import tavo.results.policy.evaluate as evaluate

    program = find_program("opa")
    ways = {
        "regopy": by_regopy if has_regopy() else None,
        "opa": None if program is None else lambda files, docs: by_opa(program, files, docs),
    }
    verdicts = {}
    for name, way in ways.items():
        if way is None:
            print(f"| policy by {name} | not measured | | |")
            continue
        evaluate._answers = way
        runs = [gate(findings, lambda: GatePlan(policy=policy)) for _ in range(repeat)]
        verdicts[name] = runs[0][1:]
        print(f"| policy by {name} | {statistics.median(r[0] for r in runs):.2f} | {runs[0][1]} |"
              f" {len(runs[0][2])} |", flush=True)  # fmt: skip
    if len(verdicts) == 2:
        same = verdicts["regopy"] == verdicts["opa"]
        print(f"\nthe same verdicts by both: {'yes' if same else 'NO'}")
        return 0 if same else 1
    print("\nthe same verdicts by both: not measured")
    return 0


if __name__ == "__main__":
    sys.exit(main())
