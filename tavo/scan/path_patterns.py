"""Patterns for paths as in .gitignore, from strangers: rules, and the project that is scanned.

Rules this module keeps:
- the library that reads them is imported where there are some;
- its engine has a limit for all patterns together: where it is reached, they are split, and the
  last part that says something about a path decides, as the last pattern does;
- a pattern that cannot be used is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["LONGEST_PATTERN", "PathPatterns"]

LONGEST_PATTERN = 500
"""How many characters a pattern may have: 500 brackets take milliseconds, 20,000 take minutes."""

_MOST_TOGETHER = 1_000


class PathPatterns:
    """Patterns in their order; `unusable` are those that could not be read, and why."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.unusable: list[tuple[str, str]] = []
        self._parts: list[GitIgnoreSpec] = []
        usable = []
        for pattern in patterns:
            if len(pattern) > LONGEST_PATTERN:
                reason = f"it has more than {LONGEST_PATTERN} characters"
                self.unusable.append((pattern[:LONGEST_PATTERN], reason))
            else:
                usable.append(pattern)
        for at in range(0, len(usable), _MOST_TOGETHER):
            self._read(usable[at : at + _MOST_TOGETHER])

    def verdict(self, path: str) -> bool | None:
        """Tell whether the patterns include a path or take it out again, None for neither."""
        text = path.encode("utf-8", "replace").decode()  # a name need not be text
        for part in reversed(self._parts):
            found = part.check_file(text).include
            if found is not None:
                return found
        return None

    def _read(self, patterns: Sequence[str]) -> None:
        from pathspec import GitIgnoreSpec

        try:
            self._parts.append(GitIgnoreSpec.from_lines(patterns))
        except Exception as error:  # noqa: BLE001  (the engine that the library chose has its own)
            if len(patterns) == 1:
                self.unusable.append((patterns[0], str(error)))
                return
            half = len(patterns) // 2
            self._read(patterns[:half])
            self._read(patterns[half:])
