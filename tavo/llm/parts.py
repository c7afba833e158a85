"""Where text, tool calls, tools and media stand in the JSON of a provider.

Rules this module keeps:
- a dialect says what it knows; every other text in the document is `OTHER` and is judged, too;
- left out are only short tokens under names that hold structure, and base64 under names that hold
  data; what stands there and is neither is text;
- a slot can be written to, so that what a filter changed goes on in the same document.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from typing import Any, NoReturn

from tavo.detect.regex import Regex
from tavo.llm.disguised import looks_like_call
from tavo.llm.spelling import FREE, is_respelled

__all__ = [
    "Call",
    "Kind",
    "Media",
    "Reading",
    "Slot",
    "Tool",
    "TwiceError",
    "Usage",
    "count_of",
    "dumped",
    "is_data",
    "is_structure",
    "is_token",
    "items_of",
    "place",
    "strict_json",
    "usage_from",
    "word",
]

Usage = tuple[int, int]
"""Tokens of the prompt and of the answer."""

_DEEPEST = 64
_STRUCTURE = frozenset({
    "type", "role", "object", "id", "model", "finish_reason", "stop_reason", "tool_call_id",
    "call_id", "item_id", "tool_use_id", "response_id", "previous_response_id", "status",
    "service_tier", "system_fingerprint", "media_type", "mime_type", "mimeType", "detail",
    "finishReason", "modelVersion", "responseId", "created_at", "done_reason", "jsonrpc", "method",
    "protocolVersion", "encoding_format", "tool_choice", "reasoning_effort", "truncation",
    "obfuscation", "generation_id", "category", "probability", "format", "effort", "verbosity",
    "event", "ttl", "stop_sequence", "keep_alive",
})  # fmt: skip
_DATA = frozenset({
    "data", "b64_json", "encrypted_content", "signature", "thoughtSignature", "file_data", "url",
    "image_url", "fileUri", "blob", "redacted_thinking", "partial_image_b64", "result",
    "embedding", "thought_signature",
})  # fmt: skip
_COMMON = _STRUCTURE | _DATA | frozenset({
    "messages", "content", "choices", "message", "index", "usage", "prompt_tokens", "created",
    "completion_tokens", "total_tokens", "logprobs", "temperature", "stream", "max_tokens", "name",
    "text", "input", "output", "delta", "tools", "function", "arguments", "parameters", "parts",
    "properties", "description", "required", "candidates", "contents", "system", "tool_calls",
    "input_tokens", "output_tokens", "top_p", "n", "user", "metadata", "items", "done", "result",
})  # fmt: skip
"""Names that need no look: the rule for others is `is_token`."""
_MARKS = dict.fromkeys(map(ord, "_.:/+=|-$"))
_LONGEST_TOKEN = 256
_BASE64 = Regex(
    r"\A(?:data:[A-Za-z0-9.+/-]{1,100}(?:;[A-Za-z0-9=._-]{1,60}){0,3};base64,)?[A-Za-z0-9+/_-]*=*\z",
    plain=True,
)
_MEDIA = frozenset({
    "data", "b64_json", "file_data", "url", "image_url", "fileUri", "blob", "partial_image_b64",
})  # fmt: skip
"""Names of data that a model looks at; what stands under the others is a provider's own."""
_LONGEST_SECRET = 4096
_NUMBERS = frozenset({int, float})
_LEAST_NUMBER, _MOST_NUMBER = 10**11, 10**40
_MOST_PLACE = 1 << 31
_CALL = object()
_JOINED = frozenset({"text", "reasoning", "embedding", "other"})


class Kind(enum.StrEnum):
    """What a text is for. DATA is base64, in which only a credential can be told."""

    TEXT = "text"
    REASONING = "reasoning"
    ARGUMENTS = "arguments"
    DESCRIPTION = "description"
    EMBEDDING = "embedding"
    URL = "url"
    DATA = "data"
    KEY = "key"
    OTHER = "other"


class Slot:
    """A text in a document; `key` leads to it in `holder`, which is None where nothing may change.

    `name` is the tool that it belongs to, or the path of a text that no dialect knows.
    """

    __slots__ = ("fixed", "holder", "key", "kind", "name", "role")

    def __init__(
        self, holder: Any, key: Any, role: str, kind: Kind, name: str = "", fixed: str = ""
    ) -> None:
        self.holder = holder
        self.key = key
        self.role = role
        self.kind = kind
        self.name = name
        self.fixed = fixed

    @property
    def text(self) -> str:
        """Return the text as it stands there now."""
        return self.fixed if self.holder is None else str(self.holder[self.key])

    def write(self, text: str) -> None:
        """Put another text there."""
        self.holder[self.key] = text


class Call:
    """A call of a tool: `holder[key]` has its arguments, as an object or as JSON in a text.

    `is_copy`: they stand elsewhere, in pieces, so that a change of them has no effect.
    """

    __slots__ = ("holder", "is_copy", "key", "name", "role")

    def __init__(
        self, name: str, holder: Any, key: Any, role: str = "assistant", *, is_copy: bool = False
    ) -> None:
        self.name = name
        self.holder = holder
        self.key = key
        self.role = role
        self.is_copy = is_copy

    @property
    def size(self) -> int:
        """How many bytes its arguments have, as JSON."""
        value = (
            self.holder.get(self.key) if isinstance(self.holder, dict) else self.holder[self.key]
        )
        return len(value.encode("utf-8", "replace") if isinstance(value, str) else dumped(value))


class Tool:
    """A tool that a model is offered, or that a server describes."""

    __slots__ = ("definition", "holder", "name")

    def __init__(self, name: str, definition: Any, holder: Any = None) -> None:
        self.name = name
        self.definition = definition
        self.holder = holder


class Media:
    """An image, a sound or a file. `url` is empty where its bytes are in the document."""

    __slots__ = ("type", "url")

    def __init__(self, type_: str, url: str = "") -> None:
        self.type = type_
        self.url = url


class Reading:
    """What a document holds. Filled by a dialect, finished by `rest`.

    `joins` are texts that whoever reads them may put together, each list in its order. `choices`
    is how many answers are asked for. `is_answer`: texts of one name in a list may be put together.
    `finds_calls`: what looks like a call is one, wherever it stands.
    """

    __slots__ = (
        "_inline", "_taken", "calls", "choices", "drops", "finds_calls", "finish", "is_answer",
        "is_stream",
        "joins", "max_tokens", "media", "model", "slots", "tools", "usage",
    )  # fmt: skip

    def __init__(self, *, is_answer: bool = False, finds_calls: bool = False) -> None:
        self.is_answer = is_answer
        self.finds_calls = finds_calls
        self.slots: list[Slot] = []
        self.joins: list[list[Slot]] = []
        self.choices = 1
        self.calls: list[Call] = []
        self.tools: list[Tool] = []
        self.drops: list[tuple[Any, Any]] = []
        self.media: list[Media] = []
        self.model = ""
        self.finish = ""
        self.is_stream = False
        self.max_tokens = 0
        self.usage: Usage = (0, 0)
        self._inline = 0
        self._taken: set[tuple[int, Any]] = set()

    def text(
        self, holder: Any, key: Any, role: str, kind: Kind = Kind.TEXT, name: str = ""
    ) -> bool:
        """Note a text; anything else there is left for `rest`."""
        value = holder.get(key) if isinstance(holder, dict) else holder[key]
        if not isinstance(value, str):
            return False
        if value:
            self.slots.append(Slot(holder, key, role, kind, name))
        self._taken.add((id(holder), key))
        return True

    def take(self, holder: Any, key: Any) -> None:
        """Say that what stands there is no text: `rest` leaves it out."""
        self._taken.add((id(holder), key))

    def is_taken(self, holder: Any, key: Any) -> bool:
        """Tell whether what stands there was noted."""
        return (id(holder), key) in self._taken

    def name(self, key: Any) -> None:
        """Note the name of a field, where it may say something."""
        if isinstance(key, str) and key not in _COMMON and not is_token(key):
            self.slots.append(Slot(None, None, "assistant", Kind.KEY, fixed=key))

    def drop(self, holder: Any, key: Any) -> None:
        """Note what spells a text out again: it goes where rules look at texts."""
        self.drops.append((holder, key))
        self._taken.add((id(holder), key))

    def call(self, name: object, holder: Any, key: Any, role: str = "assistant") -> None:
        """Note a call of a tool, whose arguments stand there, if any do."""
        self.known_call(holder)
        if isinstance(holder, dict) and key not in holder:
            holder = {key: {}}
        self.calls.append(Call(str(name or ""), holder, key, role))
        self._taken.add((id(holder), key))

    def known_call(self, holder: Any) -> None:
        """Say that an object is no call that nobody knows."""
        self._taken.add((id(holder), _CALL))

    def disguised(self, key: Any, value: dict[Any, Any]) -> Call | None:
        """Return what looks like a call under a name, and nobody has noted."""
        if not self.finds_calls or (id(value), _CALL) in self._taken:
            return None
        found = looks_like_call(key, value)
        if found is None:
            return None
        self.known_call(value)
        return Call(found[0], value, found[1]) if found[1] else Call(found[0], {"": value}, "")

    def joined(self, start: int) -> None:
        """Say that the texts of one message from the slot `start` on may be put together."""
        groups: dict[tuple[str, Kind], list[Slot]] = {}
        for slot in self.slots[start:]:
            if slot.kind in _JOINED:
                groups.setdefault((slot.role, slot.kind), []).append(slot)
        self.joins += [group for group in groups.values() if len(group) > 1]

    def tool(self, name: object, definition: Any, holder: Any = None) -> None:
        """Note a tool that is offered: all texts of its definition are descriptions.

        `holder` is the list that it stands in, where it may be taken out of it.
        """
        self.tools.append(Tool(str(name or ""), definition, holder))
        self.inside(definition, "developer", Kind.DESCRIPTION, str(name or ""))

    def inside(
        self, value: Any, role: str, kind: Kind, name: str = "", depth: int = 0, under: Any = "",
        *, free: bool = False,
    ) -> None:  # fmt: skip
        """Note every text below a value as one of a kind; `under` is the name it stands under.

        `free`: names in it are somebody's own, so none of them makes a text a token or data.
        """
        if depth > _DEEPEST:
            raise ValueError(f"values are nested deeper than {_DEEPEST} levels")
        if isinstance(value, list):
            items: Iterator[tuple[Any, Any]] = iter(enumerate(value))
        elif isinstance(value, dict):
            items = iter(value.items())
            if kind is not Kind.OTHER:
                self.known_call(value)
        else:
            return
        taken, slots, start = self._taken, self.slots, len(self.slots)
        is_free = free or kind is Kind.ARGUMENTS
        for key, entry in items:
            if (id(value), key) in taken:
                continue
            if isinstance(key, str) and key not in _COMMON:
                if not is_token(key):
                    slots.append(Slot(None, None, role, Kind.KEY, name, fixed=key))
                if role == "user" and not is_free and is_respelled(key):
                    raise ValueError(f"some servers read the name {key[:40]!r} as another one")
            if isinstance(entry, str):
                taken.add((id(value), key))
                if not entry:
                    continue
                if is_free or not is_structure(key, entry):
                    slots.append(Slot(value, key, role, kind, name))
                elif key in _MEDIA and is_data(entry):
                    self._data(key, entry, role)
            elif isinstance(entry, dict | list):
                if self.finds_calls and isinstance(entry, dict) and kind is Kind.OTHER:
                    call = self.disguised(under if isinstance(key, int) else key, entry)
                    if call is not None:
                        self.calls.append(call)
                within = under if isinstance(key, int) else key
                self.inside(
                    entry, role, kind, name, depth + 1, within, free=is_free or within in FREE
                )
            elif type(entry) in _NUMBERS and _is_large(entry):  # a card may be one
                slots.append(Slot(None, None, role, kind, name, fixed=str(int(entry))))
        if self.is_answer and isinstance(value, list) and kind is Kind.OTHER:
            self._join_list(start)

    def _data(self, key: Any, text: str, role: str) -> None:
        """Note data: bytes that nobody here reads. A short one may be a credential."""
        self._inline += 1
        if len(text) <= _LONGEST_SECRET:
            self.slots.append(Slot(None, None, role, Kind.DATA, fixed=text))

    def _join_list(self, start: int) -> None:
        """Put together what stands under one name in the entries of a list."""
        groups: dict[Any, list[Slot]] = {}
        for slot in self.slots[start:]:
            if slot.kind is Kind.OTHER and slot.holder is not None:
                key = slot.key if isinstance(slot.key, str) else ""
                groups.setdefault(key, []).append(slot)
        self.joins += [group for group in groups.values() if len(group) > 1]

    def rest(self, document: Any, role: str) -> None:
        """Note every text that nobody has noted, and data that no dialect has named."""
        self.inside(document, role, Kind.OTHER)
        if self._inline > sum(not one.url for one in self.media):
            self.media.append(Media("unknown"))


def is_structure(key: Any, text: str) -> bool:
    """Tell whether a text is a short word under a name for such, or data under a name for data."""
    if key in _STRUCTURE:
        return is_token(text)
    return key in _DATA and is_data(text)


def _is_large(number: float) -> bool:
    """Tell whether a number is whole, and has as many digits as one that names something."""
    return _LEAST_NUMBER <= abs(number) < _MOST_NUMBER and number == int(number)


def is_token(text: object) -> bool:
    """Tell whether a value is a short word without blanks, as names and identifiers are."""
    if not isinstance(text, str) or len(text) > _LONGEST_TOKEN or not text.isascii():
        return False
    return not text or text.isalnum() or text.translate(_MARKS).isalnum()


def place(value: object, default: int = 0) -> int:
    """Return the place of a part, which clients count from 0. Raises ValueError.

    0, 0.0 and "0" are one place for some clients and three for others.
    """
    if value is None:
        return default
    if type(value) is not int or not 0 <= value < _MOST_PLACE:
        raise ValueError("the place of a part is no whole number")
    return value


def items_of(value: Any) -> list[Any]:
    """Return a list, an empty one for whatever else stands there."""
    return value if isinstance(value, list) else []


def word(holder: Any, key: str) -> str:
    """Return a short text of an object, empty where there is none."""
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""


def is_data(text: str) -> bool:
    """Tell whether a text is base64 of something, with or without a `data:` in front."""
    return len(text) >= 64 and _BASE64.find(text.encode("utf-8", "replace")) is not None


def count_of(value: object) -> int:
    """Return a number of tokens as a provider says it, 0 for what is none."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        return 0
    return value


def usage_from(usage: object, prompt: str, answer: str) -> Usage:
    """Return the tokens that an object of two counters names."""
    if not isinstance(usage, dict):
        return 0, 0
    return count_of(usage.get(prompt)), count_of(usage.get(answer))


class TwiceError(ValueError):
    """A name stands twice in an object: two readers could take two values."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise TwiceError(f"the name {name[:60]!r} stands twice in one object")
            seen.add(name)
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def strict_json(text: str) -> Any:
    """Return a document that has one reading. Raises ValueError, TwiceError, RecursionError."""
    return _decoder.decode(text)


def dumped(value: Any) -> bytes:
    """Return a document as JSON in its shortest form."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") if text.isascii() else _escaped(value, text)


def _escaped(value: Any, text: str) -> bytes:
    """Return UTF-8, or escapes where the halves of surrogate pairs stand alone."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")
