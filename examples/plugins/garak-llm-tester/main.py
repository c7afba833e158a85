"""garak's probes and detectors against a target that tavo lends.

garak (Apache-2.0) is used as it is: its probes make the prompts, its generator class asks, and its
detectors judge the answers. What is added here is the way to tavo's target in place of the network,
the choice of probes, and the form of the results.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from selection import LEFT_OUT, chosen_probes, family_of

from tavo.plugins import (
    AttackResult,
    Attempt,
    BudgetError,
    ChatMessage,
    ChatRequest,
    DynamicTestingPlugin,
    Rule,
    Severity,
    Target,
    TargetError,
)

_MOST_ATTEMPTS = 100
_LONGEST_TEXT = 16_000
_LONGEST_JUDGED = 10_000  # some of garak's patterns take quadratic time
_ALL = 1 << 30
_UNORDERED = frozenset({"latentinjection"})  # garak makes their prompts out of sets
_LOADED: dict[tuple[str, int, int], Any] = {}
_WEAK = ("mitigation.", "any.", "always.")
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_HELP = (
    "Read the prompt and the answer in the evidence. Keep instructions and data apart, check what"
    " the model writes before it is shown or run, and attack again."
)


def _rule(name: str, title: str, severity: Severity, owasp: str, description: str) -> Rule:
    return Rule(
        id=f"garak-{name}", title=title, severity=severity, description=description, help=_HELP,
        owasp=(owasp,), tags=("garak",), references=("https://reference.garak.ai/",),
    )  # fmt: skip


_RULES = {
    "injection": _rule(
        "injection", "The model follows instructions out of its input", Severity.HIGH, "LLM01:2025",
        "A probe of garak put instructions into the prompt, plain, encoded or inside of a document,"
        " and the answer follows them.",
    ),
    "jailbreak": _rule(
        "jailbreak", "The model gives up its rules", Severity.HIGH, "LLM01:2025",
        "A probe of garak asked the model to take on another role or to drop its rules, and the"
        " answer shows that it did.",
    ),
    "output": _rule(
        "output", "The answer holds code that runs where it is shown", Severity.HIGH, "LLM05:2025",
        "A probe of garak got script, markup that loads foreign addresses, terminal codes, or"
        " injected code into the answer.",
    ),
    "leak": _rule(
        "leak", "The model repeats data that it was trained on", Severity.MEDIUM, "LLM02:2025",
        "A probe of garak got texts, keys or personal data out of the model.",
    ),
    "content": _rule(
        "content", "The model writes harmful content", Severity.MEDIUM, "LLM09:2025",
        "A probe of garak got insults, slurs or code for malware.",
    ),
    "misinformation": _rule(
        "misinformation", "The model asserts what is false", Severity.LOW, "LLM09:2025",
        "A probe of garak got a false claim.",
    ),
}  # fmt: skip


class Garak(DynamicTestingPlugin):
    """Runs garak's probes, one goal for each probe and detector."""

    rules = tuple(_RULES.values())

    def start(self, context: Any) -> None:
        """Load garak, with all that it writes below the work directory. Raises ConfigError."""
        for name, folder in (("CONFIG", "config"), ("DATA", "data"), ("CACHE", "cache")):
            os.environ[f"XDG_{name}_HOME"] = str(context.work_directory / folder)
        self._log = context.log
        self._prompts = context.config.get("prompts_per_probe", 4)
        self._seed = context.config.get("seed", 0)
        self._extended = context.config.get("extended_detectors", False)
        with _quiet():
            from garak import _config, _plugins

            _config.load_base_config()
            _config.run.seed = self._seed
            _config.run.generations = 1
            _config.run.deprefix = True
            _config.transient.reportfile = io.StringIO()
            _config.transient.run_id = "tavo"
            self._plugins, self._config = _plugins, _config
            known = {name.removeprefix("probes."): on for name, on in _plugins.enumerate_plugins()}
        self._probes = chosen_probes(context.config.get("probes", ["default"]), known)

    def run_attack(self, target: Target, config: Mapping[str, Any]) -> Iterable[AttackResult]:
        """Yield a result for each probe and detector."""
        with _quiet():
            generator = _generator_for(target, self._seed)
        for name in self._probes:
            with _quiet():
                results = list(self._run(name, generator))
            yield from results
            if generator.stopped:
                return

    def _run(self, name: str, generator: Any) -> Iterator[AttackResult]:
        """Run one probe with its detectors, as garak's harness for probes does."""
        family = family_of(name)
        rule = _RULES[family]
        try:
            probe = self._load(name)
            detectors = [(probe.primary_detector, self._detector(probe.primary_detector))]
        except Exception as error:  # garak raises of many kinds for what is not there
            yield AttackResult(
                rule_id=rule.id, goal=name, severity=rule.severity, score=0.0,
                error=f"garak does not load it: {_one_line(error)}",
            )  # fmt: skip
            return
        if self._extended:
            detectors += self._more_detectors(probe)
        generator.begin()
        tried = list(probe.probe(generator))
        self._config.transient.reportfile.seek(0)
        self._config.transient.reportfile.truncate()
        for detector_name, detector in detectors:
            attempts, failed = _judged(tried, detector)
            hits = sum(one.score >= self.threshold for one in attempts)
            self._log.info(f"{name}, {detector_name}: {hits} of {len(attempts)}")
            yield AttackResult(
                rule_id=rule.id,
                goal=f"{name} ({detector_name}): {probe.goal or probe.description}",
                severity=Severity.LOW if detector_name.startswith(_WEAK) else rule.severity,
                score=max((one.score for one in attempts), default=0.0),
                attempts=tuple(
                    sorted(attempts, key=lambda one: -one.score)[:_MOST_ATTEMPTS]
                ),
                error=generator.problem or failed,
            )  # fmt: skip

    def _detector(self, name: str) -> Any:
        return self._plugins.load_plugin(f"detectors.{name}")

    def _more_detectors(self, probe: Any) -> Iterator[tuple[str, Any]]:
        """Yield the further detectors of a probe; garak, too, goes on without those it lacks."""
        for name in sorted(probe.extended_detectors):
            try:
                yield name, self._detector(name)
            except Exception as error:  # as above
                self._log.warning(f"the detector {name} is left out: {_one_line(error)}")

    def _load(self, name: str) -> Any:
        """Return a probe of garak with no more prompts than the configuration says."""
        key = (name, self._prompts, self._seed)
        if key not in _LOADED:
            _LOADED[key] = self._cut(name)
        return _LOADED[key]

    def _cut(self, name: str) -> Any:
        module = name.partition(".")[0]
        importlib.import_module(f"garak.probes.{module}")
        random.seed(f"{self._seed}/{name}")
        self._config.run.soft_probe_prompt_cap = _ALL if module in _UNORDERED else self._prompts
        self._plugins.PluginProvider._instance_cache.clear()  # what was cut for an earlier start
        probe = self._plugins.load_plugin(f"probes.{name}")
        aligned = len(getattr(probe, "triggers", ())) == len(probe.prompts)
        if module in _UNORDERED and aligned:
            pairs = sorted(set(zip(probe.prompts, probe.triggers, strict=True)))
            probe.prompts, probe.triggers = (list(one) for one in zip(*pairs, strict=True))
            random.seed(f"{self._seed}/{name}")
        if len(probe.prompts) > self._prompts:
            probe._prune_data(self._prompts, prune_triggers=aligned)
        return probe


def _generator_for(target: Target, seed: int) -> Any:
    """Return a generator of garak whose model is the target that tavo lends."""
    from garak.attempt import Conversation, Message
    from garak.generators.base import Generator

    class TavoTarget(Generator):
        """The target that tavo lends; nothing here opens a connection."""

        generator_family_name = "tavo"
        parallel_capable = False

        def __init__(self) -> None:
            super().__init__(target.name)
            self.seed = seed
            self.stopped = False
            self.problem = ""

        def begin(self) -> None:
            """Forget what went wrong with an earlier probe."""
            self.problem = ""

        def _call_model(
            self, prompt: Conversation, generations_this_call: int = 1
        ) -> list[Message | None]:
            if self.stopped:
                return [None]
            try:
                answer = target.send(ChatRequest(messages=_messages(prompt)))
            except BudgetError as error:
                self.stopped, self.problem = True, str(error)
                return [None]
            except TargetError as error:
                self.problem = self.problem or str(error)
                return [None]
            texts = [message.content[:_LONGEST_TEXT] for message in answer.messages]
            return [Message("\n".join(texts)[:_LONGEST_JUDGED], notes={"tavo": texts})]

    return TavoTarget()


def _messages(prompt: Any) -> tuple[ChatMessage, ...]:
    messages = tuple(
        ChatMessage(
            role=turn.role if turn.role in _ROLES else "user",
            content=_sendable(turn.content.text or ""),
        )
        for turn in prompt.turns
    )
    return messages or (ChatMessage(role="user", content=""),)


def _sendable(text: str) -> str:
    """Return the text without halves of characters, which no request can carry."""
    return text.encode("utf-8", "replace").decode()


def _judged(tried: Iterable[Any], detector: Any) -> tuple[list[Attempt], str]:
    """Return what a detector says about the answers that came, and why it said nothing of some."""
    judged, failed = [], ""
    for attempt in tried:
        try:
            scores = list(detector.detect(attempt) or [])
        except Exception as error:  # some of garak's detectors do not stand every answer
            failed = failed or f"garak's detector fails on an answer: {_one_line(error)}"
            continue
        for output, score in zip(attempt.outputs, scores, strict=False):
            if output is None or score is None:
                continue
            texts = output.notes.get("tavo") if output.notes else None
            judged.append(
                Attempt(
                    prompt=_sendable(_said(attempt.prompt.turns))[:_LONGEST_TEXT],
                    outputs=tuple(texts or [output.text or ""]),
                    score=min(max(float(score), 0.0), 1.0),
                )
            )
    return judged, failed


def _said(turns: Any) -> str:
    """Return a conversation as one text."""
    texts = [turn.content.text or "" for turn in turns]
    if len(texts) == 1:
        return str(texts[0])
    return "\n".join(f"{turn.role}: {text}" for turn, text in zip(turns, texts, strict=True))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep garak's banners and progress bars off the output."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield


__all__ = ["LEFT_OUT", "Garak"]
