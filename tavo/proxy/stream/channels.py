"""The texts of one answer that come in pieces: which piece belongs to which, and which is complete.

Rules this module keeps:
- a text that follows another of its choice and name is read together with it, too: blocks and parts
  of a message are one text for who shows it;
- a text of an unknown name is held while it may go on, until its choice has said other things
  `PATIENCE` times: servers send such texts whole, and nothing ends them. Should it go on after all,
  what begins in the part that was sent ends the stream;
- what stands in each event, such as the name of a server, is one text repeated, and holds nothing.

Units: sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tavo.detect.rules import from_bytes
from tavo.llm.dialect import Parts
from tavo.llm.parts import Kind
from tavo.proxy.stream.asking import Blocked, CutError, Desk
from tavo.proxy.stream.channel import Channel

__all__ = ["MOST_NAMES", "PATIENCE", "Channels"]

MOST_NAMES = 256
MOST_TEXTS = 1024
PATIENCE = 8
"""So many events of a choice that do not go on with a text of an unknown name let it go."""
MOST_TEXT_HELD = 256 << 10
_REPEATS = 256


class Channels:
    """All texts of an answer by their keys; `others` are those of unknown names."""

    __slots__ = ("_all", "_desk", "_latest", "others")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._all: dict[Any, Channel] = {}
        self._latest: dict[Any, Channel] = {}
        self.others: dict[Any, Channel] = {}

    def all(self) -> Iterable[Channel]:
        """Return all texts."""
        return self._all.values()

    def of(self, key: Any, kind: Kind) -> Channel:
        """Return the text that a piece belongs to. Raises Blocked."""
        channel = self._all.get(key)
        if channel is None:
            channel = self._opened(key, kind)
        if channel.closed:
            raise Blocked(self._desk.broken("a text went on after its end"))
        return channel

    def _opened(self, key: Any, kind: Kind) -> Channel:
        channel = self._all[key] = Channel(self._desk.rewriting(kind))
        if len(self._all) > MOST_TEXTS:
            raise Blocked(self._desk.broken("the answer has too many texts at once"))
        if kind is Kind.OTHER:
            self.others[key] = channel
            if len(self.others) > MOST_NAMES:
                raise Blocked(self._desk.broken("the answer has too many unknown fields"))
        elif len(key) > 2:
            before = self._latest.get(key[:2])
            if before is not None:
                self._end(before)
                channel.follow(before.tail)
            self._latest[key[:2]] = channel
        return channel

    def go_on(self, channel: Channel, data: bytes) -> None:
        """Take the next piece of a text. Raises Blocked."""
        channel.unheard = 0
        self._feed(channel, data)
        if channel.length - channel.final > MOST_TEXT_HELD:
            raise Blocked(
                self._desk.broken("a text cannot be judged in parts: it is held too long")
            )

    def repeats(self, key: Any, channel: Channel, data: bytes) -> bool:
        """Tell whether a text of an unknown name is only what it was before, again.

        It is judged as that, repeated; then its event waits for nothing. Raises Blocked.
        """
        if data != channel.repeats:
            channel.repeats = b"" if channel.length else data
            return False
        if channel.rewriting is not None and not channel.gone:
            many = data * (_REPEATS // len(data) + 2)
            self._desk.garbage(from_bytes(many))
            self._reopen(key, many)
            self._all[key].repeats = data
        return True

    def let_go(self, parts: Parts) -> None:
        """Wait no longer for texts of unknown names that their choice has not gone on with."""
        keys = {delta[0] for delta in parts.deltas}
        heard = {key[0] for key in keys}
        for key, channel in list(self.others.items()):
            is_heard = key[0] in heard or (key[0] == "" and bool(keys))
            if not channel.is_held or key in keys or not is_heard:
                continue
            channel.unheard += 1
            if channel.unheard >= PATIENCE:
                self._reopen(key, bytes(channel.texts))

    def _reopen(self, key: Any, before: bytes) -> None:
        """Take a text for complete. Should it go on after all: as one that knows what was sent, and
        cannot change it.
        """
        self._feed(self._all[key], b"", close=True)
        again = self.others[key] = self._all[key] = Channel(self._desk.rewriting(Kind.OTHER))
        again.follow(before)

    def close(self, keys: Sequence[Any] | None) -> None:
        """Take it that texts are complete; None for all. Raises Blocked."""
        for key in list(self._all) if keys is None else keys:
            channel = self._all.get(key)
            if channel is not None:
                self._end(channel)

    def _end(self, channel: Channel) -> None:
        if not channel.closed:
            channel.closed = True
            self._feed(channel, b"", close=True)

    def _feed(self, channel: Channel, data: bytes, *, close: bool = False) -> None:
        try:
            channel.feed(data, close=close)
        except CutError:
            why = "what a filter takes out began in a text that was taken for complete"
            raise Blocked(self._desk.broken(why)) from None
