"""What a filter is. Each is one file in `tavo.proxy.chain.filters`, named once in its `__init__`.

Rules this module keeps:
- a filter answers from its arguments and its configuration; what it remembers
  beside is digests, never texts;
- everything it does not override, it lets pass.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tavo.errors import ConfigError
from tavo.llm.parts import Tool
from tavo.proxy.chain.values import Arguments, Asked, Judged, OnError, Scope, TextRule, Where

if TYPE_CHECKING:
    from tavo.proxy.chain.pinned import Pinned

__all__ = ["Filter", "Settings"]


class Filter(ABC):
    """A filter with its configuration. Raises ConfigError for a configuration that is wrong."""

    kind: ClassVar[str]
    release: ClassVar[int] = 1
    """Counted up when the same configuration says something else than before."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.name
        self.on_error = settings.on_error
        self.version = settings.digest(self.release)

    def rules(self, where: Where) -> Sequence[TextRule]:
        """Return the rules about texts of a kind, in their order."""
        return ()

    def judges(self, where: Where) -> bool:
        """Tell whether `judge` wants texts of a kind."""
        return False

    def judge(self, text: str, where: Where) -> Judged | None:
        """Judge a whole text. The answer depends on nothing else: it is remembered."""
        return None

    def judge_call(self, name: str, arguments: Arguments, scope: Scope) -> Judged | None:
        """Judge a call of a tool that is complete."""
        return None

    def judge_tool(self, tool: Tool, phase: str, scope: Scope) -> Judged | None:
        """Judge the definition of a tool: one that is blocked is taken out of a server's list."""
        return None

    def judge_request(self, asked: Asked) -> Judged | None:
        """Judge a request by its figures, before its texts."""
        return None

    def prepare(self, body: Any, scope: Scope) -> bool:
        """Add to a request; tell whether it was changed."""
        return False


class Settings:
    """The configuration of one filter: each value is asked for once, what is left is an error."""

    def __init__(
        self, values: Mapping[str, Any], where: str, *, secret: bytes = b"",
        pinned: Pinned | None = None,
    ) -> None:  # fmt: skip
        """`pinned` is the table of tools that all workers share."""
        self._values = dict(values)
        self._given = dict(values)
        self._asked: set[str] = set()
        self.where = where
        self.secret = secret
        self.pinned = pinned
        self.kind = self.text("filter", "")
        self.name = self.text("name", self.kind)
        said = self.text("on_error", "block")
        if said not in {"block", "skip"}:
            raise self.error("on_error", "'block' or 'skip'", said)
        self.on_error = OnError(said)

    def digest(self, release: int) -> str:
        """Return what changes when the configuration does."""
        text = json.dumps([release, self._given], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _take(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        return self._values.pop(key, default)

    def error(self, key: str, expected: str, found: object) -> ConfigError:
        """Return the error for a value that is wrong."""
        return ConfigError(f"{self.where}: {key}: expected {expected}, found {found!r}")

    def text(self, key: str, default: str) -> str:
        """Take a text."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.error(key, "a text", value)
        return value

    def one_of(self, key: str, choices: Sequence[str], default: str) -> str:
        """Take one of some words."""
        value = self.text(key, default)
        if value not in choices:
            raise self.error(key, f"one of {', '.join(choices)}", value)
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "true or false", value)
        return value

    def number(
        self, key: str, default: float | None, *, low: float = 0.0, high: float = 1e15
    ) -> float | None:
        """Take a number."""
        value = self._take(key, default)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise self.error(key, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Take a list of texts; one text is a list of one."""
        value = self._take(key, list(default))
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.error(key, "a list of texts", value)
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """Take a mapping."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self.error(key, "a mapping", value)
        return value

    def mappings(self, key: str) -> list[dict[str, Any]]:
        """Take a list of mappings."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.error(key, "a list of mappings", value)
        return value

    def done(self) -> None:
        """Raise ConfigError for what nobody asked for, with the nearest right name."""
        if not self._values:
            return
        import difflib

        wrong = sorted(self._values)[0]
        known = sorted({*self._asked} - {"filter"})
        near = difflib.get_close_matches(wrong, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Its settings are {', '.join(known)}."
        raise ConfigError(f"{self.where}: {wrong!r} is no setting of {self.kind}", hint=hint)
