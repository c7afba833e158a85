"""What one file tells the other files of a scan: what it uses, and which rules it matters for.

Rules this module keeps:
- an outline is made of one file alone, while its rules run, and belongs to its content;
- it holds no tree, and it imports no engine: a scan of known files links outlines without one.
"""

from __future__ import annotations

import msgspec

__all__ = ["MODULE", "NOTHING", "Outline", "Use", "decode_outline", "encode_outline"]


MODULE = ""
"""The part of a file that is its own code, outside of functions and classes."""


class Use(msgspec.Struct, frozen=True, array_like=True):
    """A call of an imported name: `.run` below `tools` for `tools.run`; the parts that call it."""

    dotted: str
    below: str = ""
    parts: tuple[str, ...] = (MODULE,)


class Outline(msgspec.Struct, frozen=True, array_like=True):
    """What a file uses of others, and whether others can have to do with it.

    `exact` is false for a file that was not parsed: then `uses` are names that it may import, and
    nothing is known of what it calls or passes on. `passes` are the names under which others can
    import what it imports itself; `default` is the name of what it exports as such. `parts` are
    the functions and classes at its top, each with those that it calls. `sinks` and `sources` are
    the rules that have or may have some in it: in which parts, none where that is not known.
    """

    uses: tuple[Use, ...] = ()
    passes: tuple[tuple[str, str], ...] = ()
    default: str = ""
    parts: dict[str, tuple[str, ...]] = {}
    sinks: dict[str, tuple[str, ...]] = {}
    sources: dict[str, tuple[str, ...]] = {}
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
