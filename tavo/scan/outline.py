"""What one file tells the other files of a scan: what it uses of them, and what it offers.

Rules this module keeps:
- an outline is made of one file alone, while its rules run, and belongs to its content;
- it holds no tree, and it imports no engine: a scan of known files links outlines without one;
- what a function does is text that only the files that call it read.
"""

from __future__ import annotations

import msgspec

__all__ = ["NOTHING", "Offer", "Outline", "Use", "decode_outline", "encode_outline"]


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A function that matters to callers in other files, by the name that they use.

    `content` is all that it does, as text, and `digest` stands for it; `meaning` stands for what a
    caller can learn from it, whatever the way the data takes inside.
    """

    name: str
    digest: bytes
    meaning: bytes
    content: msgspec.Raw


class Use(msgspec.Struct, frozen=True, array_like=True):
    """An imported name, and what is called of it: `.run` for `tools.run`, empty for itself."""

    dotted: str
    below: tuple[str, ...]


class Outline(msgspec.Struct, frozen=True, array_like=True):
    """What a file uses of others and offers to them; offers are by rule.

    `exact` is false for a file that was not parsed: then `uses` are names that it may import, and
    nothing is known of what it calls or passes on. `passes` are the names under which others can
    import what it imports itself; `default` is the name of what it exports as such; `sinks` and
    `sources` are the rules that have some in it.
    """

    uses: tuple[Use, ...] = ()
    passes: tuple[tuple[str, str], ...] = ()
    default: str = ""
    sinks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    offers: dict[str, tuple[Offer, ...]] = {}
    exact: bool = True


NOTHING = Outline()
"""The outline of a file that has nothing to do with others."""


def encode_outline(outline: Outline) -> bytes:
    """Return an outline as text, empty for one that says nothing."""
    return b"" if outline == NOTHING else msgspec.json.encode(outline)


def decode_outline(text: bytes | str) -> Outline | None:
    """Read an outline; None for what is none."""
    if not text:
        return NOTHING
    try:
        return msgspec.json.decode(text, type=Outline)
    except (msgspec.MsgspecError, ValueError):
        return None
