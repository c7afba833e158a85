"""A call of a tool that comes in pieces, and every way in which a client may put it together.

Rules this module keeps:
- clients differ: some join the names of all pieces, some take the last; some begin a new call with
  a new id, some go by the index alone. Each way is judged, and all must be allowed;
- a call under way holds the events that it stands in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tavo.detect.rules import to_bytes
from tavo.llm.parts import Call, strict_json
from tavo.proxy.stream.asking import Blocked, Desk

__all__ = ["Calling"]

MOST_NAMES = 64


class _One:
    """What stands under one id."""

    __slots__ = ("id", "names", "pieces")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.names: list[str] = []
        self.pieces: list[tuple[Any, Any, Any]] = []

    @property
    def arguments(self) -> str:
        return "".join(holder[where] for _, holder, where in self.pieces)


class Calling:
    """A call under way; `done` once it was judged."""

    __slots__ = ("_all", "done")

    def __init__(self) -> None:
        self._all = [_One("")]
        self.done = False

    def begin(self, name: str, id_: str, desk: Desk) -> None:
        """Take a name or an id; a server may repeat both in each piece. Raises Blocked."""
        last = self._all[-1]
        if id_ and last.id and id_ != last.id:
            last = _One(id_)
            self._all.append(last)
        last.id = last.id or id_
        if name:
            last.names.append(name)
        if max(len(self._all), len(set(last.names))) > MOST_NAMES:
            raise Blocked(desk.broken("a call of a tool has too many names"))

    def go_on(self, entry: Any, holder: Any, where: Any) -> int:
        """Take a piece of the arguments, which stands in an event; return its size in bytes."""
        self._all[-1].pieces.append((entry, holder, where))
        return len(to_bytes(holder[where]))

    def judge(self, desk: Desk, *, observe: bool) -> None:
        """Judge the call, which is complete. Raises Blocked."""
        for one in self._all:
            self._judge_one(one, desk, observe=observe)
        if len(self._all) > 1:
            arguments = "".join(one.arguments for one in self._all)
            if _is_readable(arguments):
                for name in _readings([name for one in self._all for name in one.names]):
                    desk.call(Call(name, {"arguments": arguments}, "arguments", is_copy=True))
        self.done = True

    def _judge_one(self, one: _One, desk: Desk, *, observe: bool) -> None:
        changed = False
        for name in _readings(one.names):
            box = {"arguments": one.arguments}
            changed = desk.call(Call(name, box, "arguments")) or changed
        if not changed or not one.pieces or observe:
            return
        # the first piece that says something: some clients read no other kind of event
        said = [n for n, (_, holder, where) in enumerate(one.pieces) if holder[where]]
        for number, (entry, holder, where) in enumerate(one.pieces):
            holder[where] = box["arguments"] if number == (said or [0])[0] else ""
            entry.changed = True


def _readings(names: list[str]) -> Iterator[str]:
    """Yield what a client may take for the name of a call."""
    distinct = list(dict.fromkeys(names))
    if len(distinct) < 2:
        yield "".join(distinct)
        return
    yield "".join(names)
    yield from distinct


def _is_readable(arguments: str) -> bool:
    """Tell whether a client can read the arguments of several calls as those of one."""
    try:
        strict_json(arguments or "{}")
    except RecursionError:
        return True
    except ValueError:
        return False
    return True
