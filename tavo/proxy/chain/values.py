"""What filters and the chain say to each other.

Rules this module keeps:
- a filter never sees a socket, a header or another client's exchange;
- what is recorded names filters, rules and labels; it never holds a text.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from tavo.detect.rules import Rule
from tavo.llm.parts import Kind, Media

__all__ = [
    "NOBODY", "Action", "Asked", "Judged", "OnError", "Scope", "TextRule", "Where", "digest_of",
    "kind_of",
]  # fmt: skip

_KIND = re.compile(r"[a-z]{1,20}(?:[-_. ][a-z]{1,20}){0,4}")


def digest_of(text: str) -> str:
    """Return what stands for a text in a record: short, and nothing of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def kind_of(label: str) -> str:
    """Return a label that comes from outside as it is where it is plain words, else its digest."""
    return label if _KIND.fullmatch(label) else f"sha256:{digest_of(label)}"


class Action(enum.Enum):
    """What a match means. KEEP: it is none, and hides nothing but itself. NOTE: record it."""

    KEEP = "keep"
    NOTE = "note"
    MODIFY = "modify"
    BLOCK = "block"


class OnError(enum.Enum):
    """What it means for a message that a filter failed."""

    BLOCK = "block"
    SKIP = "skip"


class Where(NamedTuple):
    """What kind of text it is. `restores`: placeholders of this request may stand in it."""

    phase: str
    role: str
    kind: Kind
    restores: bool = False


@dataclass(slots=True)
class Scope:
    """What belongs to one exchange. `key` is of this client alone.

    `values` are those that the request held, by placeholder; `own` the values alone.
    """

    client: str = ""
    key: bytes = b""
    now: float = 0.0
    dialect: str = ""
    values: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    has_lookalikes: bool = False


NOBODY = Scope(
    values=cast("dict[str, str]", MappingProxyType({})), own=cast("set[str]", frozenset())
)
"""Stands in until it is known whose exchange it is; nothing can be put into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRule:
    """A rule of a filter about texts. `replace` makes the new text of a MODIFY.

    `quiet`: not worth a line in the record. `outside_links`: only where no link or URL is.
    """

    rule: Rule
    action: Action
    replace: Callable[[str, Rule, Scope], str] | None = None
    quiet: bool = False
    outside_links: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What a filter says about something as a whole, where it is not fine.

    `label` is written down: a kind or a digest. `reason` is for the client, and may name things.
    """

    action: Action
    label: str
    reason: str
    status: int = 403
    code: str = "tavo_blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What filters of requests look at beside the texts."""

    model: str
    dialect: str
    media: tuple[Media, ...]


Arguments = Any
"""The decoded arguments of a call of a tool; a text where they are no JSON."""
