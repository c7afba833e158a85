"""Foreign text on its way to a terminal: nothing in it may steer one.

Rules this module keeps:
- controls, escape sequences, bidirectional overrides and unassigned characters are replaced;
- what a CI system would take for a command of its own is broken up: `##[...]` (GitHub, Azure) and
  `##teamcity[...]` anywhere; a line that begins with `::` (GitHub) by `uncommanded`;
- it imports nothing until a character needs it, because every command comes here.
"""

from __future__ import annotations

__all__ = ["counted", "one_line", "printable", "uncommanded"]


def printable(text: str) -> str:
    """Replace what could steer a terminal: controls, overrides, unassigned characters, `##[`."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _shown(c) for c in text)
    return text if "##" not in text else _broken(text)


def uncommanded(line: str) -> str:
    """Break up what a CI system takes for a command where a line holds it, also at its start."""
    if line.lstrip().startswith("::"):
        line = line.replace("::", ": :", 1)
    return line if "##" not in line else _broken(line)


def one_line(text: str) -> str:
    """Return the text printable and in one line: its line breaks become blanks."""
    return printable(" ".join(text.split()))


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 file`, `2 files`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _broken(text: str) -> str:
    import re

    return re.sub(r"#(?=#[A-Za-z]*\[)", "# ", text)


def _shown(character: str) -> str:
    import unicodedata

    if character == "\t":
        return "    "
    return (
        " "
        if unicodedata.category(character) in {"Zl", "Zp", "Zs"}
        else "\N{REPLACEMENT CHARACTER}"
    )
