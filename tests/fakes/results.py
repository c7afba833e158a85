"""Stored runs for tests: one that is clean, one with everything, one that was interrupted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from tavo.plugins import Confidence, Finding, Location, Region, Rule, Severity, Step
from tavo.results.store import ResultStore
from tavo.results.values import Notice, PluginRun, Reported, RunInfo, Suppression

EVAL_RULE = Rule(
    id="llm-output-to-exec",
    title="Model output is run as code",
    severity=Severity.CRITICAL,
    confidence=Confidence.HIGH,
    description="Text written by a model is run as Python.",
    help="Treat an answer as data.\n\nBefore:\n```python\neval(answer)\n```\n",
    cwe=("CWE-94", "CWE-95"),
    owasp=("LLM05:2025", "ASI05:2026"),
    tags=("taint",),
    references=("https://genai.owasp.org/llmrisk/llm052025-improper-output-handling/",),
)
TORCH_RULE = Rule(
    id="unsafe-torch-load",
    title="torch.load may run code from the file",
    severity=Severity.HIGH,
    cwe=("CWE-502",),
    owasp=("LLM03:2025",),
)
MODEL_RULE = Rule(
    id="pickle-runs-code",
    title="A pickled model runs code when it is loaded",
    severity=Severity.CRITICAL,
    confidence=Confidence.HIGH,
    cwe=("CWE-502",),
)
STYLE_RULE = Rule(id="prompt-is-long", title="A prompt is long", severity=Severity.INFO)

INFO = RunInfo(
    command=("scan", "."),
    root="/home/ada/shop",
    tool_version="0.1.0",
    started_at="2026-11-23T13:00:00Z",
    rules=21,
)


def replace(value: Any, **changes: Any) -> Any:
    """Return a copy of a value with other fields: a finding, a result, a row of a catalog."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **changes)
    if isinstance(value, tuple):
        return value._replace(**changes)  # type: ignore[attr-defined]
    return dataclasses.replace(value, **changes)


def location(path: str, line: int, column: int, end: int, snippet: str) -> Location:
    """Return a location on one line; columns from 1, the end exclusive."""
    return Location(
        path=PurePosixPath(path),
        region=Region(start_line=line, start_column=column, end_line=line, end_column=end),
        snippet=snippet,
    )


def finding_of(rule: Rule, where: Location, message: str = "", **more: object) -> Finding:
    """Return a finding with the rule's own severity and confidence."""
    return Finding(
        rule_id=rule.id,
        message=message or rule.title,
        location=where,
        severity=rule.severity,
        confidence=rule.confidence,
        **more,  # type: ignore[arg-type]
    )


def taint_finding(path: str = "agent/answer.py") -> Reported:
    """Return a finding with a data flow, evidence and a fix."""
    code = "    return eval(answer.output_text)"
    return Reported(
        rule=EVAL_RULE,
        line_hash="c129715d7a2bc9a3:1",
        finding=finding_of(
            EVAL_RULE,
            location(path, 12, 12, 36, code),
            "Text written by a model is run as Python.",
            evidence={"$ANSWER": "answer"},
            flow=(
                Step(
                    location=location(path, 9, 14, 52, "    answer = client.responses.create()"),
                    message="tainted here: client.responses.create()",
                ),
                Step(location=location(path, 12, 17, 35, code), message="arrives here"),
            ),
            fix="ast.literal_eval(answer.output_text)",
        ),
    )


def everything() -> list[Reported]:
    """Return findings of every shape: flow, plugin, whole file, suppressed, odd path and text."""
    return [
        taint_finding(),
        Reported(
            rule=TORCH_RULE,
            finding=finding_of(
                TORCH_RULE, location("agent/load me #1.py", 3, 9, 30, "model = torch.load(PATH)")
            ),
        ),
        Reported(
            rule=MODEL_RULE,
            tool="tavo/model-files",
            finding=finding_of(
                MODEL_RULE,
                Location(path=PurePosixPath("models/ranker.pkl")),
                "Loading this file calls posix.system.",
                evidence={"import": "posix.system"},
            ),
        ),
        Reported(
            rule=EVAL_RULE,
            suppression=Suppression(
                kind="inSource", reason="constant expression, see DEV-12", line=4
            ),
            finding=finding_of(EVAL_RULE, location("tools/calc.py", 5, 1, 11, "eval(TEXT)")),
        ),
        Reported(
            rule=STYLE_RULE,
            finding=finding_of(
                STYLE_RULE,
                location("agent/größe.py", 1, 8, 14, 'P = """\u202e提示\x1b[31m"""'),
                "Ein [Link](https://evil.example) und\nzwei Zeilen \x1b[2J\u202e.",
            ),
        ),
    ]


PLUGIN_RUN = PluginRun(
    plugin="tavo/model-files",
    version="1.0.0",
    package="ab" * 32,
    sandbox="L2",
    files=2,
    calls=2,
    findings=1,
    skipped=0,
    host_cpu_s=0.004,
    worker_cpu_s=0.081,
    wall_s=0.2,
    peak_bytes=31_000_000,
)
NOTICES = (
    Notice(kind="file", subject="data/blob.py", reason="binary, not source"),
    Notice(kind="file", subject="data/other.py", reason="binary, not source"),
    Notice(kind="file", subject="legacy/old.py", reason="parsed in part: line 7"),
    Notice(kind="rule", subject="my-rule", reason="pattern-where is not supported"),
    Notice(kind="plugin", subject="acme/slow", reason="was stopped after 10 s"),
    Notice(
        kind="comment",
        subject="tools/calc.py",
        reason="line 9: `tavo: ignore` has no reason and does not hold",
        incomplete=False,
    ),
)


def many_findings(count: int) -> list[Reported]:
    """Return findings as a large project has them: of all severities, every third with a flow."""
    rules = [
        EVAL_RULE, TORCH_RULE, STYLE_RULE,
        *(replace(TORCH_RULE, id=f"rule-number-{n}", title=f"Something is wrong, number {n}",
                  severity=list(Severity)[n % 5], help=EVAL_RULE.help) for n in range(40)),
    ]  # fmt: skip
    found = []
    for number in range(count):
        rule = rules[number * 7 % len(rules)]
        path = f"services/area{number % 23}/agents/module_{number % 311:03}.py"
        line = number % 900 + 10
        code = f"    answer_{number} = execute(template.format(question=question_{number}))"
        steps = tuple(
            Step(location=location(path, line - back, 5, 20, f"    value_{back} = read({number})"),
                 message=f"goes into: value_{back}")
            for back in (6, 4, 2, 0)
        ) if number % 3 == 0 else ()  # fmt: skip
        text = (
            "Text written by a model is sent to a database as a query or as part of one. The model,"
            " or whoever writes what it reads, can change any data this connection may touch."
        )
        finding = finding_of(rule, location(path, line, 5, 40, code), text, flow=steps)
        ignored = Suppression(kind="inSource", reason="checked, see DEV-9", line=line)
        suppression = ignored if number % 50 == 49 else None
        found.append(Reported(rule=rule, finding=finding, suppression=suppression))
    return found


def stored_run(
    store: ResultStore,
    findings: Sequence[Reported] = (),
    notices: Sequence[Notice] = (),
    plugins: Sequence[PluginRun] = (),
    *,
    exit_code: int = 0,
    finished: bool = True,
) -> int:
    """Store a run and return its number."""
    run_id = store.begin(INFO)
    store.add(run_id, findings)
    store.add_notices(run_id, notices)
    for plugin in plugins:
        store.add_plugin_run(run_id, plugin)
    if finished:
        store.finish(
            run_id,
            finished_at="2026-11-23T13:00:02Z",
            complete=not any(notice.incomplete for notice in notices),
            exit_code=exit_code,
            files=8,
            cpu_s=1.25,
        )
    return run_id
