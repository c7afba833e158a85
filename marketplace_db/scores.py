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

__all__ = ["SCORES_NAME", "Score", "read_scores", "scores_problem"]

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


_SHARES = ("auc", "accuracy", "f1", "false alarms", "false positives", "precision", "recall")


def read_scores(data: bytes) -> tuple[Score, ...]:
    """Return the figures of a scores.json, none of one that has another form."""
    found = _read(data)
    return () if isinstance(found, str) else found


def scores_problem(data: bytes) -> str:
    """Return what is wrong with a scores.json, for its author; nothing where it is shown whole.

    Beside the form, it looks for shares that are none: a recall of 91 is meant to be 0.91.
    """
    found = _read(data)
    if isinstance(found, str):
        return f"{found}, so a marketplace shows none of its figures"
    for number, one in enumerate(found, 1):
        metric = one.metric.lower()
        is_share = metric.startswith(_SHARES) and " per " not in metric
        if is_share and not 0 <= one.value <= 1:
            return (
                f"figure {number}: {one.metric!r:.80} of {one.value:g} is out of range; a share is"
                " between 0 and 1"
            )
    seen: dict[tuple[str, str], int] = {}
    for number, one in enumerate(found, 1):
        first = seen.setdefault((one.data, one.metric), number)
        if first != number:
            return f"figures {first} and {number} are of the same data by the same measure"
    return ""


def _read(data: bytes) -> tuple[Score, ...] | str:
    """Return the figures, or what is wrong."""
    if len(data) > _LARGEST:
        return f"is larger than {_LARGEST >> 10} KB"
    try:
        found = msgspec.json.decode(data, type=_Scores).held_out
    except msgspec.ValidationError as error:
        return f"has another form: {error}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "is not JSON"
    texts = (text for one in found for text in (one.data, one.metric))
    if not all(text.isprintable() for text in texts):
        return "holds characters that cannot be shown"
    return found
