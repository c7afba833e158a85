"""What a dynamic, proxy or log plugin must stand, tried inside its own process.

Rules this module keeps:
- everything is tried twice: the same input must give the same answer;
- what takes too long is ended, and after a few of these the rest is not tried, which is said;
- nothing that the plugin raises ends the trial, except a cancel of the host.

A static plugin is tried by the host instead (`tavo.kit.static_trial`), as a scan runs it. Standard
library only: it runs beside the plugin. Units: times in milliseconds of processor time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tavo.kit.own_tests import Patience, attempt
from tavo.plugins import (
    BasePlugin,
    BudgetError,
    Event,
    FilterResult,
    TargetError,
)
from tavo.plugins.testing import (
    ScriptedTarget,
    analyze,
    answer,
    ask,
    attack,
    event,
    hostile_texts,
)

__all__ = ["HostileTrial"]

_MOST_PROBLEMS = 20
_MOST_REQUESTS = 1_000
_SMALL = 100_000
_LET_GO = ("TargetError", "BudgetError")


class HostileTrial:
    """The trial of one plugin, whose files lie in `folder`; `start` makes one and starts it.

    `facts` are what it cost; `digest` is of all that it answered.
    """

    def __init__(
        self,
        plugin: type[BasePlugin],
        *,
        config: Mapping[str, Any],
        start: Callable[[], BasePlugin],
        folder: Path,
    ) -> None:
        self.facts: dict[str, Any] = {}
        self._class: Any = plugin
        self._config = config
        self._started = start
        self._folder = folder
        self._problems: list[str] = []
        self._digest = hashlib.sha256()
        self._patience = Patience()

    @property
    def digest(self) -> str:
        """Return the digest so far, in hexadecimal."""
        return self._digest.hexdigest()

    @property
    def problems(self) -> list[str]:
        """Return what was wrong, up to a bound."""
        more = ["the rest: not tried, because of what took too long"]
        return [*self._problems, *(more if self._patience.is_used_up else [])][:_MOST_PROBLEMS]

    def run(self, plugin_type: str) -> None:
        """Try everything that there is for a type of plugins."""
        tries = {"dynamic": self._dynamic, "proxy": self._proxy, "log": self._log}
        if plugin_type in tries:
            tries[plugin_type]()

    def _attempt(self, act: Callable[[], str]) -> tuple[str, str]:
        return attempt(act, self._patience, self._folder)

    def _dynamic(self) -> None:
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
                results, problem = self._attempt(lambda m=model: repr(attack(self._class, m,  # type: ignore[misc]
                                            config=self._config)))  # fmt: skip
                most = max(most, len(model.requests))
                if problem and script in (silent, poor) and problem.startswith(_LET_GO):
                    continue  # the host reports it; what was tried by then is lost, no more
                if problem:
                    self._problems.append(f"against {name}: {problem}")
                    break
                answers.append(results)
            if len(set(answers)) > 1:
                self._problems.append(f"against {name}: two runs gave different results")
            self._digest.update(repr(answers[:1]).encode("utf-8", "replace"))
        self.facts["requests"] = most
        if not most:
            self._problems.append("it never called target.send")

    def _proxy(self) -> None:
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
                    result, problem = self._attempt(partial(_filter_once, one, message))
                    took.append((time.thread_time() - began) * 1000)
                    if problem:
                        self._problems.append(f"a {phase} with {name}: {problem}")
                        break
                    results.append(result)
                if len(set(results)) > 1:
                    self._problems.append(f"a {phase} with {name}: judged twice, two decisions")
                self._digest.update(repr(results[:1]).encode("utf-8", "replace"))
                if len(text) <= _SMALL:
                    slowest = max(slowest, min(took))
                else:
                    slowest_large = max(slowest_large, min(took))
        deadline = getattr(self._class, "deadline_ms", 50)
        self.facts.update(deadline_ms=deadline, slowest_ms=round(slowest, 2),
                     slowest_large_ms=round(slowest_large, 2))  # fmt: skip
        if slowest > deadline:
            self._problems.append(
                f"a message of at most {_SMALL} characters took {slowest:.0f} ms of processor"
                f" time, its deadline is {deadline} ms"
            )

    def _log(self) -> None:
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
                result, problem = self._attempt(
                    lambda e=events, b=batch: self._analysis(e, b)  # type: ignore[misc]
                )
                if problem:
                    self._problems.append(f"{name}: {problem}")
                    break
                answers.append(result)
            self.facts["ms_for_10000_events"] = round((time.thread_time() - began) * 1000 / 2, 1)
            if len(set(answers)) > 1:
                self._problems.append(f"{name}: two runs gave different results")
            self._digest.update(repr(answers[:1]).encode("utf-8", "replace"))

    def _analysis(self, events: list[Event], batch: int) -> str:
        analysis = analyze(self._class, events, batch=batch, config=self._config)
        known = {(event.source, event.number) for event in events}
        for finding in analysis.findings:
            at = finding.location
            if at.region is None or (str(at.path), at.region.start_line) not in known:
                raise ValueError(f"a finding is about {at.path}, which is none of the events")
        return repr(analysis)


def _filter_once(call: Callable[[Any], object], message: Any) -> str:
    result = call(message)
    if not isinstance(result, FilterResult):
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
