"""The kit's side inside the worker: it stands in front of an author's plugin and rehearses it.

Rules this module keeps:
- it is a static plugin itself, so that the sandbox, the limits and the protocol are those of every
  plugin; a job comes in as a file of JSON, its answer goes out as findings;
- our other modules that work beside the plugin are files in its folder, too: none is importable
  before `start` has made them so;
- nothing that the plugin raises ends a job, except a cancel of the host.

It runs under the name `tavo_kit_harness` beside the plugin's files, and never in tavo's own
process. Standard library only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TextIO, cast

import tavo
import tavo.plugins
from tavo.plugins import (
    AttackResult,
    BasePlugin,
    Context,
    DynamicTestingPlugin,
    Event,
    Finding,
    Location,
    LogAnalysisPlugin,
    ProxyFilteringPlugin,
    Rule,
    Severity,
    StaticAnalysisPlugin,
)
from tavo.plugins.raised import describe
from tavo.plugins.worker import class_of

__all__ = ["Harness"]

_ANSWER = "tavo-kit-answer"
_CHUNK = 3_000
_MOST_TEXTS = 20
_LARGEST_SAMPLE = 100_000
_BASES: dict[str, type[BasePlugin]] = {
    "static": StaticAnalysisPlugin,
    "dynamic": DynamicTestingPlugin,
    "proxy": ProxyFilteringPlugin,
    "log": LogAnalysisPlugin,
}


class Harness(StaticAnalysisPlugin):
    """Loads the author's plugin named in the configuration, and does one job for each file."""

    rules = (Rule(id=_ANSWER, title="What the kit answers", severity=Severity.INFO),)

    def start(self, context: Context) -> None:
        """Watch, then load the plugin's class. Raises TypeError for one of another type."""
        self._folder = Path(__file__).parent
        self._context = context
        self._config: Mapping[str, Any] = context.config["config"]
        self._kit = str(self._folder / "tavo_kit")
        tavo.__path__.append(self._kit)
        tavo.plugins.__path__.append(str(self._folder / "tavo_kit" / "plugins"))
        from tavo.kit.watching import Printed, Seen

        self._seen = Seen(self._folder, context.work_directory)
        self._printed = Printed()
        self._real, sys.stdout = sys.stdout, cast(TextIO, self._printed)
        wanted = _BASES[context.config["plugin_type"]]
        self._class = class_of(context.config["entry_point"], wanted)

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Do the job in the file; answer in pieces, numbered so that none looks like another."""
        job = json.loads(content)
        answer = getattr(self, f"_do_{job['job']}")(job)
        answer["printed"] = self._printed.text
        answer["seen"] = {kind: sorted(names) for kind, names in self._seen.names.items()}
        answer["rules"] = sorted(rule.id for rule in self._class.rules)
        text = json.dumps(answer)
        for start in range(0, len(text), _CHUNK):
            yield Finding(
                rule_id=_ANSWER,
                message=f"{start:012d}{text[start : start + _CHUNK]}",
                severity=Severity.INFO,
                location=Location(path=file_path),
            )

    def _do_life(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Make, start and stop the plugin twice."""
        for step in ("first", "second"):
            try:
                self._started().stop()
            except Exception as error:  # noqa: BLE001
                said = describe(error, str(self._folder))["message"]
                return {"error": f"its {step} start and stop: {said}"}
        return {"error": ""}

    def _do_tests(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Run the author's own tests, and look how their texts' columns are counted."""
        from tavo.kit.own_tests import Patience, run_module
        from tavo.plugins.testing import find_in

        texts = _watch_find_in()
        patience = Patience()
        shown: set[str] = set()
        for made in (Finding, AttackResult):
            _note_rules(made, shown)
        outcomes: list[dict[str, str]] = []
        folder = self._folder / "tests"
        sys.path.insert(1, str(folder))
        for path in sorted(folder.rglob("test_*.py")):
            run_module(path, self._folder, outcomes, patience)
        columns = [] if patience.is_used_up else self._columns(texts, find_in, patience)
        return {"tests": outcomes, "shown": sorted(shown), "columns": columns}

    def _columns(self, texts: list[tuple[str, str, Any]], find_in: Any, patience: Any) -> list[str]:
        from tavo.kit.columns import column_problems
        from tavo.kit.own_tests import attempt

        if self._context.config["plugin_type"] != "static":
            return []
        samples = self._folder / "tests" / "samples"
        for path in sorted(samples.rglob("*")):
            if path.is_file():
                text = path.read_bytes()[:_LARGEST_SAMPLE].decode("utf-8", "replace")
                name = path.relative_to(samples).as_posix()
                texts.append(
                    (name, text, lambda files: find_in(self._class, files, config=self._config))
                )
        found, problem = attempt(lambda: "\n".join(column_problems(texts)), patience, self._folder)
        return [] if problem else found.splitlines()

    def _do_prompt(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Have a filter judge one request, and one answer where there is one."""
        from tavo.plugins.testing import answer, ask

        plugin = cast(ProxyFilteringPlugin, self._started())
        request = ask(job["prompt"])
        results = {"request": plugin.filter_request(request)}
        if job["answer"] is not None:
            results["response"] = plugin.filter_response(answer(job["answer"], request))
        plugin.stop()
        return {
            "results": {
                phase: {
                    "decision": result.decision.value,
                    "reason": result.reason,
                    "labels": list(result.labels),
                    "replacement": [
                        {"role": message.role, "content": message.content}
                        for message in result.replacement
                    ],
                }
                for phase, result in results.items()
            }
        }

    def _do_log(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Have a log plugin analyse events."""
        from tavo.plugins.testing import analyze

        events = [
            Event(
                time=datetime.fromisoformat(event["time"]),
                source=event["source"],
                number=event["number"],
                message=event["message"],
                fields=event["fields"],
            )
            for event in job["events"]
        ]
        plugin = cast("type[LogAnalysisPlugin]", self._class)
        analysis = analyze(plugin, events, config=self._config)
        return {
            "metrics": dict(analysis.metrics),
            "findings": [_finding_to_plain(finding) for finding in analysis.findings],
        }

    def _do_attack(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Have a dynamic plugin attack a scripted model."""
        from tavo.plugins.testing import ScriptedTarget, attack

        model = ScriptedTarget(job["answers"])
        results = attack(cast("type[DynamicTestingPlugin]", self._class), model,
                         config=self._config)  # fmt: skip
        return {
            "requests": len(model.requests),
            "threshold": float(getattr(self._class, "threshold", 0.5)),
            "results": [
                {"rule": result.rule_id, "goal": result.goal, "score": result.score,
                 "severity": result.severity.value, "attempts": len(result.attempts)}
                for result in results
            ],
        }  # fmt: skip

    def _do_rehearse(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Try what every plugin of its type must stand; `digest` is of all that it answered."""
        from tavo.kit.hostile_trial import HostileTrial

        trial = HostileTrial(
            self._class, config=self._config, start=self._started, folder=self._folder
        )
        trial.run(self._context.config["plugin_type"])
        if trial.facts.get("requests"):
            self._seen.add("target", "target.send")
        return {"problems": trial.problems, "digest": trial.digest, "facts": trial.facts}

    def _started(self) -> BasePlugin:
        plugin = self._class()
        plugin.start(
            Context(
                config=self._config,
                work_directory=self._context.work_directory,
                lend=self._seen.ask,
            )
        )
        return plugin


def _note_rules(made: type, shown: set[str]) -> None:
    check = made.__post_init__  # type: ignore[attr-defined]

    def noted(value: Any) -> None:
        check(value)
        shown.add(value.rule_id)

    made.__post_init__ = noted  # type: ignore[attr-defined]


def _watch_find_in() -> list[tuple[str, str, Any]]:
    """Have the texts noted that tests hand to `find_in`, and how they are looked at."""
    from tavo.plugins import testing

    texts: list[tuple[str, str, Any]] = []
    original = testing.find_in

    def noted(plugin: Any, files: Any, **given: Any) -> Any:
        if len(texts) < _MOST_TEXTS:
            texts.extend(
                (path, content, lambda changed: original(plugin, changed, **given))
                for path, content in files.items()
                if isinstance(content, str)
            )
        return original(plugin, files, **given)

    testing.find_in = noted
    return texts


def _finding_to_plain(finding: Finding) -> dict[str, Any]:
    region = finding.location.region
    return {
        "rule": finding.rule_id,
        "severity": finding.severity.value,
        "message": finding.message,
        "path": str(finding.location.path),
        "line": region.start_line if region is not None else 0,
        "column": region.start_column if region is not None else 0,
    }
