"""A README as HTML: the part of Markdown that READMEs use, from anybody's hand.

Rules this module keeps:
- every character of the text is escaped; tags come from here only, out of a fixed list;
- links lead to http, https and mailto, say that nobody here vouches for them, and images become
  their text: a page loads nothing from elsewhere;
- each line and each character is looked at a bounded number of times, whatever the text is.

Not read: HTML, references, footnotes. They show as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

__all__ = ["LONGEST", "render"]

LONGEST = 64 * 1024
_DEEPEST = 4
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[^`]*$")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_ITEM = re.compile(r"( {0,8})([-*+]|[0-9]{1,4}[.)])[ \t]+(.*)")
_CELLS = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*\|?[ \t]*$")
_LINK = re.compile(r"(!?)\[([^\[\]\n]{0,300})\]\(([^()\s]{1,500})\)")
_AUTO = re.compile(r"<(https?://[^<>\s]{1,500})>")
_SAFE = re.compile(r"(?:https?://[^/]|mailto:[^/])", re.IGNORECASE)
_BOLD = re.compile(r"\*\*([^\s*](?:[^*\n]{0,300}[^\s*])?)\*\*")
_ITALIC = re.compile(r"(?<![\w*])[*_]([^\s*_](?:[^*_\n]{0,300}[^\s*_])?)[*_](?![\w*])")


def render(text: str) -> str:
    """Return HTML for a Markdown text; what is longer than `LONGEST` characters is cut."""
    lines = text[:LONGEST].replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(_blocks(lines, 0))


def _blocks(lines: list[str], depth: int) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif fence := _FENCE.match(line):
            end = _end_of_fence(lines, at + 1, fence[1])
            yield f"<pre><code>{escape(chr(10).join(lines[at + 1 : end]))}</code></pre>"
            at = end + 1
        elif heading := _HEADING.match(line):
            # The page has the first two levels for itself.
            level = min(6, len(heading[1]) + 2)
            yield f"<h{level}>{_inline(heading[2].rstrip('# '))}</h{level}>"
            at += 1
        elif _RULE.match(line):
            yield "<hr>"
            at += 1
        elif line.startswith("    "):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            code = "\n".join(one[4:] for one in lines[at:end]).rstrip()
            yield f"<pre><code>{escape(code)}</code></pre>"
            at = end
        elif line.lstrip().startswith(">") and depth < _DEEPEST:
            end = at
            while end < len(lines) and lines[end].lstrip().startswith(">"):
                end += 1
            inner = [one.lstrip()[1:].removeprefix(" ") for one in lines[at:end]]
            yield "<blockquote>" + "\n".join(_blocks(inner, depth + 1)) + "</blockquote>"
            at = end
        elif _ITEM.match(line) and depth < _DEEPEST:
            end = _end_of_list(lines, at)
            yield _list(lines[at:end], depth)
            at = end
        elif "|" in line and at + 1 < len(lines) and _CELLS.match(lines[at + 1]):
            end = at + 2
            while end < len(lines) and "|" in lines[end]:
                end += 1
            yield _table(lines[at], lines[at + 2 : end])
            at = end
        else:
            end = at + 1
            while end < len(lines) and not _begins(lines[end]):
                end += 1
            yield f"<p>{_inline(' '.join(one.strip() for one in lines[at:end]))}</p>"
            at = end


def _begins(line: str) -> bool:
    """Tell whether a line ends the paragraph before it."""
    return not line.strip() or bool(
        _FENCE.match(line) or _HEADING.match(line) or _RULE.match(line) or _ITEM.match(line)
        or line.lstrip().startswith(">")
    )  # fmt: skip


def _end_of_fence(lines: list[str], at: int, fence: str) -> int:
    while at < len(lines):
        stripped = lines[at].strip()
        if stripped.startswith(fence) and not stripped.strip(fence[0]):
            return at
        at += 1
    return at


def _end_of_list(lines: list[str], at: int) -> int:
    end = at + 1
    while end < len(lines):
        line = lines[end]
        if not line.strip():
            following = lines[end + 1] if end + 1 < len(lines) else ""
            if not (_ITEM.match(following) or following.startswith("  ")):
                return end
        elif not (_ITEM.match(line) or line.startswith("  ")) and not lines[end - 1].strip():
            return end
        end += 1
    return end


def _list(lines: list[str], depth: int) -> str:
    """Return a list; what is indented further than its first item belongs to the item before."""
    first = _ITEM.match(lines[0])
    indent = len(first[1]) if first else 0
    ordered = bool(first and first[2][0].isdigit())
    items: list[tuple[str, list[str]]] = []
    for line in lines:
        item = _ITEM.match(line)
        if item and len(item[1]) <= indent + 1:
            items.append((item[3], []))
        elif items:
            items[-1][1].append(line)
    parts = []
    for text, more in items:
        width = min((len(one) - len(one.lstrip()) for one in more if one.strip()), default=0)
        inner = [one[width:] for one in more]
        body = "\n".join(_blocks(inner, depth + 1)) if any(map(str.strip, inner)) else ""
        parts.append(f"<li>{_inline(text)}{body}</li>")
    tag = "ol" if ordered else "ul"
    return f"<{tag}>{''.join(parts)}</{tag}>"


def _table(head: str, rows: list[str]) -> str:
    def cells(line: str, tag: str) -> str:
        values = line.strip().strip("|").split("|")
        return "".join(f"<{tag}>{_inline(value.strip())}</{tag.split()[0]}>" for value in values)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = cells(head, 'th scope="col"')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _inline(text: str) -> str:
    """Return the inside of a block: code first, then links, then emphasis."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # the last one is not closed
        parts[-2:] = ["`".join(parts[-2:])]
    return "".join(
        f"<code>{escape(part)}</code>" if number % 2 else _linked(part)
        for number, part in enumerate(parts)
    )


def _linked(text: str) -> str:
    found: list[str] = []
    at = 0
    while at < len(text):
        link, auto = _LINK.search(text, at), _AUTO.search(text, at)
        first = min((one for one in (link, auto) if one), key=lambda one: one.start(), default=None)
        if first is None:
            break
        found.append(_emphasised(text[at : first.start()]))
        if first is auto:
            found.append(_anchor(first[1], first[1]))
        elif first[1]:
            found.append(f"[image: {escape(first[2])}]" if first[2] else "[image]")
        else:
            found.append(_anchor(first[3], first[2]))
        at = first.end()
    return "".join(found) + _emphasised(text[at:])


def _anchor(target: str, text: str) -> str:
    shown = _emphasised(text)
    if not _SAFE.match(target):
        return shown
    return f'<a href="{escape(target)}" rel="nofollow noopener noreferrer">{shown}</a>'


def _emphasised(text: str) -> str:
    shown = escape(text)
    shown = _BOLD.sub(r"<strong>\1</strong>", shown)
    return _ITALIC.sub(r"<em>\1</em>", shown)
