"""What a plugin's own tests use: run the plugin on values made here, without tavo around it.

    from main import Plugin
    from tavo.plugins.testing import find_in

    def test_it_finds_a_key():
        found = find_in(Plugin, {"a.py": "key = 'sk-123'"})
        assert [f.rule_id for f in found] == ["hard-coded-key"]

Rules this module keeps:
- standard library only, as everything in a plugin's process;
- it starts the plugin as the host does, and refuses what the host would refuse: another type than
  the interface returns, a rule that is not declared;
- times and sources of made events are fixed, so that tests are the same each day.

`tavo plugin test` runs such tests in the sandbox. Units: times UTC.
"""

from __future__ import annotations

import base64
import fnmatch
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from tavo.plugins.errors import NotAvailableError, ProjectFileError
from tavo.plugins.interfaces import (
    BasePlugin,
    Context,
    DynamicTestingPlugin,
    LogAnalysisPlugin,
    ProxyFilteringPlugin,
    StaticAnalysisPlugin,
)
from tavo.plugins.raised import one_of
from tavo.plugins.types import Finding
from tavo.plugins.values import (
    Analysis,
    AttackResult,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Event,
    FilterResult,
    ProgramResult,
    Target,
)

__all__ = [
    "Program",
    "ScriptedTarget",
    "analyze",
    "answer",
    "ask",
    "attack",
    "event",
    "filter_answer",
    "filter_prompt",
    "find_in",
    "hostile_texts",
    "started",
]

_FIRST_EVENT = datetime(2026, 1, 1, tzinfo=UTC)
_Plugin = TypeVar("_Plugin", bound=BasePlugin)


Program = Callable[[Sequence[str], bytes, Mapping[str, bytes]], ProgramResult]
"""A program of a test: gets its arguments, input and files."""


def started(
    plugin: type[_Plugin],
    config: Mapping[str, Any] | None = None,
    *,
    project: Mapping[str, bytes] | None = None,
    programs: Mapping[str, Program] | None = None,
) -> _Plugin:
    """Make a plugin and start it with this configuration, as the host does.

    `project` is what `files: project` lets it read, path to content; `programs` are what it runs,
    name to a function. Without them it is lent nothing. Raises what its `start` raises, such as
    ConfigError.
    """
    made = plugin()
    lent = _Lent(project, programs or {})
    folder = Path(tempfile.gettempdir())
    made.start(Context(config=config or {}, work_directory=folder, lend=lent.lend))
    return made


class _Lent:
    """What a test lends to a plugin, in the forms in which the host does."""

    def __init__(
        self, project: Mapping[str, bytes] | None, programs: Mapping[str, Program]
    ) -> None:
        self._project = project
        self._programs = programs

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Answer as the host would. Raises NotAvailableError, ProjectFileError."""
        if kind == "run" and content["program"] in self._programs:
            ended = self._programs[content["program"]](
                content["arguments"],
                base64.b64decode(content["stdin"]),
                {name: base64.b64decode(data) for name, data in content["files"].items()},
            )
            out = base64.b64encode(ended.out).decode("ascii")
            return {"code": ended.code, "out": out, "errors": ended.errors}
        if self._project is None or kind not in {"read", "files"}:
            raise NotAvailableError(f"this test lends no {kind}")
        if kind == "files":
            pattern = content["pattern"]
            named = [
                path
                for path in self._project
                if fnmatch.fnmatchcase(path if "/" in pattern else path.rpartition("/")[2], pattern)
            ]
            return {"paths": sorted(named)}
        if content["path"] not in self._project:
            raise ProjectFileError(f"{content['path']}: cannot be read: no such file")
        data = self._project[content["path"]]
        return {"data": base64.b64encode(data).decode("ascii")}


def find_in(
    plugin: type[StaticAnalysisPlugin],
    files: Mapping[str, str | bytes],
    *,
    config: Mapping[str, Any] | None = None,
    project: Mapping[str, bytes] | None = None,
    programs: Mapping[str, Program] | None = None,
) -> list[Finding]:
    """Run a static plugin over files, path to content: text as text, bytes as a binary file.

    `project` and `programs` are what it is lent, as in `started`.

    Text is handed over as a scan does: without a byte order mark, a lone carriage return is a line
    feed. Returns all findings in the order in which they came, those about the project last.
    """
    made = started(plugin, config, project=project, programs=programs)
    found: list[Finding] = []
    paths = [PurePosixPath(path) for path in files]
    for path, content in zip(paths, files.values(), strict=True):
        if isinstance(content, bytes):
            given = made.analyze_binary(path, io.BytesIO(content))
            found += one_of(given, "analyze_binary", "findings")
        else:
            given = made.analyze_file(path, _as_scanned(content))
            found += one_of(given, "analyze_file", "findings")
    found += one_of(made.analyze_project(paths), "analyze_project", "findings")
    declared = {rule.id for rule in plugin.rules}
    for finding in found:
        _check(finding, Finding, "a static plugin yields")
        _check_declared(finding.rule_id, declared)
    made.stop()
    return found


class ScriptedTarget:
    """A model that answers from a script. `requests` holds what it was asked.

    `answers` are given one after the other, the last one again and again; or it is a function from
    the request to the answer's text.
    """

    def __init__(self, answers: Sequence[str] | Callable[[ChatRequest], str]) -> None:
        self._answers = answers
        self.requests: list[ChatRequest] = []
        self.target = Target(name="scripted", send=self._send, model="scripted")

    def _send(self, request: ChatRequest) -> ChatResponse:
        _check(request, ChatRequest, "target.send takes")
        self.requests.append(request)
        if callable(self._answers):
            return answer(self._answers(request), request)
        number = min(len(self.requests), len(self._answers)) - 1
        return answer(self._answers[number], request)


def attack(
    plugin: type[DynamicTestingPlugin],
    target: ScriptedTarget | Sequence[str] | Callable[[ChatRequest], str],
    *,
    config: Mapping[str, Any] | None = None,
) -> list[AttackResult]:
    """Run a dynamic plugin against a scripted model, given as its answers or as a target."""
    scripted = target if isinstance(target, ScriptedTarget) else ScriptedTarget(target)
    made = started(plugin, config)
    given = made.run_attack(scripted.target, dict(config or {}))
    results = list(one_of(given, "run_attack", "results"))
    declared = {rule.id for rule in plugin.rules}
    for result in results:
        _check(result, AttackResult, "a dynamic plugin yields")
        _check_declared(result.rule_id, declared)
    made.stop()
    return results


def ask(*texts: str, system: str = "", model: str = "") -> ChatRequest:
    """Return a request with these texts of a user, and a system message if there is one."""
    messages = [ChatMessage(role="system", content=system)] if system else []
    messages += [ChatMessage(role="user", content=text) for text in texts]
    return ChatRequest(messages=tuple(messages), model=model)


def answer(text: str, request: ChatRequest | None = None) -> ChatResponse:
    """Return a model's answer with this text, to the request or to a greeting."""
    return ChatResponse(
        request=request or ask("Hello"), messages=(ChatMessage(role="assistant", content=text),)
    )


def filter_prompt(
    plugin: type[ProxyFilteringPlugin], *texts: str, config: Mapping[str, Any] | None = None
) -> FilterResult:
    """Return what a filter says about a request with these texts of a user."""
    return _filtered(started(plugin, config).filter_request(ask(*texts)))


def filter_answer(
    plugin: type[ProxyFilteringPlugin],
    text: str,
    *,
    prompt: str = "Hello",
    config: Mapping[str, Any] | None = None,
) -> FilterResult:
    """Return what a filter says about a model's answer to the prompt."""
    return _filtered(started(plugin, config).filter_response(answer(text, ask(prompt))))


def event(message: str = "", *, number: int = 1, source: str = "app.log", **fields: Any) -> Event:
    """Return a log event; each number is one second after the one before."""
    return Event(
        time=_FIRST_EVENT + timedelta(seconds=number - 1),
        source=source,
        number=number,
        message=message,
        fields=fields,
    )


def analyze(
    plugin: type[LogAnalysisPlugin],
    events: Iterable[Event | str],
    *,
    batch: int = 1000,
    config: Mapping[str, Any] | None = None,
) -> Analysis:
    """Run a log plugin over events in batches; texts become events. Returns all of it together."""
    made = started(plugin, config)
    made_events = [
        event(entry, number=number) if isinstance(entry, str) else entry
        for number, entry in enumerate(events, start=1)
    ]
    findings: list[Finding] = []
    metrics: dict[str, float] = {}
    parts = [
        made.analyze_logs(made_events[start : start + batch])
        for start in range(0, len(made_events), batch)
    ]
    finish = getattr(made, "finish_logs", None)
    if finish is not None:
        parts.append(finish())
    declared = {rule.id for rule in plugin.rules}
    for part in parts:
        _check(part, Analysis, "a log plugin returns")
        findings += part.findings
        metrics |= part.metrics
    for finding in findings:
        _check_declared(finding.rule_id, declared)
    made.stop()
    return Analysis(findings=tuple(findings), metrics=metrics)


def _as_scanned(text: str) -> str:
    return re.sub("\r(?!\n)", "\n", text.removeprefix("\ufeff"))


def _filtered(result: object) -> FilterResult:
    _check(result, FilterResult, "a filter returns")
    assert isinstance(result, FilterResult)  # noqa: S101
    return result


def _check(value: object, expected: type, what: str) -> None:
    if not isinstance(value, expected):
        raise TypeError(f"{what} {expected.__name__}, found {value!r}")


def _check_declared(rule_id: str, declared: set[str]) -> None:
    if rule_id not in declared:
        raise ValueError(f"the rule {rule_id!r} is not in the plugin's rules")


def hostile_texts() -> dict[str, str]:
    """Return texts that break careless code, by name: what `tavo plugin test` tries on a plugin.

    Empty, huge, one long line, NUL characters, directions, lone carriage returns, deep nesting and
    the like. All can be written as UTF-8.
    """
    return {
        "empty": "",
        "only line ends": "\n" * 10_000,
        "lone carriage returns": "a = 1\rb = 2\r" * 1_000,
        "mixed line ends": "a\r\nb\nc\rd\x0be\x0cf\x85g\u2028h\u2029",
        "no end of line": "x = 1",
        "NUL characters": "a\x00b\x00\n" * 1_000,
        "byte order mark": "\ufeffx = 1\n",
        "directions": "\u202e\u2066if admin\u2069\u202c = '\u200b\u200d\u2060'\n" * 100,
        "combining characters": "e" + "\u0301" * 20_000,
        "outside the first plane": "\U0001f600\U000e0041\U0010ffff" * 1_000,
        "escape sequences": "\x1b[2J\x1b]0;title\x07\x9b31m" * 500,
        "deep nesting": "[" * 20_000 + "]" * 20_000,
        "deep mapping": '{"a":' * 5_000 + "1" + "}" * 5_000,
        "unclosed": '"' * 9_999 + "((((" + "/*" * 1_000,
        "backtracking": "a" * 30_000 + "!" + " " * 30_000 + "x" * 30_000,
        "numbers": "9" * 50_000 + "." + "1e999" * 100,
        "not code": "%s %n {0} ${x} $(x) `x` {{x}} <x> ../../x C:\\x\n" * 200,
        "one long line": "token = " + "abc123XYZ_" * 100_000,
        "huge": "value = 'something that is neither long nor interesting'\n" * 30_000,
    }
