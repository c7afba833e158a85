"""What a stream asks of who judges it, and what it is told.

Rules this module keeps:
- a stream decides nothing about texts: it asks a `Desk`, which raises `Blocked`;
- what is asked about is bounded by the stream, not by the desk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tavo.detect.rules import Match, RuleSet
from tavo.llm.dialect import Broken
from tavo.llm.parts import Call, Kind, Slot

__all__ = ["Blocked", "CutError", "Desk", "Edit", "Rewriting"]

Edit = tuple[int, int, str]
"""Bytes from, bytes to, the text that comes there."""


class Blocked(Exception):  # noqa: N818  (no failure: a decision, on its way up)
    """The answer must not go on; `why` is what the client is told."""

    def __init__(self, why: Broken) -> None:
        super().__init__(why.message)
        self.why = why


class CutError(Exception):
    """What would have to be changed begins in a text that has been sent on."""


class Rewriting(Protocol):
    """What a text that grows is looked at with, and what its matches mean."""

    sets: Sequence[RuleSet]

    def heard(self, data: bytes) -> None:
        """Take the next piece of the text, before `edits` is asked about it."""

    def edits(
        self, matches: Sequence[Sequence[Match]], text: Callable[[int, int], str], final: int
    ) -> tuple[list[Edit], int, Broken | None]:
        """Return what to change, how much is final now, and why the text must end there, if so."""


class Desk(Protocol):
    """Where an answer is judged."""

    def rewriting(self, kind: Kind) -> Rewriting | None:
        """Return how one text that grows is judged; None where nothing looks at it."""

    def slots(self, slots: list[Slot]) -> bool:
        """Judge texts that stand whole; tell whether one was changed. Raises Blocked."""

    def joins(self, joins: list[list[Slot]], glues: Sequence[str] = ("",)) -> bool:
        """Judge texts as one that may be put together; as `slots`."""

    def call(self, call: Call) -> bool:
        """Judge a complete call; tell whether its arguments were changed. Raises Blocked."""

    def strange(self, calls: list[Call]) -> None:
        """Judge what may be calls and comes in a way that no dialect knows. Raises Blocked."""

    def tools(self, tools: list[Any]) -> bool:
        """Judge tools that a server describes. Raises Blocked."""

    def across(self, before: str, text: str, role: str, kind: Kind) -> None:
        """Judge what stands across two events. Raises Blocked."""

    def garbage(self, text: str) -> None:
        """Judge what is no JSON. Raises Blocked."""

    def broken(self, reason: str) -> Broken:
        """Return what the client is told where the stream itself is at fault."""
