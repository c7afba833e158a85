"""What a dialect is: how a provider's requests, answers, stream events and errors are written.

Rules this module keeps:
- data in, data out; no I/O, and nothing that is decided: what may pass is for others to say;
- a document of another shape is no error here: what is not known is left to `Reading.rest`, which
  gives it out as text;
- one file for each dialect, listed once in `tavo.llm.known`.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tavo.llm.parts import Call, Kind, Reading, Slot, Usage, dumped, is_structure, place
from tavo.llm.usual import UsualAnswer, UsualRequest

__all__ = ["Broken", "Dialect", "EventReader", "Framing", "Operation", "Parts", "sse"]

Channel = tuple[Any, ...]
_DEEPEST = 64


class Framing(enum.Enum):
    """How the parts of an answer follow each other."""

    WHOLE = "whole"
    SSE = "sse"
    LINES = "lines"
    ARRAY = "array"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a request asks a provider for.

    `model` is set where the path names it. `has_text`: there is text in it, or in its answer.
    `stream`: None where the body says whether the answer is a stream.
    """

    dialect: Dialect
    name: str
    model: str = ""
    has_text: bool = True
    is_embedding: bool = False
    stream: bool | None = None
    framing: Framing = Framing.WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Why something does not go on: for the client, in its provider's words."""

    message: str
    code: str = "tavo_blocked"
    status: int = 403
    id: Any = None
    sequence: int = 0


class Parts:
    """What one event of a stream brings.

    `deltas`: pieces of text, each with its channel (choice, name, ...): channels of one choice and
    name are read one after the other. `starts`, `pieces`, `stops`: a call of a tool begins (key,
    name, id), goes on (key, holder, key of the piece) and is complete. `slots`, `joins` and `calls`
    stand whole in the event, of which `label` tells the kind. `strange` are calls that no dialect
    knows. `ends`: channels that are complete; None for all. `is_loose`: the event has no place in
    the order. `is_plain`: it brings one piece of text and nothing else, and
    reading it has left nothing behind: another one that differs in its text would be read alike.
    """

    __slots__ = (
        "calls", "deltas", "drops", "ends", "is_loose", "is_plain", "joins", "label", "pieces",
        "slots", "starts", "stops", "strange", "tools", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.deltas: list[tuple[Channel, Any, Any, Kind]] = []
        self.starts: list[tuple[Channel, str, str]] = []
        self.pieces: list[tuple[Channel, Any, Any]] = []
        self.stops: list[Channel] = []
        self.slots: list[Slot] = []
        self.joins: list[list[Slot]] = []
        self.calls: list[Call] = []
        self.strange: list[Call] = []
        self.tools: list[Any] = []
        self.ends: list[Channel] | None = []
        self.drops: list[tuple[Any, Any]] = []
        self.usage: Usage | None = None
        self.label = ""
        self.is_loose = False
        self.is_plain = False

    def whole(self, reading: Reading) -> None:
        """Take over what stands whole in the event."""
        self.slots += reading.slots
        self.joins += reading.joins
        self.calls += reading.calls
        self.tools += reading.tools
        self.drops += reading.drops
        if self.usage is None and any(reading.usage):
            self.usage = reading.usage

    def grown(
        self, reading: Reading, value: Any, path: Channel, depth: int = 0, under: Any = ""
    ) -> None:
        """Note the texts below a piece of an answer that nobody has noted: each may go on.

        What stands at the same path in later events is the same text; all entries of a list are
        one, as clients put them together. Parts of `content` are one text with it.
        """
        if depth > _DEEPEST:
            raise ValueError(f"values are nested deeper than {_DEEPEST} levels")
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            if reading.is_taken(value, key):
                continue
            where = (*path, key) if isinstance(key, str) else path
            within = key if isinstance(key, str) else under
            reading.name(key)
            if isinstance(entry, dict | list):
                if isinstance(entry, dict):
                    call = reading.disguised(within, entry)
                    if call is not None:
                        self.strange.append(call)
                self.grown(reading, entry, where, depth + 1, within)
            elif isinstance(entry, str) and entry and not is_structure(key, entry):
                is_content = where[1:] in {("content",), ("content", "text")}
                channel = (where[0], "content") if is_content else (where[0], "other", *where[1:])
                self.deltas.append((channel, value, key, Kind.TEXT if is_content else Kind.OTHER))
                reading.take(value, key)

    def finish(self, reading: Reading, event: Any) -> Parts:
        """Note what nobody has noted: texts that may go on, and what stands whole."""
        self.grown(reading, event if isinstance(event, dict | list) else [event], ("",))
        self.whole(reading)
        return self


class EventReader(ABC):
    """Reads the events of one stream in their order."""

    __slots__ = ("choices",)

    def __init__(self, choices: int = 1) -> None:
        """`choices`: so many answers were asked for."""
        self.choices = choices

    def read(self, event: Any) -> Parts:
        """Say what an event brings. Raises ValueError for one with two readings."""
        parts, reading = Parts(), Reading(is_answer=True, finds_calls=True)
        if isinstance(event, dict) and self._is_known(event, parts, reading):
            return parts
        return parts.finish(reading, event)

    def unfinished(self) -> Sequence[Call]:
        """Return calls that the stream has begun in a way of its own, and not ended."""
        return ()

    @abstractmethod
    def _is_known(self, event: dict[str, Any], parts: Parts, reading: Reading) -> bool:
        """Note what is known of an event; tell whether there can be nothing else in it."""

    def _choice(self, value: object, default: int = 0) -> int:
        """Return which choice a part belongs to. Raises ValueError.

        Who asked for one answer reads everything as that one, whatever its number.
        """
        index = place(value, default)
        if index >= self.choices:
            raise ValueError("the answer has more choices than were asked for")
        return index


class Dialect(ABC):
    """A provider's way to write. `names` are what a configuration may call it."""

    name: ClassVar[str]
    one_answer: ClassVar[bool] = True
    """An answer is one object; a list of answers is none."""

    @abstractmethod
    def operation(self, method: str, path: str, query: str) -> Operation | None:
        """Return what a request asks for, None where it is not this dialect's."""

    def read_request(self, operation: Operation, body: Any) -> Reading:
        """Say what the body of a request holds."""
        reading = Reading()
        if isinstance(body, dict):
            reading.model = operation.model or str(body.get("model") or "")
            reading.is_stream = body.get("stream") is True
            self._asked(reading, operation, body)
        reading.rest(body if isinstance(body, dict | list) else [body], "user")
        return reading

    def read_answer(self, operation: Operation, body: Any) -> Reading:
        """Say what the body of an answer holds that is no stream."""
        says = operation.has_text and not operation.is_embedding
        reading = Reading(is_answer=says, finds_calls=says)
        if isinstance(body, dict) and operation.has_text:
            self._answered(reading, operation, body)
        reading.rest(body if isinstance(body, dict | list) else [body], "assistant")
        return reading

    def usual_request(self, operation: Operation, data: bytes) -> UsualRequest | None:
        """Return what `read_request` would find, where that can be told at once."""
        return None

    def usual_answer(self, operation: Operation, data: bytes) -> UsualAnswer | None:
        """Return what `read_answer` would find, where that can be told at once."""
        return None

    @abstractmethod
    def _asked(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        """Note what is known of a request; model and stream are noted."""

    @abstractmethod
    def _answered(self, reading: Reading, operation: Operation, body: dict[str, Any]) -> None:
        """Note what is known of an answer."""

    @abstractmethod
    def events(self, operation: Operation, choices: int = 1) -> EventReader:
        """Return a reader for the events of an answer that is a stream."""

    @abstractmethod
    def refusal(self, why: Broken) -> bytes:
        """Return the body of an error answer."""

    @abstractmethod
    def broken_off(self, why: Broken, framing: Framing) -> bytes:
        """Return what ends a stream so that the provider's own client raises an error."""


def sse(value: Any, *, event: str = "") -> bytes:
    """Return a server-sent event."""
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + dumped(value) + b"\n\n"
