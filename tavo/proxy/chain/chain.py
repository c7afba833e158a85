"""A chain: filters in their order, compiled into one pass for each kind of text.

Rules this module keeps:
- where rules of several filters hold at one place, the first filter has it;
- a filter that fails is never taken for one that found nothing: `on_error: block` blocks the
  message, `skip` goes on and is recorded;
- a chain does not change after it was built; what it remembers about texts is under its version.

Units: sizes in bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tavo.detect.live import looked
from tavo.detect.regex import Regex, RegexError
from tavo.detect.rules import Match, Rule, RuleSet, from_bytes
from tavo.detect.seen import CONTROLS, is_plain
from tavo.errors import ConfigError
from tavo.llm.parts import Kind
from tavo.proxy.chain.filter import Filter
from tavo.proxy.chain.memo import GoodHeads, Memo
from tavo.proxy.chain.placeholders import LINKS
from tavo.proxy.chain.showing import Showing
from tavo.proxy.chain.values import Action, Judged, OnError, TextRule, Where

if TYPE_CHECKING:
    from tavo.proxy.chain.scanner import Scanner

__all__ = ["Chain", "Compiled", "Look", "Said"]

_log = logging.getLogger(__name__)
_LEAST_REMEMBERED, _LEAST_OF_RULES = 48, 512
"""In bytes: rules alone look at a short text sooner than it is found among those remembered."""
_ALL = 1 << 30
_BETWEEN = '"'
"""For rules that do not ask for the ends of a text, it is one: no letter, no digit, no line."""
_MOST_CLEARED = 4 << 10
_ROLES = ("system", "developer", "user", "assistant")

V = TypeVar("V")


class Said(NamedTuple):
    """What one filter said about something as a whole. `failed`: it gave no answer."""

    filter: Filter
    judged: Judged
    failed: bool = False


class Look(NamedTuple):
    """What a chain sees in a text."""

    matches: tuple[Match, ...]
    said: tuple[Said, ...]


NOTHING = Look((), ())


class Compiled:
    """The rules and judges for one kind of text."""

    def __init__(
        self, filters: Sequence[Filter], where: Where, failed: Failed, sets: dict[str, RuleSet]
    ) -> None:
        """`sets` has what was compiled already: most kinds of text have the same rules."""
        self.where = where
        self.owners: dict[str, tuple[Filter, TextRule]] = {}
        rules: list[Rule] = []
        for one in filters:
            for number, text_rule in enumerate(one.rules(where)):
                own = text_rule.rule
                # the same rule may stand in two filters: its place tells them apart
                rule = dataclasses.replace(
                    own, id=f"{one.name}/{number}/{own.id}",
                    check=_guarded(one, own.check, failed, False),
                    cut=_guarded(one, own.cut, failed, _ALL),
                )  # fmt: skip
                rules.append(rule)
                self.owners[rule.id] = one, text_rule
        self.rules: RuleSet | None = None
        if rules:
            key = "\0".join(f"{rule.id}\0{rule.pattern}" for rule in rules)
            try:
                self.rules = sets.get(key) or sets.setdefault(key, RuleSet(rules))
            except RegexError as error:
                raise ConfigError(f"filters: {error}") from None
        self.judges = [one for one in filters if one.judges(where)]
        self.links = any(rule.outside_links for _, rule in self.owners.values())
        self._failed = failed

    @property
    def sets(self) -> list[RuleSet]:
        """What a text that grows is looked at with."""
        found = [self.rules] if self.rules is not None else []
        return [*found, LINKS] if self.links else found

    def look(self, data: bytes) -> Look:
        """Look at a whole text; may run in any thread."""
        matches: list[Match] = []
        said: list[Said] = []
        if self.rules is not None:
            matches, *links = looked(self.sets, data)
            if matches and links:
                showing = Showing()
                showing.feed(data)
                matches = self.without_links(matches, links[0], showing.is_plain)
            said += self.troubles()
        if self.judges:
            text = from_bytes(data)
            for one in self.judges:
                answer = judged(one, partial(one.judge, text, self.where), self._failed)
                if answer is not None:
                    said.append(answer)
        return Look(tuple(matches), tuple(said)) if matches or said else NOTHING

    @property
    def is_troubled(self) -> bool:
        """Whether a rule has failed since `troubles` was asked last, in this thread."""
        return bool(self._failed.found)

    def troubles(self) -> list[Said]:
        """Return what it means that rules failed since this was asked last, in this thread."""
        found = self._failed.found
        if not found:
            return []
        said = [failure_of(one, why) for one, why in dict.fromkeys(found)]
        found.clear()
        return said

    def without_links(
        self, matches: Sequence[Match], links: Sequence[Match], is_plain: Callable[[int], bool]
    ) -> list[Match]:
        """Leave out what may only be changed in plain text and stands elsewhere.

        Matches and links are in the order in which they begin.
        """
        kept: list[Match] = []
        number = end = 0
        for one in matches:
            if self.owners[one.rule.id][1].outside_links:
                while number < len(links) and links[number].start < one.end:
                    end = max(end, links[number].end)
                    number += 1
                if one.start < end or not is_plain(one.start):
                    continue
            kept.append(one)
        return kept


class Failed(threading.local):
    """Notes failures: each for the log, and those of rules for who looks at a text just now."""

    def __init__(self, note: Callable[[Filter, BaseException], None]) -> None:
        self.note = note
        self.found: list[tuple[Filter, str]] = []


def judged(one: Filter, ask: Callable[[], Judged | None], failed: Failed) -> Said | None:
    """Ask a filter; what it means that it fails is said by its `on_error`."""
    try:
        answer = ask()
    except Exception as error:  # noqa: BLE001  whatever it is: the message is judged by policy
        failed.note(one, error)
        return failure_of(one, type(error).__name__)
    return None if answer is None else Said(one, answer)


def failure_of(one: Filter, why: str) -> Said:
    """Return what it means that a filter gave no answer."""
    action = Action.BLOCK if one.on_error is OnError.BLOCK else Action.NOTE
    reason = f"the filter {one.name} gave no answer"
    return Said(one, Judged(action, f"failed:{why}", reason, 503, "tavo_filter_failed"), True)


def _guarded(
    one: Filter, ask: Callable[[str], V] | None, failed: Failed, instead: V
) -> Callable[[str], V] | None:
    """Return a function of a rule that cannot fail: that it did is said beside the matches."""
    if ask is None:
        return None

    def guarded(text: str) -> V:
        try:
            return ask(text)
        except Exception as error:  # noqa: BLE001  see `judged`
            failed.note(one, error)
            failed.found.append((one, type(error).__name__))
            return instead

    return guarded


class Chain:
    """Filters at work. Raises ConfigError for rules that do not go together."""

    def __init__(self, filters: Sequence[Filter], *, key: bytes, observe: bool = False) -> None:
        names = Counter(one.name for one in filters)
        for name, count in names.items():
            if count > 1:
                raise ConfigError(
                    f"filters: two are called {name!r}", hint="Give one of them another `name`."
                )
        self.filters = tuple(filters)
        self.observe = observe
        self.key = key
        version = " ".join(f"{one.kind}:{one.name}:{one.version}" for one in filters)
        self.version = hashlib.blake2b(version.encode(), digest_size=8).hexdigest()
        self.memo: Memo[Look] = Memo(key, self.version)
        self.failures: Counter[str] = Counter()
        self.said: Counter[tuple[str, str]] = Counter()
        self._compiled: dict[Where, Compiled | None] = {}
        self._quick: dict[str, Compiled | None] = {}
        self._sets: dict[str, RuleSet] = {}
        self._clearing: dict[str, Regex | None] = {}
        self._failures = Failed(self._failed)
        self.heads = GoodHeads()
        self.scanner: Scanner | None = None  # looks at long texts, where there is one

    def compiled(self, where: Where) -> Compiled | None:
        """Return what looks at texts of a kind, None if nothing does."""
        if where not in self._compiled:
            made = Compiled(self.filters, where, self._failures, self._sets)
            self._compiled[where] = made if made.rules is not None or made.judges else None
        return self._compiled[where]

    def key_of(self, secret: bytes, client: str) -> bytes:
        """Return the key for the placeholders of a client: from its own secret, if it has one."""
        key = secret[:64] or self.key[:64]
        return hashlib.blake2b(
            client.encode(), key=key, person=b"tavo-values", digest_size=32
        ).digest()

    def is_remembered(self, compiled: Compiled, data: bytes) -> bool:
        """Tell whether it is worth to remember what was said about a text."""
        return len(data) >= (_LEAST_REMEMBERED if compiled.judges else _LEAST_OF_RULES)

    def looking(self, phase: str, role: str, kind: Kind, restores: bool) -> Compiled | None:
        """Return what looks at texts of a kind: as `compiled`, found by one short text."""
        key = phase + role + kind + "+" if restores else phase + role + kind
        try:
            return self._quick[key]
        except KeyError:
            found = self._quick[key] = self.compiled(Where(phase, role, kind, restores))
            return found

    def clears(self, phase: str, texts: Sequence[str]) -> bool:
        """Tell at once whether there is nothing in texts of messages, whoever says them.

        False says nothing: they are then to be looked at one by one.
        """
        try:
            anything = self._clearing[phase]
        except KeyError:
            anything = self._clearing[phase] = self._anything_in(phase)
        if anything is None:
            return False
        data = _BETWEEN.join(texts).encode("utf-8", "surrogatepass")
        if len(data) > _MOST_CLEARED or not (data.isascii() or is_plain(data)):
            return False
        return anything.find(data) is None

    def _anything_in(self, phase: str) -> Regex | None:
        """Return what finds all that a rule about messages may match, and hidden ASCII.

        None where a filter does more than to look for what its rules match.
        """
        if self.observe:
            return None
        for one in self.filters:
            asks = type(one).judge_request is not Filter.judge_request
            if asks or type(one).prepare is not Filter.prepare:
                return None
        candidates = {CONTROLS: None}
        for role in _ROLES if phase == "request" else ("assistant",):
            compiled = self.compiled(Where(phase, role, Kind.TEXT))
            if compiled is None:
                continue
            if compiled.judges or (compiled.rules is not None and not compiled.rules.is_local):
                return None
            if compiled.rules is not None:
                candidates[compiled.rules.candidate] = None
        try:
            return Regex("|".join(candidates), plain=True, captures=False)
        except RegexError:  # too large together
            return None

    def ask(self, one: Filter, ask: Callable[[], Judged | None]) -> Said | None:
        """Ask a filter about something that is not remembered."""
        return judged(one, ask, self._failures)

    def _failed(self, one: Filter, error: BaseException) -> None:
        self.failures[one.name] += 1
        if self.failures[one.name] <= 3:
            _log.warning("filter %s failed: %s", one.name, type(error).__name__)
