"""Where in a text a value may be put: only where showing the text shows it, and sends it nowhere.

Rules this module keeps:
- it goes by what stands before a place, byte by byte, so it does not matter how a text was cut;
- it takes too much rather than too little for a link: an unclosed tag, quote or bracket lasts to
  the end of the text. Several readers run side by side, each for one way to read; a place is plain
  where none of them is inside of anything;
- what follows a place is for the rules in `tavo.proxy.chain.placeholders`.

Sources: CommonMark 0.31 sections 4.7, 6.3 to 6.6; HTML Living Standard section 13.2.5 (tokens of
tags and attributes); CSS Values 4 section 4.5 (URLs).
"""

from __future__ import annotations

import re

from tavo.detect.seen import gaps_in, is_plain

__all__ = ["Showing"]

_SPACE = frozenset(b" \t\r\n")
_SIGN = re.compile(rb"[][<>(){\\/:%?&.=\"'!#-]")
_QUOTES = frozenset(b"\"'")
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LT, _GT, _OPEN, _CLOSE, _BACK, _BRACE = b"<>()\\{"
_SLASH, _COLON, _EQUALS, _BRACKET, _NEWLINE, _DOT = b"/:=]\n."
_BANG, _WHY, _MINUS, _AND, _HASH, _PERCENT = b"!?-&#%"
_MOST_PLACES = 4096
_HOLDING = frozenset({
    b"a", b"script", b"style", b"textarea", b"title", b"button", b"select", b"option", b"svg",
    b"math", b"template", b"noscript", b"noembed", b"noframes", b"xmp", b"plaintext", b"iframe",
    b"object", b"embed", b"form", b"frameset", b"map", b"audio", b"video", b"picture", b"canvas",
})  # fmt: skip
"""Elements in whose text nothing is put, either."""
_IMPORTING = (b"url", b"image", b"image-set", b"src")


class _Tags:
    """Tags and their attributes; `restarts`: a new tag begins inside of another one, too."""

    __slots__ = ("_last", "_restarts", "_state", "inside", "name", "open")

    def __init__(self, *, restarts: bool) -> None:
        self._restarts = restarts
        self._state = ""
        self._last = b""
        self.name = b""
        self.inside = False
        self.open: set[bytes] = set()

    @property
    def is_plain(self) -> bool:
        return not (self.inside or self.open)

    @property
    def is_idle(self) -> bool:
        """Whether only `<` means something."""
        return self._state == ""

    def feed(self, sign: int) -> None:
        state = self._state
        if sign == _LT and (state == "" or self._restarts):
            self._state, self.name = "<", b""
        elif state == "":
            return
        elif state == "<":
            self._begin(sign)
        elif state == "-->":
            self._last = (self._last + bytes((sign,)))[-3:]
            if self._last == b"-->":
                self._leave()
        elif state in {'"', "'"}:
            if sign == ord(state):
                self._state = "attributes"
        elif sign == _GT:
            self._leave()
        elif state == "name":
            self._name(sign)
        elif state == "value":
            if sign in _QUOTES:
                self._state = chr(sign)
            elif sign not in _SPACE:
                self._state = "unquoted"
        elif state == "unquoted":
            if sign in _SPACE:
                self._state = "attributes"
        elif state == "attributes" and sign == _EQUALS:
            self._state = "value"

    def _begin(self, sign: int) -> None:
        """Take what follows `<`."""
        if sign in _LETTERS or sign == _SLASH:
            self.inside, self._state = True, "name"
            self.name = bytes((sign,)).lower()
        elif sign in (_BANG, _WHY):
            self.inside, self._state, self.name = True, "name", b"!" if sign == _BANG else b"?"
        elif sign != _LT:
            self._state = "name" if self.inside else ""

    def _name(self, sign: int) -> None:
        if sign in _SPACE or (sign == _SLASH and self.name != b"/"):
            self._state = "attributes"
        elif len(self.name) < 24:
            self.name += bytes((sign,)).lower()
            if self.name == b"!--":
                self._state, self._last = "-->", b""

    def _leave(self) -> None:
        """Take the end of a tag."""
        self._state, self.inside = "", False
        if self.name.startswith(b"/"):
            self.open.discard(self.name[1:])
        elif self.name in _HOLDING:
            self.open.add(self.name)


class _Brackets:
    """What stands in brackets behind `](` or `url(`; a `)` that is escaped or quoted is none."""

    __slots__ = ("_depth", "_end", "_escaped", "_fresh")

    def __init__(self) -> None:
        self._depth = 0
        self._end = 0
        self._escaped = False
        self._fresh = False

    @property
    def is_plain(self) -> bool:
        return self._depth == 0

    def begin(self) -> None:
        """Take the bracket that opens it."""
        self._depth += 1
        self._fresh = True

    def feed(self, sign: int) -> None:
        if self._depth == 0:
            return
        escaped, self._escaped = self._escaped, sign == _BACK and not self._escaped
        if self._end:
            if sign == self._end and not escaped:
                self._end = 0
        elif self._fresh and (sign == _LT or sign in _QUOTES):
            self._end = _GT if sign == _LT else sign
        elif sign == _OPEN:
            self._depth += 1
        elif sign == _CLOSE and not escaped:
            self._depth -= 1
        if sign not in _SPACE:
            self._fresh = False


class _Definition:
    """What stands behind `]:`, to the end of the line on which it begins."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = 0  # 1: before it; 2: in it; 3: in it, in angles

    @property
    def is_plain(self) -> bool:
        return self._state == 0

    def feed(self, sign: int, before: int) -> None:
        if before == _BRACKET and sign == _COLON:
            self._state = 1
        elif self._state == 1 and sign not in _SPACE:
            self._state = 3 if sign == _LT else 2
        elif self._state == 2 and sign == _NEWLINE:
            self._state = 0
        elif self._state == 3 and sign == _GT:
            self._state = 2


class _Run:
    """Signs without a blank between them, as programs look for addresses to make links of."""

    __slots__ = ("_dot", "_last", "is_plain")

    def __init__(self) -> None:
        self._last = b""
        self._dot = False
        self.is_plain = True

    def skip(self, data: bytes) -> None:
        """Take signs that mean nothing, but for blanks."""
        blank = max(data.rfind(b" "), data.rfind(b"\n"), data.rfind(b"\t"), data.rfind(b"\r"))
        if blank >= 0:
            self.is_plain, self._dot, self._last = True, False, b""
        self._last = (self._last + data[blank + 1 :])[-4:]

    def feed(self, sign: int, before: int) -> None:
        if sign in _SPACE:
            self.is_plain, self._dot, self._last = True, False, b""
            return
        self._last = (self._last + bytes((sign,)))[-4:]
        if (
            sign in (_BACK, _PERCENT, _WHY)
            or (sign == _SLASH and (before == _SLASH or self._dot))
            or (before == _AND and (sign == _HASH or sign in _LETTERS))
            or self._last.lower() == b"www."
        ):
            self.is_plain = False
        self._dot = self._dot or sign == _DOT


class Showing:
    """Reads a text that may still grow. Positions are in bytes from its start."""

    __slots__ = (
        "_at", "_before", "_brackets", "_definition", "_is_idle", "_places", "_run", "_tags",
        "_word",
    )  # fmt: skip

    def __init__(self) -> None:
        self._at = 0
        self._before = 0
        self._word = b""
        self._tags = (_Tags(restarts=False), _Tags(restarts=True))
        self._brackets = _Brackets()
        self._definition = _Definition()
        self._run = _Run()
        self._places: dict[int, None] = {}
        self._is_idle = True

    def is_plain(self, start: int) -> bool:
        """Tell whether the brace at a position stands in plain text."""
        return start in self._places

    def feed(self, data: bytes) -> None:
        """Take the next piece of the text; what nobody sees of it means nothing."""
        if is_plain(data):
            self._feed(data)
            return
        at = 0
        for start, end in gaps_in(data):
            self._feed(data[at:start])
            self._at += end - start
            at = end
        self._feed(data[at:])

    def _feed(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            if self._is_idle:
                sign = _SIGN.search(data, at)
                until = end if sign is None else sign.start()
                if until > at:
                    said = data[at:until]
                    self._run.skip(said)
                    self._word = (self._word + said)[-9:]
                    self._before = said[-1]
                    at = until
                    continue
            self._take(self._at + at, data[at])
            at += 1
        self._at += end

    def _take(self, at: int, sign: int) -> None:
        first, second = self._tags
        if (
            sign == _BRACE and first.is_plain and second.is_plain and self._brackets.is_plain
            and self._definition.is_plain and self._run.is_plain
        ):  # fmt: skip
            self._places[at] = None
            if len(self._places) > _MOST_PLACES:
                del self._places[next(iter(self._places))]
        before = self._before
        first.feed(sign)
        second.feed(sign)
        opens = before == _BRACKET or self._word.lower().endswith(_IMPORTING)
        if sign == _OPEN and opens:
            self._brackets.begin()
        else:
            self._brackets.feed(sign)
        self._definition.feed(sign, before)
        self._run.feed(sign, before)
        self._word = (self._word + bytes((sign,)))[-9:]
        self._before = sign
        self._is_idle = (
            first.is_idle and second.is_idle and self._brackets.is_plain
            and self._definition.is_plain
        )  # fmt: skip
