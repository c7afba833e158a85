"""Placeholders on their way back: which value they stand for, and where it may be put.

Rules this module keeps:
- a value is remembered for a request as it went out, until its answer comes: two requests that wait
  at once, look the same and stand for different values are not told apart, and get nothing back;
- what is remembered is bounded in number and forgotten in the order in which it came;
- a value is put only where a placeholder is a word by itself in a line without a link, in a text
  without tags: elsewhere showing a text could send it to a stranger.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence

from tavo.plugins import ChatMessage

__all__ = ["PLACEHOLDER", "Memory", "disguised", "restored"]

PLACEHOLDER = re.compile(r"\[(?P<kind>[A-Z][A-Z0-9_]{0,30})_(?P<number>[0-9]{1,6})\]")
_MOST_REQUESTS = 256
_TAG = re.compile(r"<[A-Za-z/!?]")
_LINK = re.compile(r"//|\\\\|\]\(|\]:|www\.|(?:data|mailto|javascript|tel):", re.IGNORECASE)
_AROUND = "\"'`*_.,;:!?()-"


class Memory:
    """What the placeholders of the requests that wait for their answers stand for."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, tuple[dict[str, str], int]] = OrderedDict()

    def keep(self, messages: Sequence[ChatMessage], values: dict[str, str]) -> None:
        """Remember the values of a request as it goes out."""
        key = _key(messages)
        known, count = self._waiting.get(key, (values, 0))
        self._waiting[key] = (dict(values) if known == values else {}, count + 1)
        self._waiting.move_to_end(key)
        while len(self._waiting) > _MOST_REQUESTS:
            self._waiting.popitem(last=False)

    def taken(self, messages: Sequence[ChatMessage]) -> dict[str, str]:
        """Return what the placeholders of a request stand for, once; nothing if not sure."""
        key = _key(messages)
        values, count = self._waiting.pop(key, ({}, 0))
        if count > 1:
            self._waiting[key] = (values, count - 1)
        return values


def _key(messages: Sequence[ChatMessage]) -> bytes:
    digest = hashlib.sha256()
    for one in messages:
        for text in (one.role, one.content):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(data), data))
    return digest.digest()


def disguised(text: str) -> str:
    """Return a text in which nothing looks like a placeholder of ours."""
    return PLACEHOLDER.sub(lambda match: f"({match['kind']}_{match['number']})", text)


def restored(text: str, values: dict[str, str]) -> str:
    """Return a text with the values in it, where they may be."""
    if _TAG.search(text) or PLACEHOLDER.search(text) is None:
        return text
    lines = []
    for line in text.split("\n"):
        if PLACEHOLDER.search(line) and not _LINK.search(line):
            line = re.sub(r"\S+", lambda word: _word(word[0], values), line)
        lines.append(line)
    return "\n".join(lines)


def _word(word: str, values: dict[str, str]) -> str:
    match = PLACEHOLDER.search(word)
    if match is None or word.strip(_AROUND).removesuffix("'s") != match[0]:
        return word
    return word.replace(match[0], values.get(match[0], match[0]))
