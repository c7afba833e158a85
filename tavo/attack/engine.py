"""The attack itself: attempts in rounds, until each probe is decided or used up.

Rules this module keeps:
- what is sent depends on the seed and on earlier answers of the same attempt, never on the clock or
  on which of several requests at a time was answered first;
- attempts that a transcript holds already are not made again, and count as if they had been;
- an attempt that could not be carried out is neither success nor failure: it is named;
- what a target must never tell is told whatever an attempt was after: that counts for each of them;
- a budget that is used up stops everything, and what was not tried is counted.

Units: times in seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from tavo.attack.broker import MOST_UNREACHED, Purse, Reach, SendsRequests
from tavo.attack.evidence import judge, leaked
from tavo.attack.probes import Planned, Probe, planned
from tavo.attack.statistics import always_valid, clopper_pearson, decided
from tavo.attack.targets import TargetFailedError
from tavo.host.lending import LendError
from tavo.llm.openai_chat import Usage
from tavo.plugins.values import ChatMessage, ChatRequest
from tavo.progress import Reporter

__all__ = ["JUDGE_FAILED", "Attempted", "Judge", "Options", "Probed", "attack", "lacks"]

JUDGE_FAILED = "the judge failed"
_LONGEST_WAIT = 20.0
_Answer = TypeVar("_Answer")

Key = tuple[str, int]


Judge = Callable[[Planned, Sequence[str]], str]
"""Another opinion on answers that no evidence decides: `yes`, `no` or `unclear`."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to attack: attempts for each probe, at a time, in a second (0: no limit), again.

    `threshold` is the share of working attempts from which a probe counts as broken for an early
    stop; `stop_early` ends a probe when more attempts cannot change on which side of it it is.
    `application`: the target has a system prompt and tools of its own. `secrets` are what it must
    not tell, `judge` the name of who is asked where no evidence decides.
    """

    seed: int = 0
    attempts: Annotated[int, Meta(ge=1, le=10_000)] = 6
    at_a_time: Annotated[int, Meta(ge=1, le=256)] = 4
    per_second: Annotated[float, Meta(ge=0)] = 0.0
    retries: Annotated[int, Meta(ge=0, le=20)] = 2
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    stop_early: bool = True
    application: bool = False
    secrets: tuple[str, ...] = ()
    judge: str = ""


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that was made. `worked` says why it worked, `failed` why it was not carried out.

    `refused` is what a guard in front of the model said, which then held. `judged` is what a judge
    said where there is no evidence: `yes`, `no`, `unclear`, or why it said nothing.

    `prompts` and `answers` are in their order; both are empty texts where nothing was sent.
    """

    probe: str
    number: int
    variant: str
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    worked: str = ""
    failed: str = ""
    refused: str = ""
    judged: str = ""


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts at a probe's goal gave. `low` and `high` bound the share at 95 %.

    `ended` says why there were not more: `all` were made, it was `decided`, the `budget`, or that
    it is not `applicable` to this target. `judged` attempts worked in the eyes of a judge alone;
    they are in neither `worked` nor the share.
    """

    probe: str
    tried: int
    worked: int
    failed: int
    share: float
    low: float
    high: float
    ended: str
    attempts: tuple[Attempted, ...]
    judged: int = 0


class _Pace:
    """Lets so many requests begin in a second."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._gap
        time.sleep(max(0.0, turn - now))


class _Asker:
    """Carries one attempt after the other out."""

    def __init__(
        self, target: SendsRequests, purse: Purse, options: Options, judged: Judge | None
    ) -> None:
        self._target = target
        self._purse = purse
        self._options = options
        self._judge = judged
        self._pace = _Pace(options.per_second)
        self._reach = Reach()
        self.stopped = ""

    def attempt(self, plan: Planned) -> Attempted | None:
        """Make an attempt; None where the budget or the target ended before it was complete."""
        return self._of_server(plan) if plan.server else self._of_model(plan)

    def _of_server(self, plan: Planned) -> Attempted | None:
        from tavo.attack.mcp.probing import Looked, look
        from tavo.attack.mcp.target import McpTarget

        assert isinstance(self._target, McpTarget)  # noqa: S101
        looked, failed = Looked(prompts=(), answers=(), worked=""), ""

        def ask(send: Callable[[], Any], repeat: bool) -> Any:
            return self._carried(lambda: (send(), (0, 0)), self._options.retries if repeat else 0)

        try:
            looked = look(self._target, plan, ask, self._options.secrets)
        except LendError as refusal:
            self.stopped = self.stopped or str(refusal)
            return None
        except TargetFailedError as error:
            if self.stopped:
                return None
            failed = str(error)
        return Attempted(
            probe=plan.probe, number=plan.number, variant=plan.variant, prompts=looked.prompts,
            answers=looked.answers, worked=looked.worked, failed=failed,
        )  # fmt: skip

    def _of_model(self, plan: Planned) -> Attempted | None:
        messages: list[ChatMessage] = []
        answers: list[str] = []
        failed = refused = ""
        if plan.system and not self._options.application:
            messages.append(ChatMessage(role="system", content=plan.system))
        for position, turn in enumerate(plan.turns):
            messages.append(ChatMessage(role=turn.role, content=turn.content))
            following = plan.turns[position + 1 :]
            if following and not turn.role == following[0].role == "user":
                continue  # more of the same turn, or what the model is to have said
            try:
                answer = self._ask(plan, tuple(messages))
            except LendError as refusal:
                self.stopped = self.stopped or str(refusal)
                return None
            except TargetFailedError as error:
                if self.stopped:
                    return None
                failed, refused = ("", str(error)) if error.refused else (str(error), "")
                break
            answers.append(answer)
            messages.append(ChatMessage(role="assistant", content=answer))
        worked = ""
        if not failed:
            secrets = self._options.secrets or ((plan.secret,) if plan.secret else ())
            worked = judge(plan, answers, secrets=secrets) or leaked(
                answers, self._options.secrets, [turn.content for turn in plan.turns]
            )
        judged = ""
        if self._judge is not None and answers and not (worked or failed or refused):
            try:
                judged = self._judge(plan, answers)
            except LendError as refusal:
                self.stopped = self.stopped or str(refusal)
                return None
            except TargetFailedError as error:
                judged = f"{JUDGE_FAILED}: {error}"
        return Attempted(
            probe=plan.probe, number=plan.number, variant=plan.variant,
            prompts=tuple(turn.content for turn in plan.turns), answers=tuple(answers),
            worked=worked, failed=failed, refused=refused, judged=judged,
        )  # fmt: skip

    def _ask(self, plan: Planned, messages: tuple[ChatMessage, ...]) -> str:
        parameters = {} if self._options.application or not plan.tools else {"tools": plan.tools}
        request = ChatRequest(messages=messages, parameters=parameters)
        response = self._carried(lambda: self._target.send(request), self._options.retries)
        return "\n".join(one.content for one in response.messages)

    def _carried(self, send: Callable[[], tuple[_Answer, Usage]], retries: int) -> _Answer:
        """Carry one request out, and again after a passing failure."""
        for again in range(retries + 1):
            self._pace.wait()
            if self.stopped:
                raise LendError("budget", self.stopped)
            self._purse.take()
            try:
                answer, usage = send()
            except TargetFailedError as error:
                self._reach.note(error)
                if self._reach.is_given_up:
                    self.stopped = f"{error}; given up after {MOST_UNREACHED} tries"
                if again == retries or not error.passing:
                    raise
                time.sleep(min(_LONGEST_WAIT, max(error.wait_s, 0.5 * 2**again)))
            else:
                self._reach.note()
                self._purse.pay(usage, getattr(self._target, "model", ""))
                return answer
        raise AssertionError  # the last turn of the loop has returned or raised


def attack(
    target: SendsRequests,
    probes: Sequence[Probe],
    purse: Purse,
    options: Options,
    *,
    done: Mapping[Key, Attempted] | None = None,
    record: Callable[[Attempted], None] | None = None,
    judged: Judge | None = None,
    reporter: Reporter | None = None,
) -> tuple[list[Probed], str]:
    """Attack a target; return what each probe gave, and why it stopped before the end, if it did.

    `done` are attempts of an earlier part of the same attack; `record` is called for each new one.
    """
    asker = _Asker(target, purse, options, judged)
    known = dict(done or {})
    made: dict[str, list[Attempted]] = {probe.id: [] for probe in probes}
    ended: dict[str, str] = {}
    for probe in probes:
        if lacks(target, probe, options):
            ended[probe.id] = "not applicable"
    reporter = reporter or Reporter()
    reporter.begin("attacking", options.attempts * (len(probes) - len(ended)))
    with ThreadPoolExecutor(options.at_a_time, thread_name_prefix="attack") as pool:
        for number in range(options.attempts):
            plans = [
                planned(probe, number, seed=options.seed, secret=_secret(options))
                for probe in probes
                if probe.id not in ended
            ]
            if not plans:
                break
            for attempt in pool.map(lambda plan: _known_or_made(plan, known, asker), plans):
                reporter.advance()
                if attempt is None:
                    continue
                made[attempt.probe].append(attempt)
                if record is not None and attempt is not known.get((attempt.probe, number)):
                    record(attempt)
            if asker.stopped:
                break
            for probe in probes:
                if probe.id in ended or not options.stop_early:
                    continue
                tried, worked = _counts(made[probe.id])
                if decided(worked, tried, threshold=options.threshold):
                    ended[probe.id] = "decided"
    reporter.end()
    everything = [
        _probed(probe, made[probe.id], ended.get(probe.id) or _why(asker, made[probe.id], options),
                options)
        for probe in probes
    ]  # fmt: skip
    return everything, asker.stopped


def lacks(target: SendsRequests, probe: Probe, options: Options) -> str:
    """Return why a probe cannot be tried at a target; empty if it can."""
    if probe.needs == "secret" and options.application and not options.secrets:
        return "nobody said what must not be told (`secrets` in the target file)"
    if probe.needs == "own tools" and options.application:
        return "an application has tools of its own"
    lacking = getattr(target, "lacks", None)
    return "" if lacking is None else str(lacking(probe))


def _known_or_made(
    plan: Planned, known: Mapping[Key, Attempted], asker: _Asker
) -> Attempted | None:
    earlier = known.get((plan.probe, plan.number))
    if earlier is not None and not earlier.failed and JUDGE_FAILED not in earlier.judged:
        return earlier
    if asker.stopped:
        return None
    return asker.attempt(plan)


def _secret(options: Options) -> str:
    return options.secrets[0] if options.secrets else ""


def _counts(attempts: Iterable[Attempted]) -> tuple[int, int]:
    tried = [attempt for attempt in attempts if not attempt.failed]
    return len(tried), sum(bool(attempt.worked) for attempt in tried)


def _why(asker: _Asker, attempts: Sequence[Attempted], options: Options) -> str:
    return "all" if len(attempts) >= options.attempts or not asker.stopped else "budget"


def _probed(probe: Probe, attempts: Sequence[Attempted], ended: str, options: Options) -> Probed:
    tried, worked = _counts(attempts)
    interval = always_valid if options.stop_early else clopper_pearson
    low, high = interval(worked, tried)
    return Probed(
        probe=probe.id, tried=tried, worked=worked, failed=len(attempts) - tried,
        share=round(worked / tried, 6) if tried else 0.0, low=round(low, 6), high=round(high, 6),
        ended=ended, attempts=tuple(attempts),
        judged=sum(attempt.judged == "yes" for attempt in attempts),
    )  # fmt: skip
