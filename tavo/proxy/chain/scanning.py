"""The process that looks at long texts for a proxy: it builds the same chain, and answers.

Rules this module keeps:
- a chain is built from what the proxy's was built from; the proxy compares their versions before it
  asks anything;
- a text of each request in turn, so that a short one does not wait for all of a long one;
- it lives for one proxy: when the other end is gone, it ends.

A frame is its length in 4 bytes and MessagePack. Both sides are of one version.

Units: sizes in bytes.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

import msgspec

from tavo.detect.rules import Match
from tavo.llm.parts import Kind
from tavo.proxy.chain.build import build_chain
from tavo.proxy.chain.chain import Chain, Compiled, Look, Said
from tavo.proxy.chain.values import Action, Judged, Where

__all__ = ["Answer", "Ask", "Begin", "Drop", "Ready", "Seen", "frame", "main", "received", "seen"]

LARGEST = 1 << 30
_HEAD = struct.Struct(">I")
_PART = 1 << 20
_NICER = 5
"""Whoever waits for the event loop goes before whoever sent a long text."""


class Begin(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Said first: what a chain is built from."""

    entries: list[dict[str, Any]]
    key: bytes
    observe: bool


class Ask(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Texts to look at, each with its kind: phase, role, kind, and whether it restores."""

    number: int
    texts: list[tuple[str, str, str, bool, bytes]]


class Drop(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Nobody waits for an answer any more."""

    number: int


class Ready(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The chain is built."""

    version: str


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A look. Matches are start, end and the number of the rule; see `Said` and `Judged`."""

    matches: list[tuple[int, int, int]]
    said: list[tuple[str, str, str, str, int, str, bool]]

    def look(self, chain: Chain, compiled: Compiled) -> Look:
        """Return what it means in a chain. Raises ValueError if it means nothing there."""
        rules = compiled.rules.rules if compiled.rules is not None else ()
        filters = {one.name: one for one in chain.filters}
        try:
            matches = tuple(Match(start, end, rules[at]) for start, end, at in self.matches)
            said = tuple(
                Said(filters[name], Judged(Action(action), label, reason, status, code), failed)
                for name, action, label, reason, status, code, failed in self.said
            )
        except (LookupError, ValueError) as error:
            raise ValueError(f"nothing here is called {error}") from None
        return Look(matches, said)


class Answer(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What was seen in the texts of a question, in their order."""

    number: int
    looks: list[Seen]


_Question = Begin | Ask | Drop
_QUESTIONS = msgspec.msgpack.Decoder(_Question)


def frame(message: msgspec.Struct) -> bytes:
    """Return a message with its length in front."""
    body = msgspec.msgpack.encode(message)
    return _HEAD.pack(len(body)) + body


def length_of(head: bytes) -> int:
    """Return how long a frame is. Raises ValueError for one that is too long."""
    (size,) = _HEAD.unpack(head)
    if size > LARGEST:
        raise ValueError(f"a frame of {size} bytes")
    return int(size)


def received(buffer: bytearray) -> Iterator[bytes]:
    """Take whole frames out of what came."""
    at = 0
    while len(buffer) - at >= _HEAD.size:
        end = at + _HEAD.size + length_of(bytes(buffer[at : at + _HEAD.size]))
        if end > len(buffer):
            break
        yield bytes(memoryview(buffer)[at + _HEAD.size : end])
        at = end
    del buffer[:at]


def seen(compiled: Compiled, data: bytes) -> Seen:
    """Look at a text."""
    look = compiled.look(data)
    numbers = {rule.id: at for at, rule in enumerate(compiled.rules.rules)} if look.matches and (
        compiled.rules is not None
    ) else {}  # fmt: skip
    return Seen(
        [(one.start, one.end, numbers[one.rule.id]) for one in look.matches],
        [
            (one.filter.name, one.judged.action.value, one.judged.label, one.judged.reason,
             one.judged.status, one.judged.code, one.failed)
            for one in look.said
        ],
    )  # fmt: skip


class _Scan:
    """What one connection asks for."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._chain: Chain | None = None
        self._open: OrderedDict[int, tuple[deque[tuple[str, str, str, bool, bytes]], list[Seen]]]
        self._open = OrderedDict()

    def run(self) -> None:
        """Answer until the other end is gone. Raises OSError, ValueError."""
        while self._hear(waiting=not self._open):
            if not self._open:
                continue
            number, (texts, looks) = self._open.popitem(last=False)
            if texts:
                looks.append(self._seen(*texts.popleft()))
            if texts:
                self._open[number] = texts, looks
            else:
                self._connection.sendall(frame(Answer(number, looks)))

    def _hear(self, *, waiting: bool) -> bool:
        """Take what is asked by now; tell whether the other end is there."""
        while waiting or select.select([self._connection], [], [], 0)[0]:
            data = self._connection.recv(_PART)
            if not data:
                return False
            self._buffer += data
            for body in received(self._buffer):
                self._take(_QUESTIONS.decode(body))
                waiting = False
        return True

    def _take(self, question: _Question) -> None:
        if isinstance(question, Begin):
            chain = build_chain(question.entries, key=question.key, observe=question.observe)
            self._chain = chain
            self._connection.sendall(frame(Ready(chain.version)))
        elif isinstance(question, Ask):
            self._open[question.number] = deque(question.texts), []
        else:
            self._open.pop(question.number, None)

    def _seen(self, phase: str, role: str, kind: str, restores: bool, data: bytes) -> Seen:
        if self._chain is None:
            raise ValueError("asked before it was begun")
        compiled = self._chain.compiled(Where(phase, role, Kind(kind), restores))
        if compiled is None:
            raise ValueError(f"nothing looks at {phase} {role} {kind}")
        return seen(compiled, data)


def main() -> int:
    """Serve the socket that is standard input."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICER)
    connection = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    connection.setblocking(True)
    try:
        _Scan(connection).run()
    except OSError:
        return 0  # whoever asked has gone
    return 0
