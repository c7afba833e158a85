"""What a worker may ask of the host in the middle of a call, and who serves it.

Rules this module keeps:
- nothing is lent that the manifest does not declare and the user did not grant;
- the host acts, the worker only hears the outcome: no descriptor, no credential, no address of
  ours goes to a worker;
- what was asked is hostile: its shape, its size and its destination are judged before anything
  is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["LendError", "Lender", "Lenders"]


class LendError(Exception):
    """What was asked for is not given.

    `kind` is `budget`, `target`, `http`, `file`, `program` or `not_available`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Lender(Protocol):
    """Serves the questions of one worker."""

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Return the answer as plain JSON. Raises LendError."""


class Lenders:
    """Several lenders as one, by the kind of what is asked for."""

    def __init__(self, by_kind: Mapping[str, Lender]) -> None:
        self._by_kind = dict(by_kind)

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of the lender for this kind. Raises LendError."""
        lender = self._by_kind.get(kind)
        if lender is None:
            raise LendError("not_available", f"{kind} is not lent to this plugin")
        return lender.lend(kind, content)
