"""Chat completions of the usual form, read at once: nothing in them but plain messages and counts.

Rules this module keeps:
- a document is taken only if the careful reading (`tavo.llm.dialect.Dialect`) would find the very
  same texts in it and nothing else: no field that is not listed here, no calls, no media, no name
  that stands twice, no text where a word belongs;
- what is not taken is no error: it is read carefully.

A name that stands twice cannot be seen in what was decoded. But quotes can be counted: written out
again, a document has as many as it had, unless something stood there twice. Only `\\u0022` could
hide one, so a document with `\\u` is not taken.

Source: the public API reference of `POST /v1/chat/completions`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tavo.llm.parts import is_token

__all__ = ["UsualAnswer", "UsualRequest", "usual_answer", "usual_request"]

_MOST = 1024
_QUOTE, _BACKSLASH, _ESCAPE = b'"', b"\\", b"\\u"
_WORD = re.compile(r"[A-Za-z0-9][\w.:/+=|$-]{0,200}", re.ASCII)
"""What `is_token` takes nearly always."""

_Number = Annotated[int, Meta(ge=-(10**10), le=10**10)] | Annotated[float, Meta(ge=-1e10, le=1e10)]
_Count = Annotated[int, Meta(ge=0, le=10**10)]
_Choices = Annotated[int, Meta(ge=1, le=128)]
_Maybe = _Number | None | UnsetType
_MaybeBool = bool | None | UnsetType


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant"]
    content: str


class _StreamOptions(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    include_usage: bool | UnsetType = UNSET
    include_obfuscation: bool | UnsetType = UNSET


class _Asked(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    model: str
    messages: list[_Message]
    temperature: _Maybe = UNSET
    top_p: _Maybe = UNSET
    n: _Choices | UnsetType = UNSET
    max_tokens: _Maybe = UNSET
    max_completion_tokens: _Maybe = UNSET
    presence_penalty: _Maybe = UNSET
    frequency_penalty: _Maybe = UNSET
    seed: _Maybe = UNSET
    stream: _MaybeBool = UNSET
    stream_options: _StreamOptions | UnsetType | None = UNSET
    store: _MaybeBool = UNSET
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | UnsetType = UNSET


class _Details(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    cached_tokens: _Count | UnsetType = UNSET
    audio_tokens: _Count | UnsetType = UNSET
    reasoning_tokens: _Count | UnsetType = UNSET
    accepted_prediction_tokens: _Count | UnsetType = UNSET
    rejected_prediction_tokens: _Count | UnsetType = UNSET


class _Usage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count | UnsetType = UNSET
    prompt_tokens_details: _Details | UnsetType | None = UNSET
    completion_tokens_details: _Details | UnsetType | None = UNSET


class _Said(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["assistant"]
    content: str
    refusal: UnsetType | None = UNSET
    annotations: Annotated[list[int], Meta(max_length=0)] | UnsetType = UNSET
    audio: UnsetType | None = UNSET
    function_call: UnsetType | None = UNSET
    tool_calls: UnsetType | None = UNSET


class _Choice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: Annotated[int, Meta(ge=0, le=0)]
    message: _Said
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: UnsetType | None = UNSET


class _Answered(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    object: Literal["chat.completion"]
    model: str
    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]
    usage: _Usage
    created: _Count | UnsetType = UNSET
    service_tier: Literal["auto", "default", "flex", "priority", "scale"] | UnsetType | None = UNSET
    system_fingerprint: str | UnsetType | None = UNSET


class UsualRequest(msgspec.Struct, frozen=True, gc=False):
    """What a request holds: as `tavo.llm.parts.Reading`, with its texts alone."""

    model: str
    is_stream: bool
    choices: int
    texts: list[str]


class UsualAnswer(msgspec.Struct, frozen=True, gc=False):
    """What an answer holds."""

    text: str
    tokens_in: int
    tokens_out: int


_asked = msgspec.json.Decoder(_Asked)
_answered = msgspec.json.Decoder(_Answered)
_encode = msgspec.json.Encoder().encode
_tokens: set[str] = set()

T = TypeVar("T", _Asked, _Answered)


def usual_request(data: bytes) -> UsualRequest | None:
    """Return what a request of the usual form holds, None for any other."""
    asked = _once(_asked, data)
    if asked is None or not _is_word(asked.model):
        return None
    return UsualRequest(
        asked.model, asked.stream is True, asked.n if asked.n is not UNSET else 1,
        [one.content for one in asked.messages],
    )  # fmt: skip


def usual_answer(data: bytes) -> UsualAnswer | None:
    """Return what an answer of the usual form holds, None for any other."""
    said = _once(_answered, data)
    if said is None or not _is_word(said.model):
        return None
    if _WORD.fullmatch(said.id) is None and not is_token(said.id):
        return None
    if said.system_fingerprint and not _is_word(said.system_fingerprint):
        return None
    return UsualAnswer(
        said.choices[0].message.content, said.usage.prompt_tokens, said.usage.completion_tokens
    )


def _once(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """Return a document in which no name stands twice; None where that is not plain to see."""
    if data.find(_BACKSLASH) >= 0 and _ESCAPE in data:  # one byte is found much sooner than two
        return None
    try:
        found = decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if _encode(found).count(_QUOTE) == data.count(_QUOTE) else None


def _is_word(text: str) -> bool:
    """Tell whether a name that comes again and again is one: see `is_token`."""
    if text in _tokens:
        return True
    if not is_token(text):
        return False
    if len(_tokens) >= _MOST:
        _tokens.clear()
    _tokens.add(text)
    return True
