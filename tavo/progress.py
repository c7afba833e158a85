"""How an engine reports what it is doing, without knowing who listens.

The base `Reporter` does nothing: libraries take one as an argument and never print.
"""

from __future__ import annotations

__all__ = ["Reporter"]


class Reporter:
    """An observer of long work. Every method does nothing; override what you want to show."""

    def begin(self, what: str, total: int | None, unit: str = "") -> None:
        """Start a stage: `what` is a short noun phrase, `total` the number of steps if known.

        The unit `bytes` says that steps are bytes.
        """

    def advance(self, steps: int = 1) -> None:
        """Report that so many steps of the current stage are done."""

    def end(self) -> None:
        """Finish the current stage."""

    def note(self, message: str) -> None:
        """Say one sentence that the user should see, such as a skipped file."""
