"""scores.json in a package: how well a plugin did on data that it was not made from.

    {"format": 1, "held_out": [{"data": "AgentDojo, 629 cases", "metric": "recall at 1 % false
     positives", "value": 0.83, "rows": 629}]}

Rules this module keeps:
- it is the publisher's word, signed with the package like every file in it, and shown as that;
- what does not have this form is not shown, in part or in whole.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["SCORES_NAME", "Score", "read_scores"]

SCORES_NAME = "scores.json"
_LARGEST = 64 * 1024

_Text = Annotated[str, Meta(min_length=1, max_length=160)]


class Score(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure: on which data, by which measure, of how many rows."""

    data: _Text
    metric: _Text
    value: Annotated[float, Meta(ge=-1_000_000, le=1_000_000)]
    rows: Annotated[int, Meta(ge=1, le=1_000_000_000)]


class _Scores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal[1]
    held_out: Annotated[tuple[Score, ...], Meta(min_length=1, max_length=20)]


def read_scores(data: bytes) -> tuple[Score, ...]:
    """Return the figures of a scores.json, none of one that has another form."""
    if len(data) > _LARGEST:
        return ()
    try:
        found = msgspec.json.decode(data, type=_Scores).held_out
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    texts = (text for one in found for text in (one.data, one.metric))
    return found if all(text.isprintable() for text in texts) else ()
