"""An event that differs from the one before it in its piece of text alone, which need not be read.

Rules this module keeps:
- what an event is like is taken from one that was read, brings one piece of text and nothing else,
  and whose reader said so (`Parts.is_plain`): reading another one like it would change nothing and
  say the same;
- where its text stands is tried out: with another text there, the document is the same but for it;
- a text that JSON would write in another way than as it is, or of which something is not seen, is
  no such text: its event is read.

Units: positions in bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tavo.llm.dialect import Channel, Parts
from tavo.llm.parts import Kind

__all__ = ["Like"]

_SPECIAL = bytes((*range(32), 127, *b'"\\'))
_TRIED = b"a text that is tried out"
_decode = msgspec.json.Decoder().decode


class Like:
    """What stands before and after the text, and to which channel it belongs."""

    __slots__ = ("_after", "_before", "_path", "_rest", "channel", "key", "kind")

    def __init__(
        self, before: bytes, after: bytes, path: tuple[Any, ...], delta: tuple[Channel, Any, Kind]
    ) -> None:
        self._before = before
        self._after = after
        self._rest = len(before) + len(after)
        self._path = path
        self.channel, self.key, self.kind = delta

    @staticmethod
    def of(data: bytes, value: Any, parts: Parts) -> Like | None:
        """Return what an event is like, None where another one could not be told by that."""
        channel, holder, key, kind = parts.deltas[0]
        text = holder[key].encode("utf-8", "surrogatepass")
        said = b'"' + text + b'"'
        path = _path_to(value, holder)
        if not _is_as_it_is(text) or path is None or data.count(said) != 1 or _TRIED in text:
            return None
        before, _, after = data.partition(said)
        before, after = before + b'"', b'"' + after
        like = Like(before, after, path, (channel, key, kind))
        try:
            other = _decode(before + _TRIED + after)
            there = like.holder(other)
            if there[key] != _TRIED.decode():
                return None
        except (msgspec.DecodeError, LookupError, TypeError):
            return None  # it stood somewhere else
        there[key] = holder[key]
        return like if other == value else None

    def text(self, data: bytes) -> bytes | None:
        """Return the text of another event like it, None where it may be another one."""
        if not (data.startswith(self._before) and data.endswith(self._after)):
            return None
        if len(data) <= self._rest:
            return None
        text = data[len(self._before) : len(data) - len(self._after)]
        return text if _is_as_it_is(text) else None

    def holder(self, value: Any) -> Any:
        """Return what holds the text in the document of an event like it."""
        for step in self._path:
            value = value[step]
        return value


def _is_as_it_is(text: bytes) -> bool:
    return text.isascii() and len(text.translate(None, _SPECIAL)) == len(text) > 0


def _path_to(value: Any, holder: Any, deepest: int = 8) -> tuple[Any, ...] | None:
    """Return the keys that lead from a document to one of its parts."""
    if value is holder:
        return ()
    if deepest:
        entries = (
            value.items() if isinstance(value, dict)
            else enumerate(value) if isinstance(value, list) else ()
        )  # fmt: skip
        for key, entry in entries:
            if (path := _path_to(entry, holder, deepest - 1)) is not None:
                return (key, *path)
    return None
