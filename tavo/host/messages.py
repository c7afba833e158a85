"""The messages of a worker, field by field: what has another shape is a violation.

Rules this module keeps:
- an unknown type or field, a wrong type, NaN, bad text, deep nesting, a number out of range is a
  `ViolationError`;
- lists are bounded here, texts where they are judged (`answers`, `judgements`).

Pure functions, no I/O. Units: lengths in characters.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tavo.plugins.frames import MOST_FINDINGS_PER_FILE

__all__ = [
    "Analyzed",
    "Ask",
    "At",
    "AttackEnd",
    "Attacked",
    "Bye",
    "Failed",
    "Filtered",
    "Held",
    "Hello",
    "Item",
    "ItemError",
    "Listening",
    "Message",
    "Partial",
    "Ready",
    "Refused",
    "Result",
    "ViolationError",
    "WireAnalysis",
    "WireAttack",
    "WireAttempt",
    "WireFilterResult",
    "WireFinding",
    "WireMessage",
    "WireRule",
    "WireStep",
    "parse",
]

_MOST_RULES = 2000
_MOST_STEPS = 256

SeverityName = Literal["info", "low", "medium", "high", "critical"]
ConfidenceName = Literal["low", "medium", "high"]
Count = Annotated[int, Meta(ge=0, le=2**31)]
Score = Annotated[float, Meta(ge=0.0, le=1.0)]


class ViolationError(Exception):
    """The worker broke the protocol; it must not be listened to any more."""


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class At(_Wire, frozen=True):
    """A location, by the number of a file that the host sent."""

    file: Count
    region: tuple[Count, Count, Count, Count] | None


class WireStep(_Wire, frozen=True):
    """One step of a data flow."""

    at: At
    message: str


class WireFinding(_Wire, frozen=True):
    """One finding as it is sent."""

    rule: str
    message: str
    severity: SeverityName
    confidence: ConfidenceName
    at: At
    evidence: dict[str, str]
    flow: Annotated[list[WireStep], Meta(max_length=_MOST_STEPS)]
    fix: str | None


class ItemError(_Wire, frozen=True):
    """Why a call gave no complete answer."""

    kind: Literal["raised", "cancelled", "not_run", "output"]
    message: str
    traceback: str = ""


class Item(_Wire, frozen=True):
    """The answer for one file."""

    n: Count
    findings: Annotated[list[WireFinding], Meta(max_length=MOST_FINDINGS_PER_FILE)]
    error: ItemError | None
    capped: bool


class WireRule(_Wire, frozen=True):
    """One declared rule."""

    id: str
    title: str
    severity: SeverityName
    confidence: ConfidenceName
    description: str
    help: str
    cwe: list[str]
    owasp: list[str]
    tags: list[str]
    references: list[str]


class Held(_Wire, frozen=True):
    """Which layers the worker says it applied; for display, decisions rest on `Refused`."""

    level: Literal[0, 1, 2, 3]
    limits: bool = False
    namespaces: bool = False
    landlock: Count = 0
    seccomp: bool = False


class Hello(_Wire, frozen=True, tag_field="type", tag="hello"):
    """The worker is locked up and waits for its plugin."""

    protocol: int
    nonce: str
    python: str
    held: Held


class Listening(_Wire, frozen=True, tag_field="type", tag="listening"):
    """The worker listens in its own network; the descriptor to accept on came with it."""


class Refused(_Wire, frozen=True, tag_field="type", tag="refused"):
    """A layer of the sandbox could not be had; the worker ends."""

    layer: str
    reason: str


class Ready(_Wire, frozen=True, tag_field="type", tag="ready"):
    """The plugin has started."""

    rules: Annotated[list[WireRule], Meta(max_length=_MOST_RULES)]
    start_ms: Count
    languages: Annotated[list[str], Meta(max_length=256)] = []
    analyzes: Annotated[list[Literal["text", "binary", "project"]], Meta(max_length=3)] = []
    threshold: Score = 0.5
    deadline_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 50


class Failed(_Wire, frozen=True, tag_field="type", tag="failed"):
    """The plugin did not start."""

    kind: Literal["config", "start"]
    message: str
    traceback: str


class Partial(_Wire, frozen=True, tag_field="type", tag="partial"):
    """Some items of an answer; `clean` are ranges of files without findings."""

    id: Count
    items: list[Item]
    clean: list[tuple[Count, Count]] = []


class Result(_Wire, frozen=True, tag_field="type", tag="result"):
    """The last items of an answer; `clean` are ranges of files without findings."""

    id: Count
    items: list[Item]
    clean: list[tuple[Count, Count]] = []


class Bye(_Wire, frozen=True, tag_field="type", tag="bye"):
    """The worker ends as it was asked to."""


class Ask(_Wire, frozen=True, tag_field="type", tag="ask"):
    """The plugin asks for something that the host lends, in the middle of a call."""

    call: Count
    kind: Literal["send", "http", "files", "read", "run"]
    content: dict[str, Any]


class WireAttempt(_Wire, frozen=True):
    """One attempt of an attack."""

    prompt: str
    outputs: Annotated[list[str], Meta(max_length=64)]
    score: Score


class WireAttack(_Wire, frozen=True):
    """All attempts at one goal."""

    rule: str
    goal: str
    severity: SeverityName
    score: Score
    attempts: Annotated[list[WireAttempt], Meta(max_length=64)]
    error: str


class Attacked(_Wire, frozen=True, tag_field="type", tag="attacked"):
    """Some results of an attack."""

    id: Count
    results: Annotated[list[WireAttack], Meta(max_length=64)]


class AttackEnd(_Wire, frozen=True, tag_field="type", tag="attack_end"):
    """The attack is over."""

    id: Count
    error: ItemError | None
    capped: bool


class WireMessage(_Wire, frozen=True):
    """One chat message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str
    name: str = ""


class WireFilterResult(_Wire, frozen=True):
    """A filter's decision."""

    decision: Literal["allow", "modify", "block"]
    reason: str
    replacement: Annotated[list[WireMessage], Meta(max_length=4096)]
    labels: Annotated[list[str], Meta(max_length=32)]


class Filtered(_Wire, frozen=True, tag_field="type", tag="filtered"):
    """The answer to one filter call."""

    id: Count
    result: WireFilterResult | None
    error: ItemError | None


class WireAnalysis(_Wire, frozen=True):
    """What a log plugin makes of a batch."""

    findings: Annotated[list[WireFinding], Meta(max_length=MOST_FINDINGS_PER_FILE)]
    metrics: Annotated[dict[str, float], Meta(max_length=256)]
    capped: bool


class Analyzed(_Wire, frozen=True, tag_field="type", tag="analyzed"):
    """The answer to one batch of events."""

    id: Count
    result: WireAnalysis | None
    error: ItemError | None


Message = (
    Hello | Listening | Refused | Ready | Failed | Partial | Result | Bye
    | Ask | Attacked | AttackEnd | Filtered | Analyzed
)  # fmt: skip
_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def parse(body: bytes) -> Message:
    """Return the message of a frame's body. Raises ViolationError."""
    try:
        message: Message = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise ViolationError(f"a message that is not of the protocol: {error}") from None
    return message
