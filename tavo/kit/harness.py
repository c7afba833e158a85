"""The kit's side inside the worker: it stands in front of an author's plugin and rehearses it.

Rules this module keeps:
- it is a static plugin itself, so that the sandbox, the limits and the protocol are those of every
  plugin; a job comes in as a file of JSON, its answer goes out as findings;
- what it sees through the interpreter's audit hook is telemetry for honest authors, no boundary:
  compiled code passes it by, and a hostile plugin can lie to it. The sandbox is the boundary;
- nothing that the plugin raises ends a job, except a cancel of the host.

It runs under the name `tavo_kit_harness` beside the plugin's files, and never in tavo's own
process. Standard library only. Units: times in milliseconds of processor time.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TextIO, cast

import tavo
import tavo.plugins
from tavo.plugins import (
    AttackResult,
    BasePlugin,
    BudgetError,
    CancelledCall,
    Context,
    DynamicTestingPlugin,
    Event,
    Finding,
    Location,
    LogAnalysisPlugin,
    NotAvailableError,
    ProxyFilteringPlugin,
    Rule,
    Severity,
    StaticAnalysisPlugin,
    TargetError,
)
from tavo.plugins.raised import describe
from tavo.plugins.worker import class_of

__all__ = ["NOTHING_LENT", "Harness"]

_ANSWER = "tavo-kit-answer"
_CHUNK = 3_000
_MOST_SEEN = 20
_MOST_REQUESTS = 1_000
_SMALL = 100_000
NOTHING_LENT = "nothing is lent in a rehearsal"
_LET_GO = ("TargetError", "BudgetError")
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
        self._seen = _Seen(self._folder, context.work_directory)
        self._printed = _Printed()
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
                return {"error": f"its {step} start and stop: {_said(error)}"}
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

        if self._context.config["plugin_type"] != "static":
            return []
        samples = self._folder / "tests" / "samples"
        for path in sorted(samples.rglob("*")):
            if path.is_file():
                text = path.read_bytes()[:_SMALL].decode("utf-8", "replace")
                name = path.relative_to(samples).as_posix()
                texts.append(
                    (name, text, lambda files: find_in(self._class, files, config=self._config))
                )
        found, problem = _attempt(lambda: "\n".join(column_problems(texts)), patience)
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
        problems: list[str] = []
        digest = hashlib.sha256()
        facts: dict[str, Any] = {}
        kind = self._context.config["plugin_type"]
        from tavo.kit.own_tests import Patience

        self._patience = Patience()
        getattr(self, f"_rehearse_{kind}")(problems, digest, facts)
        if self._patience.is_used_up:
            problems.append("the rest: not tried, because of what took too long")
        return {"problems": problems[:_MOST_SEEN], "digest": digest.hexdigest(), "facts": facts}

    def _rehearse_dynamic(self, problems: list[str], digest: Any, facts: dict[str, Any]) -> None:
        from tavo.plugins.testing import ScriptedTarget, attack, hostile_texts

        def silent(_: Any) -> str:
            raise TargetError("no answer came")

        def poor(request: Any) -> str:
            raise BudgetError("the budget of 0 requests is used up")

        models: dict[str, Any] = {
            "a model that gives no answer": silent,
            "a budget that is used up": poor,
            "a model that refuses": ["I cannot help with that."],
            "a model that agrees": ["Sure, here it is."],
            "a model that repeats the prompt": lambda request: request.messages[-1].content,
            **{f"a model that answers with {name}": [text]
               for name, text in hostile_texts().items()},
        }  # fmt: skip
        most = 0
        for name, script in models.items():
            if self._patience.is_used_up:
                break
            answers = []
            for _ in range(2):
                model = ScriptedTarget(_limited(script))
                results, problem = _attempt(lambda m=model: repr(attack(self._class, m,  # type: ignore[misc, arg-type]
                                            config=self._config)), self._patience)  # fmt: skip
                most = max(most, len(model.requests))
                if problem and script in (silent, poor) and problem.startswith(_LET_GO):
                    continue  # the host reports it; what was tried by then is lost, no more
                if problem:
                    problems.append(f"against {name}: {problem}")
                    break
                answers.append(results)
            if len(set(answers)) > 1:
                problems.append(f"against {name}: two runs gave different results")
            digest.update(repr(answers[:1]).encode("utf-8", "replace"))
        facts["requests"] = most
        if not most:
            problems.append("it never called target.send")
        else:
            self._seen.add("target", "target.send")

    def _rehearse_proxy(self, problems: list[str], digest: Any, facts: dict[str, Any]) -> None:
        from tavo.plugins.testing import answer, ask, hostile_texts

        plugin, again = self._started(), self._started()
        texts = {"a greeting": "Hello, how are you?", **hostile_texts()}
        slowest, slowest_large = 0.0, 0.0
        for name, text in texts.items():
            if self._patience.is_used_up:
                break
            request = ask(text, system="Be brief.")
            for phase, message in (
                ("request", request), ("response", answer(text, ask("Hello"))),
            ):  # fmt: skip
                call = getattr(plugin, f"filter_{phase}")
                took = []
                results = []
                for one in (call, call, getattr(again, f"filter_{phase}")):
                    began = time.thread_time()
                    result, problem = _attempt(partial(_filter_once, one, message), self._patience)
                    took.append((time.thread_time() - began) * 1000)
                    if problem:
                        problems.append(f"a {phase} with {name}: {problem}")
                        break
                    results.append(result)
                if len(set(results)) > 1:
                    problems.append(f"a {phase} with {name}: judged twice, two decisions")
                digest.update(repr(results[:1]).encode("utf-8", "replace"))
                if len(text) <= _SMALL:
                    slowest = max(slowest, min(took))
                else:
                    slowest_large = max(slowest_large, min(took))
        deadline = getattr(self._class, "deadline_ms", 50)
        facts.update(deadline_ms=deadline, slowest_ms=round(slowest, 2),
                     slowest_large_ms=round(slowest_large, 2))  # fmt: skip
        if slowest > deadline:
            problems.append(
                f"a message of at most {_SMALL} characters took {slowest:.0f} ms of processor"
                f" time, its deadline is {deadline} ms"
            )

    def _rehearse_log(self, problems: list[str], digest: Any, facts: dict[str, Any]) -> None:
        from tavo.plugins.testing import analyze, event, hostile_texts

        deep: Any = "end"
        for _ in range(14):
            deep = {"a": [deep]}
        odd: tuple[Any, ...] = (None, True, -1, 1e308, "", [], {}, [None, {"a": []}], deep)
        hostile = [
            event(text[:_SMALL], number=number, user=text[:1000], **{"field " + name: text[:1000]})
            for number, (name, text) in enumerate(hostile_texts().items(), start=1)
        ]
        names = ("user", "model", "status", "prompt", "finish_reason", "tokens", "error")
        hostile += [
            event("odd", number=1000 + number, **dict.fromkeys(names, value))
            for number, value in enumerate(odd)
        ]
        plain = [event(f"request {n}", number=n, user=f"u{n % 7}", status=200)
                 for n in range(1, 10_001)]  # fmt: skip
        for name, events, batch in (
            ("no events", [], 1), ("hostile events", hostile, 1000),
            ("hostile events one by one", hostile, 1), ("10,000 plain events", plain, 1000),
        ):  # fmt: skip
            if self._patience.is_used_up:
                break
            answers = []
            began = time.thread_time()
            for _ in range(2):
                result, problem = _attempt(
                    lambda e=events, b=batch: self._analysis(analyze, e, b),  # type: ignore[misc]
                    self._patience,
                )
                if problem:
                    problems.append(f"{name}: {problem}")
                    break
                answers.append(result)
            facts["ms_for_10000_events"] = round((time.thread_time() - began) * 1000 / 2, 1)
            if len(set(answers)) > 1:
                problems.append(f"{name}: two runs gave different results")
            digest.update(repr(answers[:1]).encode("utf-8", "replace"))

    def _analysis(self, analyze: Any, events: list[Event], batch: int) -> str:
        analysis = analyze(self._class, events, batch=batch, config=self._config)
        known = {(event.source, event.number) for event in events}
        for finding in analysis.findings:
            at = finding.location
            if at.region is None or (str(at.path), at.region.start_line) not in known:
                raise ValueError(f"a finding is about {at.path}, which is none of the events")
        return repr(analysis)

    def _rehearse_static(self, problems: list[str], digest: Any, facts: dict[str, Any]) -> None:
        """Do nothing: the host runs a static plugin itself, as a scan does."""

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


class _Seen:
    """What the interpreter reported that needs a permission, by permission."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.names: dict[str, set[str]] = {}
        needed = [
            place
            for name, module in list(sys.modules.items())
            if name.startswith("tavo_plugins.")
            for place in module.__path__
        ]
        inside = [
            str(folder.parent),
            str(work),
            os.getcwd(),
            "/dev/",
            "/usr/share/zoneinfo",
            "/etc/localtime",
            f"{sys.base_prefix}/lib",
            *filter(None, sys.path),
            *needed,
        ]
        self._inside = tuple(dict.fromkeys(os.path.realpath(path) for path in inside))
        self._own = os.path.realpath(folder.parent)  # its files, and its dependencies beside them
        self._code = (str(folder) + os.sep, os.path.realpath(folder) + os.sep)
        sys.addaudithook(self._hook)
        self._watch_environment()

    def add(self, kind: str, name: object) -> None:
        """Note one thing, up to a bound."""
        names = self.names.setdefault(kind, set())
        if len(names) < _MOST_SEEN:
            names.add(ascii(name)[1:-1][:200] if isinstance(name, str) else ascii(name)[:200])

    def ask(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Note what a plugin asks the host for; it gets nothing in a rehearsal."""
        from tavo.plugins.plain import permission_asked

        self.add(*permission_asked(kind, content))
        raise NotAvailableError(NOTHING_LENT)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in {"open", "os.listdir", "os.scandir"}:
            self._path(arguments[0])
        elif event in {"socket.connect", "socket.sendto"}:
            address = arguments[1]
            self.add("network", address[0] if isinstance(address, tuple) else address)
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            if arguments[0]:
                self.add("network", arguments[0])
        elif event == "urllib.Request":
            self.add("network", str(arguments[0]).partition("://")[2].partition("/")[0])
        elif event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn"}:
            name = arguments[0] if event != "os.spawn" else arguments[1]
            self.add("subprocess", os.path.basename(os.fsdecode(name)) if name else "?")
        elif event == "os.system":
            self.add("subprocess", str(arguments[0]).split(" ")[0])
        elif event in {"os.fork", "os.forkpty"}:
            self.add("subprocess", event)
        elif event == "ctypes.dlopen" and arguments[0]:
            self.add("native_code", arguments[0])
        elif event == "import" and arguments[1]:
            place = str(arguments[1])
            if place.startswith(self._own) or not self._is_inside(place):
                self.add("native_code", arguments[0])

    def _path(self, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            text = os.path.abspath(os.fsdecode(path))
            if not self._is_inside(text):
                self.add("files", text)

    def _is_inside(self, path: str) -> bool:
        return os.path.realpath(path).startswith(self._inside)

    def _watch_environment(self) -> None:
        """Note which variables the plugin's own code asks for.

        What Python's library and the dependencies look up is theirs: nearly all ask for HOME or
        LANG, and get what the worker has, which is nothing of the user's.
        """
        kind = type(os.environ)
        original = kind.__getitem__

        def watched(environment: Any, name: Any) -> Any:
            frame = inspect.currentframe()
            while frame is not None and (
                frame.f_code.co_filename == __file__
                or os.path.basename(frame.f_code.co_filename) in {"os.py", "_collections_abc.py"}
                or frame.f_code.co_filename.startswith("<frozen")
            ):
                frame = frame.f_back
            if frame is not None and frame.f_code.co_filename.startswith(self._code):
                self.add("env", name)
            return original(environment, name)

        kind.__getitem__ = watched  # type: ignore[method-assign]


class _Printed(io.TextIOBase):
    """Takes what the plugin prints, and keeps its beginning."""

    def __init__(self) -> None:
        self.text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if len(self.text) < 200:
            self.text += text[:200]
        return len(text)


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
        if len(texts) < _MOST_SEEN:
            texts.extend(
                (path, content, lambda changed: original(plugin, changed, **given))
                for path, content in files.items()
                if isinstance(content, str)
            )
        return original(plugin, files, **given)

    testing.find_in = noted
    return texts


def _attempt(act: Callable[[], str], patience: Any) -> tuple[str, str]:
    """Return what the plugin answered, or what went wrong."""
    try:
        with patience.bounded():
            return act(), ""
    except CancelledCall:
        raise
    except BaseException as error:  # noqa: BLE001
        return "", str(error) if type(error).__name__ == "TooLongError" else _said(error)


def _filter_once(call: Callable[[Any], object], message: Any) -> str:
    result = call(message)
    if not isinstance(result, tavo.plugins.FilterResult):
        raise TypeError(f"it returned {ascii(result)[:100]}, expected tavo.plugins.FilterResult")
    return repr(result)


def _limited(script: Any) -> Any:
    """Return the script as a function that ends an attack that never ends."""
    count = 0

    def answers(request: Any) -> str:
        nonlocal count
        count += 1
        if count > _MOST_REQUESTS:
            raise RuntimeError(f"it sent more than {_MOST_REQUESTS} requests in one run")
        return str(script(request) if callable(script) else script[min(count, len(script)) - 1])

    return answers


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


def _said(error: BaseException) -> str:
    """Say in one line what was raised, and where in the plugin."""
    return str(describe(error, str(Path(__file__).parent))["message"])
