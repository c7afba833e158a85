"""What one file tells the other files of a scan: what it uses, and which rules it matters for.

Rules this module keeps:
- an outline is made of one file alone, while its rules run, and belongs to its content;
- it holds no tree, and it imports no engine: a scan of known files links outlines without one.
"""

from __future__ import annotations

import msgspec

__all__ = ["NOTHING", "Outline", "Use", "decode_outline", "encode_outline"]


class Use(msgspec.Struct, frozen=True, array_like=True):
    """An imported name, and what is called of it: `.run` for `tools.run`, empty for itself."""

    dotted: str
    below: tuple[str, ...]


class Outline(msgspec.Struct, frozen=True, array_like=True):
    """What a file uses of others, and whether others can have to do with it.

    `exact` is false for a file that was not parsed: then `uses` are names that it may import, and
    nothing is known of what it calls or passes on. `passes` are the names under which others can
    import what it imports itself; `default` is the name of what it exports as such; `sinks` and
    `sources` are the rules that have some in it, or may have.
    """

    uses: tuple[Use, ...] = ()
    passes: tuple[tuple[str, str], ...] = ()
    default: str = ""
    sinks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
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
