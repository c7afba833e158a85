"""Refuses messages in which a YARA rule holds, or takes out what it found.

Rules this module keeps:
- rules are compiled once, at the start; one that does not compile is refused with its line;
- a rule can read nothing but the text: no includes, and no modules, which read files or the clock;
- a text that takes longer than the limit is a failure, and what that means the proxy's
  configuration says; it never passes as clean. The clock of yara-x ticks once a second, whenever a
  look began: a limit of one tick is over at once for who begins just before it;
- `redact` takes out every place that a string of the rule matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yara_x

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

_ALLOWED = FilterResult(decision=Decision.ALLOW)
_PLACES = frozenset({"user", "tool", "answer", "system"})
_PLACE_OF = {"user": "user", "tool": "tool", "system": "system", "developer": "system",
             "assistant": "answer"}  # fmt: skip
_MOST_MATCHES = 10_000


class Hit(NamedTuple):
    """A rule that holds in a text, what is to happen, and where it matched, in bytes of UTF-8."""

    rule: str
    action: str
    why: str
    spans: tuple[tuple[int, int], ...]


class YaraContent(ProxyFilteringPlugin):
    """Looks for YARA rules in what passes."""

    deadline_ms = 7000

    def start(self, context: Context) -> None:
        """Compile the rules. Raises ConfigError for what does not compile."""
        config = context.config
        sources = []
        if config.get("own_rules", True):
            own = (Path(__file__).parent / "rules.yar").read_text("utf-8")
            sources.append(("rules.yar", "own", own))
        if config.get("rules", "").strip():
            sources.append(("rules", "yours", config["rules"]))
        if not sources:
            raise ConfigError("rules: there are none: give some, or leave own_rules on")
        compiled = _compiled(sources)
        names = {rule.identifier for rule in compiled}
        self._actions = config.get("actions", {})
        self._off = frozenset(config.get("off", ()))
        for key, chosen in (("off", self._off), ("actions", self._actions)):
            for one in chosen:
                if one not in names:
                    raise ConfigError(f"{key}: there is no rule {one!r}")
        for rule in compiled:
            if (action := dict(rule.metadata).get("action", "block")) not in {"block", "redact"}:
                raise ConfigError(f"rule {rule.identifier}: action {action!r}: block or redact")
            for tag in rule.tags:
                if tag not in _PLACES:
                    known = ", ".join(sorted(_PLACES))
                    raise ConfigError(f"rule {rule.identifier}: tag {tag!r} is none of {known}")
        self._scanner = yara_x.Scanner(compiled)
        self._scanner.set_timeout(config.get("time_limit_s", 1) + 1)
        self._scanner.max_matches_per_pattern(_MOST_MATCHES)

    def filter_request(self, request: ChatRequest) -> FilterResult:
        """Look at each message of a request."""
        return self._judged(request.messages)

    def filter_response(self, response: ChatResponse) -> FilterResult:
        """Look at each message of an answer."""
        return self._judged(response.messages)

    def _judged(self, messages: Sequence[ChatMessage]) -> FilterResult:
        labels: dict[str, None] = {}
        replaced = []
        for message in messages:
            hits = self._hits(message.content, _PLACE_OF[message.role])
            for hit in hits:
                labels[hit.rule.lower().replace("_", "-")] = None
                if hit.action == "block":
                    return FilterResult(
                        decision=Decision.BLOCK, reason=_sentence(hit),
                        labels=tuple(labels),
                    )  # fmt: skip
            content = _without(message.content, hits) if hits else message.content
            replaced.append(replace(message, content=content))
        if not labels:
            return _ALLOWED
        return FilterResult(
            decision=Decision.MODIFY, reason="What a YARA rule found was taken out.",
            replacement=tuple(replaced), labels=tuple(labels),
        )  # fmt: skip

    def _hits(self, text: str, place: str) -> list[Hit]:
        data = text.encode("utf-8", "surrogatepass")
        hits = []
        for rule in self._scanner.scan(data).matching_rules:
            tags = rule.tags
            if rule.identifier in self._off or (tags and place not in tags):
                continue
            told = dict(rule.metadata)
            action = self._actions.get(rule.identifier, told.get("action", "block"))
            spans = tuple(
                (match.offset, match.offset + match.length)
                for pattern in rule.patterns for match in pattern.matches
            )  # fmt: skip
            if action == "redact" and (not spans or max(_counts(rule)) >= _MOST_MATCHES):
                action = "block"  # there is nothing to take out, or more than was counted
            hits.append(Hit(rule.identifier, action, str(told.get("description", "")), spans))
        return hits


def _counts(rule: Any) -> list[int]:
    return [len(pattern.matches) for pattern in rule.patterns]


def _sentence(hit: Hit) -> str:
    return f"A YARA rule holds: {hit.rule}" + (f", {hit.why}." if hit.why else ".")


def _without(text: str, hits: Sequence[Hit]) -> str:
    """Return the text with the name of the rule for each place that it matched."""
    data = text.encode("utf-8", "surrogatepass")
    spans = sorted((start, end, hit.rule) for hit in hits for start, end in hit.spans)
    parts: list[bytes] = []
    at = 0
    for start, end, rule in spans:
        start, end = _whole(data, start, end)
        if end <= at:
            continue
        if start >= at:
            parts += [data[at:start], f"[{rule}]".encode()]
        at = end
    parts.append(data[at:])
    return b"".join(parts).decode("utf-8", "surrogatepass")


def _whole(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Return a span that cuts no character in two."""
    while start and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end


def _compiled(sources: Sequence[tuple[str, str, str]]) -> yara_x.Rules:
    compiler = yara_x.Compiler()
    compiler.enable_includes(False)
    for name, space, text in sources:
        compiler.new_namespace(space)
        try:
            compiler.add_source(text, origin=name)
        except yara_x.CompileError:
            error = compiler.errors()[0]
            said = [one["text"] for one in error["labels"][:1]]
            detail = f" ({said[0]})" if said else ""
            raise ConfigError(
                f"{name}: line {error['line']}, column {error['column']}: {error['title']}{detail}"
            ) from None
        if _imports(text):
            raise ConfigError(f"{name}: line {_imports(text)}: modules are not lent to rules here")
    return compiler.build()


def _imports(text: str) -> int:
    """Return the line of the first import of a module, 0 without one."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip().startswith("import "):
            return number
    return 0
