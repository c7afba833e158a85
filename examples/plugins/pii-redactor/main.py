"""Takes personal data out of what is sent to a model, and puts it back into the answer if asked to.

Rules this module keeps:
- the same value is the same placeholder everywhere in one request: [EMAIL_1], [EMAIL_2], in the
  order in which they appear, so a conversation that grows keeps its placeholders;
- where values are put back, what looks like a placeholder in a text that comes in is changed, so
  every placeholder that goes out stands for a value of that very request;
- a value goes back only into the answer to a request that cannot be mistaken for another one, and
  only where showing it sends it nowhere (`restoring`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import forms
import phones
import restoring

from tavo.plugins import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    ConfigError,
    Context,
    Decision,
    FilterResult,
    ProxyFilteringPlugin,
)

_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "BR", "IN")
_LABEL = re.compile(r"[A-Z][A-Z0-9_]{0,30}\Z")
_ALLOWED = FilterResult(decision=Decision.ALLOW)


class PiiRedactor(ProxyFilteringPlugin):
    """Replaces personal data by placeholders, or refuses messages with it."""

    deadline_ms = 1000

    def start(self, context: Context) -> None:
        """Read the configuration; load the data about telephone numbers."""
        config = context.config
        terms = config.get("terms", {})
        known = {*forms.KINDS, *terms}
        kinds = config.get("kinds", list(forms.KINDS))
        block = config.get("block", [])
        for key, values in (("kinds", kinds), ("block", block)):
            for one in values:
                if one not in known:
                    raise ConfigError(f"{key}: {one!r} is none of {', '.join(sorted(known))}")
        for label in terms:
            if not _LABEL.match(label) or label in forms.KINDS:
                raise ConfigError(
                    f"terms: {label!r}: expected a label of your own in capitals, such as PERSON"
                )
            if not all(len(one.strip()) >= 3 for one in terms[label]):
                raise ConfigError(f"terms: {label}: expected words of at least 3 characters")
        self._regions = tuple(one.upper() for one in config.get("regions", _REGIONS))
        for one in self._regions:
            if one not in phones.REGIONS:
                raise ConfigError(f"regions: {one!r} is no region such as US or DE")
        self._kinds = frozenset(kinds)
        self._block = frozenset(block)
        self._allow = frozenset(one.casefold() for one in config.get("allow", ()))
        self._answers = config.get("answers", False)
        self._terms = [
            (label, re.compile(
                r"(?<!\w)(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
                + r")(?!\w)", re.IGNORECASE,
            ))
            for label, words in terms.items() if words
        ]  # fmt: skip
        self._memory = restoring.Memory() if config.get("restore", False) else None
        phones.warm(self._regions)

    def filter_request(self, request: ChatRequest) -> FilterResult:
        """Replace what the messages hold; refuse what is to be blocked."""
        result, values = self._judged(request.messages, Placeholders())
        if self._memory is not None and result.decision is Decision.MODIFY and values:
            self._memory.keep(result.replacement, values)
        return result

    def filter_response(self, response: ChatResponse) -> FilterResult:
        """Replace what the answer holds by itself, and put back what was asked with."""
        messages, labels = response.messages, []
        decided = _ALLOWED
        if self._answers:
            decided, _ = self._judged(messages, Placeholders(response.request.messages), False)
            if decided.decision is Decision.BLOCK:
                return decided
            messages = decided.replacement or messages
            labels += decided.labels
        values = self._memory.taken(response.request.messages) if self._memory is not None else {}
        if values:
            restored = tuple(
                replace(one, content=restoring.restored(one.content, values)) for one in messages
            )
            if restored != messages:
                messages = restored
                labels.append("restored")
        if messages == response.messages:
            return _ALLOWED
        return FilterResult(
            decision=Decision.MODIFY, reason="Personal data was replaced or put back.",
            replacement=messages, labels=tuple(labels),
        )  # fmt: skip

    def _judged(
        self, messages: Sequence[ChatMessage], names: Placeholders, is_incoming: bool = True
    ) -> tuple[FilterResult, dict[str, str]]:
        forged = is_incoming and self._memory is not None
        texts = [restoring.disguised(one.content) if forged else one.content for one in messages]
        found = [self._find(text) for text in texts]
        kinds = sorted({one.kind for own in found for one in own})
        refused = self._block.intersection(kinds)
        if refused:
            names_of = ", ".join(sorted(refused))
            return FilterResult(
                decision=Decision.BLOCK, reason=f"It holds personal data: {names_of}.",
                labels=_labels(kinds),
            ), {}  # fmt: skip
        replaced = tuple(
            replace(message, content=names.put_into(text, own))
            for message, text, own in zip(messages, texts, found, strict=True)
        )
        if replaced == tuple(messages):
            return _ALLOWED, {}
        reason = f"Personal data was replaced: {', '.join(kinds)}." if kinds else (
            "A text that looked like a placeholder was changed.")  # fmt: skip
        return FilterResult(
            decision=Decision.MODIFY, reason=reason, replacement=replaced,
            labels=_labels(kinds) or ("placeholder",),
        ), names.values  # fmt: skip

    def _find(self, text: str) -> list[forms.Found]:
        own = [
            forms.Found(label, *match.span())
            for label, words in self._terms for match in words.finditer(text)
        ]  # fmt: skip
        found = forms.find(text, self._kinds, self._regions)
        free = [
            one for one in found
            if text[one.start : one.end].casefold() not in self._allow
        ]  # fmt: skip
        if not own:
            return free
        kept: list[forms.Found] = []
        for one in sorted([*free, *own], key=lambda one: (one.start, -one.end)):
            if not kept or one.start >= kept[-1].end:
                kept.append(one)
        return kept


def _labels(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return kinds in the form in which an audit log writes labels out."""
    return tuple(kind.lower().replace("_", "-") for kind in kinds)


class Placeholders:
    """The placeholders of one request: one for each value, numbered by kind."""

    def __init__(self, before: Sequence[ChatMessage] = ()) -> None:
        self.values: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        for message in before:
            for match in restoring.PLACEHOLDER.finditer(message.content):
                kind, number = match["kind"], int(match["number"])
                self._counts[kind] = max(self._counts.get(kind, 0), number)

    def put_into(self, text: str, found: Sequence[forms.Found]) -> str:
        """Return the text with a placeholder for each value."""
        parts, at = [], 0
        for one in found:
            parts += [text[at : one.start], self._name(one.kind, text[one.start : one.end])]
            at = one.end
        return "".join([*parts, text[at:]])

    def _name(self, kind: str, value: str) -> str:
        same = (kind, re.sub(r"[\s().\-/]", "", forms.plain(value)).casefold())
        name = self._names.get(same)
        if name is None:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            name = self._names[same] = f"[{kind}_{number}]"
            self.values[name] = value
        return name
