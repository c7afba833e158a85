"""The desk: one exchange before its chain. Texts, calls and tools come in, decisions go out.

Rules this module keeps:
- what is decided is written down before it has an effect;
- in observe mode everything is judged and written down, and nothing is changed or stopped;
- a text that may not be changed where it stands (the name of a field) is blocked instead.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tavo.detect.rules import Match, RuleSet, from_bytes, to_bytes
from tavo.llm.dialect import Broken
from tavo.llm.parts import Call, Kind, Reading, Slot, Tool, TwiceError, numbers_as_text, strict_json
from tavo.proxy.chain.chain import Chain, Compiled, Look, Said
from tavo.proxy.chain.filter import Filter
from tavo.proxy.chain.joined import Joined, joined_texts, rewritten
from tavo.proxy.chain.showing import Showing
from tavo.proxy.chain.values import Action, Judged, Scope, TextRule, Where
from tavo.proxy.stream.asking import Blocked, Edit

__all__ = ["ChainDesk", "Texts"]

_TOO_DEEP = "its arguments are nested too deep"


class ChainDesk:
    """Judges what belongs to one phase, `request` or `response`, of one exchange."""

    __slots__ = ("chain", "error_id", "looks", "phase", "said", "scope")

    def __init__(self, chain: Chain, scope: Scope, phase: str) -> None:
        self.chain = chain
        self.scope = scope
        self.phase = phase
        self.said: Counter[tuple[str, str, str]] = Counter()
        self.looks: dict[bytes, Look] = {}
        self.error_id: Any = None

    # texts -----------------------------------------------------------------------------------

    def where(self, role: str, kind: Kind) -> Where:
        """Return what kind of text it is, here."""
        restores = (
            self.phase == "response"
            and bool(self.scope.values or self.scope.has_lookalikes)
            and kind in {Kind.TEXT, Kind.REASONING}
        )
        return Where(self.phase, role, kind, restores)

    def slots(self, slots: list[Slot]) -> bool:
        """Judge texts that stand whole; tell whether one was changed. Raises Blocked."""
        changed = False
        for slot in slots:
            where = self.where(slot.role, slot.kind)
            compiled = self.chain.compiled(where)
            if compiled is not None:
                data = to_bytes(slot.text)
                look = self._look(compiled, data)
                if look.matches or look.said:
                    changed = self._apply(slot, data, look, compiled) or changed
        return changed

    def joins(self, joins: list[list[Slot]], glues: Sequence[str] = ("",)) -> bool:
        """Judge texts that may be put together, for what stands across two of them.

        `glues` are what may come between. Raises Blocked.
        """
        changed = False
        for slots in joins:
            compiled = self.chain.compiled(self.where(slots[0].role, slots[0].kind))
            if compiled is not None:
                for glue in glues:
                    for text in joined_texts(slots, glue):
                        changed = self._join(text, compiled) or changed
        return changed

    def _join(self, text: Joined, compiled: Compiled) -> bool:
        look = self._look(compiled, text.data)
        for said in look.said:
            if (said.filter.name, said.judged.action.value, said.judged.label) not in self.said:
                self.decide(said)
        edits: list[Edit] = []
        for match in look.matches:
            if text.is_across(match.start, match.end):
                new = self.changed(match, compiled, partial(_part, text.data, match))
                if new is not None:
                    edits.append((match.start, match.end, new))
        if not edits or self.chain.observe:
            return False
        if not rewritten(text, edits):
            self.block_text("a name of a field would have to be changed")
        return True

    def unknown(
        self, slots: Sequence[Slot], joins: list[list[Slot]], glues: Sequence[str] = ("",)
    ) -> Texts:
        """Return the texts that nobody remembers, to be looked at somewhere else."""
        texts = Texts()
        for slot in slots:
            self._unknown(texts, slot, to_bytes(slot.text))
        for group in joins:
            for glue in glues:
                for one in joined_texts(group, glue):
                    self._unknown(texts, group[0], one.data)
        return texts

    def _unknown(self, texts: Texts, slot: Slot, data: bytes) -> None:
        where = self.where(slot.role, slot.kind)
        compiled = self.chain.compiled(where)
        if compiled is None or not self.chain.is_remembered(data):
            return
        key = self.chain.memo.key(data, where, self.scope.dialect)
        if key not in self.looks:
            known = self.chain.memo.get(key)
            if known is None:
                texts.add(key, compiled, data)
            else:
                self.looks[key] = known

    def learn(self, texts: Texts) -> None:
        """Take over what was looked at somewhere else."""
        for key, look in texts.looks.items():
            self._remember(key, look)

    def _remember(self, key: bytes, look: Look) -> None:
        self.looks[key] = look
        if not any(one.failed for one in look.said):
            self.chain.memo.put(key, look)

    def _look(self, compiled: Compiled, data: bytes) -> Look:
        if not self.chain.is_remembered(data):
            return compiled.look(data)
        key = self.chain.memo.key(data, compiled.where, self.scope.dialect)
        known = self.looks.get(key)
        if known is None:
            known = self.chain.memo.get(key)
        if known is None:
            known = compiled.look(data)
            self._remember(key, known)
        return known

    def _apply(self, slot: Slot, data: bytes, look: Look, compiled: Compiled) -> bool:
        for said in look.said:
            self.decide(said)
        out: list[bytes] = []
        at = 0
        for match in look.matches:
            new = self.changed(match, compiled, partial(_part, data, match))
            if new is not None:
                out += [data[at : match.start], to_bytes(new)]
                at = match.end
        if not out:
            return False
        if slot.holder is None:
            self.block_text("a name of a field would have to be changed")
        if self.chain.observe or slot.holder is None:
            return False
        slot.write(from_bytes(b"".join([*out, data[at:]])))
        return True

    def changed(self, match: Match, compiled: Compiled, text: Callable[[], str]) -> str | None:
        """Return the new text for a match, None to leave it; raises Blocked."""
        owner, rule = compiled.owners[match.rule.id]
        if rule.action is Action.KEEP:
            return None
        if rule.action is Action.BLOCK:
            self._stop(owner, rule)
            return None
        new: str | None = None
        if rule.action is Action.MODIFY and rule.replace is not None:
            before = text()
            new = rule.replace(before, rule.rule, self.scope)
            if new == before:
                return None
        if not rule.quiet:
            self.note(owner, rule.action, rule.rule.label or rule.rule.id)
        return new

    def _stop(self, owner: Filter, rule: TextRule) -> None:
        what = rule.rule.id
        self.decide(Said(owner, Judged(Action.BLOCK, what, f"blocked by {owner.name} ({what})")))

    # texts that grow -------------------------------------------------------------------------

    def rewriting(self, kind: Kind) -> _Rewriting | None:
        """Return how a text of the answer is judged that comes in parts."""
        role = "tool" if self.scope.dialect == "mcp" else "assistant"
        compiled = self.chain.compiled(self.where(role, kind))
        if compiled is None or compiled.rules is None:
            return None
        return _Rewriting(self, compiled)

    def across(self, before: str, text: str, role: str, kind: Kind) -> None:
        """Block where something stands across two events."""
        compiled = self.chain.compiled(self.where(role, kind))
        if compiled is None or compiled.rules is None:
            return
        start = to_bytes(before)
        for match in compiled.rules.scan(start + to_bytes(text), 0, closed=True)[0]:
            owner, rule = compiled.owners[match.rule.id]
            effective = rule.action in {Action.BLOCK, Action.MODIFY}
            if match.start < len(start) < match.end and effective:
                self._stop(owner, rule)

    def garbage(self, text: str) -> None:
        """Judge what is no JSON: it cannot be changed."""
        self.slots([Slot(None, None, "assistant", Kind.OTHER, fixed=text)])

    # calls and tools -------------------------------------------------------------------------

    def call(self, call: Call) -> bool:
        """Judge a complete call; tell whether its arguments were changed. Raises Blocked."""
        try:
            return self._call(call)
        except RecursionError:
            self.block_text(f"a call of {call.name[:60]} cannot be judged: {_TOO_DEEP}")
        return False

    def _call(self, call: Call) -> bool:
        given = call.holder[call.key]
        value, is_text = given, False
        if isinstance(given, str):
            try:
                value = strict_json(given) if given.strip() else {}
                is_text = True
            except TwiceError as error:
                self.block_text(f"the arguments of {call.name[:60]} have two readings: {error}")
            except ValueError:
                value = given
        if self.phase == "response" or self.scope.dialect == "mcp":
            for one in self.chain.filters:
                said = self.chain.ask(one, partial(one.judge_call, call.name, value, self.scope))
                if said is not None:
                    self.decide(said)
        box = {"": value}
        reading = Reading()
        try:
            reading.inside(box, call.role, Kind.ARGUMENTS, call.name)
        except ValueError as error:
            self.block_text(f"a call of {call.name[:60]} cannot be judged: {error}")
            return False
        reading.slots = [slot for slot in reading.slots if slot.kind is not Kind.KEY or slot.fixed]
        for number in numbers_as_text(value):
            reading.slots.append(
                Slot(None, None, call.role, Kind.ARGUMENTS, call.name, fixed=number)
            )
        if call.name:
            name = Slot(None, None, call.role, Kind.KEY, call.name, fixed=call.name)
            reading.slots.append(name)
        if not self.slots(reading.slots):
            return False
        if call.is_copy:
            self.block_text(f"the arguments of {call.name[:60]} would have to be changed in pieces")
        value = box[""]
        call.holder[call.key] = json.dumps(value, ensure_ascii=False) if is_text else value
        return True

    def strange(self, calls: list[Call]) -> None:
        """Block calls in a form that no dialect knows: how they go on cannot be told."""
        if any(type(one).judge_call is not Filter.judge_call for one in self.chain.filters):
            name = calls[0].name[:60] or "a tool"
            self.block_text(f"the answer calls {name} in a form that cannot be judged")

    def tools(self, tools: list[Tool]) -> bool:
        """Judge definitions of tools; one that a server's list may lose is taken out of it."""
        changed = False
        for tool in tools:
            for one in self.chain.filters:
                said = self.chain.ask(one, partial(one.judge_tool, tool, self.phase, self.scope))
                if said is None:
                    continue
                can_go = isinstance(tool.holder, list) and said.judged.action is Action.BLOCK
                if not can_go:
                    self.decide(said)
                    continue
                self.note(one, Action.MODIFY, said.judged.label)
                if not self.chain.observe and any(t is tool.definition for t in tool.holder):
                    tool.holder[:] = [t for t in tool.holder if t is not tool.definition]
                    changed = True
        return changed

    # decisions -------------------------------------------------------------------------------

    def decide(self, said: Said) -> None:
        """Write down what a filter said; raises Blocked where that stops the message."""
        judged = said.judged
        if said.failed and judged.action is not Action.BLOCK:
            self.said[said.filter.name, "skip", judged.label] += 1
            return
        self.note(said.filter, judged.action, judged.label)
        if judged.action is Action.BLOCK and not self.chain.observe:
            why = Broken(
                message=judged.reason, code=judged.code, status=judged.status, id=self.error_id
            )
            raise Blocked(why)

    def note(self, owner: Filter, action: Action, label: str) -> None:
        """Write down what was decided."""
        self.said[owner.name, action.value, label] += 1

    def block_text(self, reason: str) -> None:
        """Block because of the message itself. Raises Blocked, but in observe mode."""
        self.said["tavo", "block", reason] += 1
        if not self.chain.observe:
            raise Blocked(self.broken(reason))

    def broken(self, reason: str) -> Broken:
        """Return what the client is told where the message itself is at fault."""
        return Broken(message=reason, code="tavo_blocked", id=self.error_id)


class _Rewriting:
    """What matches in one growing text mean. Those outside of links wait for the links."""

    __slots__ = ("_compiled", "_desk", "_links", "_showing", "_waiting", "sets")

    def __init__(self, desk: ChainDesk, compiled: Compiled) -> None:
        self._desk = desk
        self._compiled = compiled
        self.sets: Sequence[RuleSet] = compiled.sets
        self._waiting: list[tuple[Match, str]] = []
        self._links: list[Match] = []
        self._showing = Showing() if compiled.links else None

    def heard(self, data: bytes) -> None:
        if self._showing is not None:
            self._showing.feed(data)

    def edits(
        self, matches: Sequence[Sequence[Match]], text: Callable[[int, int], str], final: int
    ) -> tuple[list[Edit], int, Broken | None]:
        if not (matches[0] or self._waiting):
            if self._compiled.links:
                self._links += matches[1]
                self._links = [link for link in self._links if link.end > final]
            return [], final, None
        compiled, desk = self._compiled, self._desk
        self._waiting += [(one, text(one.start, one.end)) for one in matches[0]]
        if compiled.links:
            self._links += matches[1]
        edits: list[Edit] = []
        for number, (match, said) in enumerate(self._waiting):
            if compiled.links and match.end > final:
                del self._waiting[:number]
                return edits, min(final, match.start), None
            if self._showing is not None and not compiled.without_links(
                [match], self._links, self._showing.is_plain
            ):
                continue
            try:
                new = desk.changed(match, compiled, partial(str, said))
            except Blocked as blocked:
                return edits, match.start, blocked.why
            if new is not None and not desk.chain.observe:
                edits.append((match.start, match.end, new))
        self._waiting.clear()
        self._links = [link for link in self._links if link.end > final]
        return edits, final, None


class Texts:
    """Texts to be looked at in another thread."""

    def __init__(self) -> None:
        self._texts: list[tuple[bytes, Compiled, bytes]] = []
        self.size = 0
        self.looks: dict[bytes, Look] = {}

    def add(self, key: bytes, compiled: Compiled, data: bytes) -> None:
        """Add a text."""
        self._texts.append((key, compiled, data))
        self.size += len(data)

    def look(self) -> None:
        """Look at all of them."""
        for key, compiled, data in self._texts:
            if key not in self.looks:
                self.looks[key] = compiled.look(data)


def _part(data: bytes, match: Match) -> str:
    return from_bytes(data[match.start : match.end])
