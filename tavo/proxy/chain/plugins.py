"""Filters that are plugins: they run in workers of their own, so an exchange waits for them.

Rules this module keeps:
- plugins that may change messages are asked one after the other, each with what the one before
  made of them; those that only detect (`changes: false`) are asked at the same time;
- a call that fails or is late is no decision: `on_error` says what it means;
- a replacement has as many messages as were judged; another number is a failure;
- of an answer that is a stream, everything is held back until the plugins have seen all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from tavo.host.filters import FilterFailedError
from tavo.llm.parts import Kind, Reading, Slot
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse, Decision, FilterResult
from tavo.proxy.chain.chain import Said, failure_of
from tavo.proxy.chain.desk import ChainDesk
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Judged, kind_of

__all__ = ["Judging", "PluginFilter", "PluginFilters"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_KINDS = frozenset({Kind.TEXT, Kind.REASONING, Kind.OTHER, Kind.EMBEDDING})


class Worker(Protocol):
    """What a plugin's worker must be able to do; `tavo.host.filters.FilterWorker` is one."""

    full_id: str

    def submit(self, message: ChatRequest | ChatResponse) -> Any:
        """Hand a message in; returns a future with the decision."""


class PluginFilter(Filter):
    """A plugin in a chain.

    Settings: `plugin` (its full id), `phases` (`request`, `response`; both), `changes` (true).
    """

    kind: ClassVar[str] = "plugin"

    def __init__(self, settings: Settings, worker: Worker) -> None:
        super().__init__(settings)
        self.worker = worker
        self.phases = settings.texts("phases", ("request", "response"))
        self.changes = settings.flag("changes", True)
        settings.text("plugin", "")
        settings.done()
        for phase in self.phases:
            if phase not in {"request", "response"}:
                raise settings.error("phases", "request or response", phase)


class Judging:
    """One message on its way through the plugins; `texts` are the growing texts of a stream."""

    def __init__(self, filters: Sequence[PluginFilter], desk: ChainDesk, slots: list[Slot]) -> None:
        self._filters = filters
        self._desk = desk
        self._slots = slots
        self._outcomes: list[tuple[PluginFilter, FilterResult | Said]] = []
        self._request: ChatRequest | None = None
        self.texts: dict[Any, str] = {}
        self._messages = tuple(
            ChatMessage(role=slot.role if slot.role in _ROLES else "user", content=slot.text)
            for slot in slots
        )

    def about(self, request: ChatRequest | None) -> Judging:
        """Say which request the messages answer."""
        self._request = request
        return self

    async def run(self) -> None:
        """Ask the plugins. Never raises for one that failed."""
        detectors = [one for one in self._filters if not one.changes]
        asked = [asyncio.ensure_future(self._ask(one, self._messages)) for one in detectors]
        messages = self._messages
        for one in self._filters:
            if not one.changes:
                continue
            outcome = await self._ask(one, messages)
            self._outcomes.append((one, outcome))
            if isinstance(outcome, FilterResult):
                if outcome.decision is Decision.BLOCK:
                    break
                messages = outcome.replacement or messages
        for one, later in zip(detectors, asked, strict=True):
            self._outcomes.append((one, await later))

    async def _ask(
        self, one: PluginFilter, messages: tuple[ChatMessage, ...]
    ) -> FilterResult | Said:
        message: ChatRequest | ChatResponse
        if self._request is None:
            message = ChatRequest(messages=messages)
        else:
            message = ChatResponse(request=self._request, messages=messages)
        try:
            result = await asyncio.wrap_future(one.worker.submit(message))
        except FilterFailedError as error:
            return failure_of(one, str(error.failure.kind))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the exchange has ended; otherwise the worker gave its call up
            return failure_of(one, "stopped")
        except Exception as error:  # noqa: BLE001  whatever it is: the message is judged by policy
            return failure_of(one, "stopped" if isinstance(error, RuntimeError)
                              else type(error).__name__)  # fmt: skip
        if not isinstance(result, FilterResult):
            return failure_of(one, "invalid")
        if result.decision is Decision.MODIFY and (
            not one.changes or len(result.replacement) != len(messages)
        ):
            return failure_of(one, "invalid")
        return result

    def decide(self) -> bool:
        """Do what the plugins said; tell whether a text was changed. Raises Blocked."""
        changed = False
        for one, outcome in self._outcomes:
            if isinstance(outcome, Said):
                self._desk.decide(outcome)
                continue
            label = "+".join(map(kind_of, outcome.labels)) or one.worker.full_id
            if outcome.decision is Decision.BLOCK:
                reason = f"{one.name}: {outcome.reason}"
                self._desk.decide(Said(one, Judged(Action.BLOCK, label, reason)))
            elif outcome.decision is Decision.MODIFY:
                self._desk.note(one, Action.MODIFY, label)
                if self._desk.chain.observe:
                    continue
                for slot, message in zip(self._slots, outcome.replacement, strict=True):
                    if slot.text != message.content:
                        slot.write(message.content)
                        changed = True
        return changed


class PluginFilters:
    """The plugins of a chain."""

    def __init__(self, filters: Sequence[PluginFilter]) -> None:
        self._filters = tuple(filters)

    def wants(self, phase: str) -> bool:
        """Tell whether a plugin looks at a phase."""
        return any(phase in one.phases for one in self._filters)

    def request(self, reading: Reading, desk: ChainDesk) -> Judging | None:
        """Return the judging of a request, None where it holds no text."""
        slots = _judged(reading.slots)
        return Judging(self._of("request"), desk, slots) if slots else None

    def response(self, asked: Reading | None, reading: Reading, desk: ChainDesk) -> Judging | None:
        """Return the judging of a whole answer, None where it holds no text."""
        slots = _judged(reading.slots)
        if not slots:
            return None
        return Judging(self._of("response"), desk, slots).about(_request_of(asked))

    def stream(self, asked: Reading | None, texts: dict[Any, str], desk: ChainDesk) -> Judging:
        """Return the judging of the texts of a stream; `texts` of it are those to send."""
        slots = [Slot(texts, key, "assistant", Kind.TEXT) for key in texts]
        judging = Judging(self._of("response"), desk, slots).about(_request_of(asked))
        judging.texts = texts
        return judging

    def _of(self, phase: str) -> list[PluginFilter]:
        return [one for one in self._filters if phase in one.phases]


def _judged(slots: Sequence[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.holder is not None and slot.kind in _KINDS]


def _request_of(asked: Reading | None) -> ChatRequest:
    """Return what was asked, in the one form that plugins know."""
    slots = _judged(asked.slots) if asked is not None else []
    messages = tuple(
        ChatMessage(role=slot.role if slot.role in _ROLES else "user", content=slot.text)
        for slot in slots
    )
    none = (ChatMessage(role="user", content=""),)
    return ChatRequest(messages=messages or none, model=asked.model if asked is not None else "")
