"""Stars of Python that the grammar does not know, such as `return first, *[second]`.

Outside of brackets tree-sitter's grammar takes a star before a name only. What is here takes such a
star away for the parser, and puts a blank there, so that everything stays where it is. The value is
then a member like the others, which is what its finders want of it.

Rules this module keeps:
- a star is taken away only where one operand begins and nothing can be multiplied;
- what the tokenizer does not take is left as it is, and so is a source that is too long to ask.

Units: sizes in bytes.
"""

from __future__ import annotations

import io
import tokenize

__all__ = ["without_stars"]

_LONGEST = 256 << 10
_BEFORE = frozenset({",", "return", "yield", "in"})
_OPENING, _CLOSING = frozenset({"(", "[", "{"}), frozenset({")", "]", "}"})
_STAR, _BLANK = ord("*"), ord(" ")
_SKIPPED = frozenset({tokenize.NL, tokenize.COMMENT})


def without_stars(data: bytes) -> bytes:
    """Return UTF-8 source without the stars that the grammar does not know, of the same length."""
    if len(data) > _LONGEST or b"*" not in data:
        return data
    out = bytearray(data)
    depth, before, star = 0, "", -1
    try:
        text = data.decode("utf-8")
        starts = [0]
        for line in data.split(b"\n"):
            starts.append(starts[-1] + len(line) + 1)
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in _SKIPPED:
                continue
            said = token.string
            if star >= 0 and token.type != tokenize.NAME and out[star] == _STAR:
                out[star] = _BLANK
            star = -1
            if said in _OPENING:
                depth += 1
            elif said in _CLOSING:
                depth -= 1
            elif said == "*" and not depth and (before in _BEFORE or before.endswith("=")):
                row, column = token.start
                star = starts[row - 1] + len(token.line[:column].encode("utf-8"))
            before = said
    except (tokenize.TokenError, SyntaxError, ValueError, IndexError):
        pass
    return bytes(out)
