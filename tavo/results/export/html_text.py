"""The one place where text becomes HTML."""

from __future__ import annotations

import re

from tavo.printable import printable, uncommanded

__all__ = ["as_markdown", "as_text"]

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_SPECIAL = re.compile("[&<>\"']")


def as_text(text: str) -> str:
    """Return text that is text in an element, and in the quotes of an attribute."""
    safe = "\n".join(uncommanded(printable(line)) for line in text.split("\n"))
    return _SPECIAL.sub(lambda found: _ENTITIES[found.group()], safe)


def as_markdown(text: str) -> str:
    """Return the help of a rule: fenced code, lists and paragraphs with code; the rest as it is."""
    out: list[str] = []
    for number, part in enumerate(re.split(r"^```[^\n]*\n?", text, flags=re.MULTILINE)):
        if number % 2:
            out.append(f"<pre>{as_text(part.rstrip())}</pre>")
            continue
        for block in re.split(r"\n\s*\n", part.strip()):
            lines = block.split("\n")
            if re.match(r"[-*] ", lines[0]):
                items = re.split(r"^[-*] ", block, flags=re.MULTILINE)[1:]
                out.append(f"<ul>{''.join(f'<li>{_inline(item)}' for item in items)}</ul>")
            elif block:
                out.append(f"<p>{_inline(re.sub(r'^#+ ', '', block))}</p>")
    return "".join(out)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", as_text(text.strip()))
