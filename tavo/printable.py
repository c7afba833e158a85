"""Foreign text on its way to a terminal: nothing in it may steer one.

Rules this module keeps:
- controls, escape sequences, bidirectional overrides and unassigned characters are replaced;
- it imports nothing until a character needs it, because every command comes here.
"""

from __future__ import annotations

__all__ = ["one_line", "printable"]


def printable(text: str) -> str:
    """Replace characters that could steer a terminal: controls, overrides, unassigned ones."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _shown(c) for c in text)


def one_line(text: str) -> str:
    """Return the text printable and in one line: its line breaks become blanks."""
    return printable(" ".join(text.split()))


def _shown(character: str) -> str:
    import unicodedata

    if character == "\t":
        return "    "
    return (
        " "
        if unicodedata.category(character) in {"Zl", "Zp", "Zs"}
        else "\N{REPLACEMENT CHARACTER}"
    )
