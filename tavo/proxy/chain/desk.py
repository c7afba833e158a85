"""The desk: one exchange before its chain. Texts, calls and tools come in, decisions go out.

Rules this module keeps:
- what is decided is written down before it has an effect;
- in observe mode everything is judged and written down, and nothing is changed or stopped;
- a text that may not be changed where it stands (the name of a field) is blocked instead.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tavo.detect.live import looked
from tavo.detect.rules import Match, RuleSet, from_bytes, to_bytes
from tavo.detect.seen import without_hidden
from tavo.llm.dialect import Broken
from tavo.llm.parts import Call, Kind, Reading, Slot, Tool, TwiceError, strict_json
from tavo.proxy.chain.chain import Chain, Compiled, Look, Said
from tavo.proxy.chain.elsewhere import Texts
from tavo.proxy.chain.filter import Filter
from tavo.proxy.chain.joined import Joined, joined_texts, rewritten
from tavo.proxy.chain.showing import Showing
from tavo.proxy.chain.values import Action, Judged, Scope, TextRule
from tavo.proxy.stream.asking import Blocked, Edit

__all__ = ["ChainDesk"]

_RESTORING = (Kind.TEXT, Kind.REASONING)
_FIXED = "what stands there as a name or a number would have to be changed"
_TOO_DEEP = "its arguments are nested too deep"


class ChainDesk:
    """Judges what belongs to one phase, `request` or `response`, of one exchange."""

    __slots__ = ("_is_long", "_restores", "chain", "error_id", "looks", "phase", "said", "scope")

    def __init__(self, chain: Chain, scope: Scope, phase: str) -> None:
        self.chain = chain
        self.scope = scope
        self.phase = phase
        self.said: Counter[tuple[str, str, str]] = Counter()
        self.looks: dict[bytes, Look] = {}
        self.error_id: Any = None
        self._restores = phase == "response"
        self._is_long = False  # so long that even short texts were looked at elsewhere

    # texts -----------------------------------------------------------------------------------

    def looking(self, role: str, kind: Kind) -> Compiled | None:
        """Return what looks at a kind of text here, None where nothing does."""
        restores = (
            self._restores and kind in _RESTORING
            and bool(self.scope.values or self.scope.has_lookalikes)
        )  # fmt: skip
        return self.chain.looking(self.phase, role, kind, restores)

    def slots(self, slots: list[Slot]) -> bool:
        """Judge texts that stand whole; tell whether one was changed. Raises Blocked."""
        changed = False
        for slot in slots:
            compiled = self.looking(slot.role, slot.kind)
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
            compiled = self.looking(slots[0].role, slots[0].kind)
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
        across = [one for one in look.matches if text.is_across(one.start, one.end)]
        edits: list[Edit] = []
        for group in groups(across):
            edits += self.edits(group, compiled, partial(_part, text.data))
        if not edits or self.chain.observe:
            return False
        if not rewritten(text, edits):
            self.block_text(_FIXED, "name")
        return True

    def unknown(
        self, slots: Sequence[Slot], joins: list[list[Slot]], glues: Sequence[str] = ("",)
    ) -> Texts:
        """Return the texts that nobody remembers, to be looked at somewhere else."""
        texts = Texts(self.chain.scanner)
        self._is_long = True
        for slot in slots:
            self._unknown(texts, slot, to_bytes(slot.text))
        for group in joins:
            for glue in glues:
                for one in joined_texts(group, glue):
                    self._unknown(texts, group[0], one.data)
        return texts

    def _unknown(self, texts: Texts, slot: Slot, data: bytes) -> None:
        compiled = self.looking(slot.role, slot.kind)
        if compiled is None:
            return
        key = self.chain.memo.key(data, compiled.where, self.scope.dialect)
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
        if not self._is_long and not self.chain.is_remembered(compiled, data):
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
        for group in groups(look.matches):
            for start, end, new in self.edits(group, compiled, partial(_part, data)):
                out += [data[at:start], to_bytes(new)]
                at = end
        if not out:
            return False
        if slot.holder is None:
            self.block_text(_FIXED, "name")
        if self.chain.observe or slot.holder is None:
            return False
        slot.write(from_bytes(b"".join([*out, data[at:]])))
        return True

    def edits(
        self, group: Sequence[Match], compiled: Compiled, text: Callable[[int, int], str]
    ) -> list[Edit]:
        """Return the edits of matches that overlap, as edits that do not; raises Blocked.

        `text` returns what stands at a place. Of edits that overlap the widest gives the new text
        for all that they cover together.
        """
        found: list[Edit] = []
        for match in group:
            new = self.changed(match, compiled, partial(text, match.start, match.end))
            if new is not None:
                found.append((match.start, match.end, new))
        if len(found) < 2:
            return found
        edits: list[Edit] = []
        widest = 0
        for edit in found:
            if not edits or edit[0] >= edits[-1][1]:
                edits.append(edit)
                widest = edit[1] - edit[0]
                continue
            start, end, said = edits[-1]
            if edit[1] - edit[0] > widest:
                widest, said = edit[1] - edit[0], edit[2]
            edits[-1] = start, max(end, edit[1]), said
        return edits

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
            given = text()
            # a value is the same with and without what is hidden in it
            before = without_hidden(given)
            new = rule.replace(before, rule.rule, self.scope)
            if new == given or (before and new == before):
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
        compiled = self.looking(role, kind)
        if compiled is None or compiled.rules is None:
            return None
        return _Rewriting(self, compiled)

    def across(self, before: str, text: str, role: str, kind: Kind) -> None:
        """Block where something stands across two events."""
        compiled = self.looking(role, kind)
        if compiled is None or compiled.rules is None:
            return
        start = to_bytes(before)
        matches = looked([compiled.rules], start + to_bytes(text))[0]
        for trouble in compiled.troubles():
            self.decide(trouble)
        for match in matches:
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
            self.block_text(f"a call of {call.name[:60]} cannot be judged: {_TOO_DEEP}", "depth")
        return False

    def _call(self, call: Call) -> bool:
        given = call.holder[call.key]
        value, is_text = given, False
        if isinstance(given, str):
            try:
                value = strict_json(given) if given.strip() else {}
                is_text = True
            except TwiceError as error:
                reason = f"the arguments of {call.name[:60]} have two readings: {error}"
                self.block_text(reason, "two readings")
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
            self.block_text(f"a call of {call.name[:60]} cannot be judged: {error}", "call")
            return False
        reading.slots = [slot for slot in reading.slots if slot.kind is not Kind.KEY or slot.fixed]
        if call.name:
            name = Slot(None, None, call.role, Kind.KEY, call.name, fixed=call.name)
            reading.slots.append(name)
        if not self.slots(reading.slots):
            return False
        if call.is_copy:
            reason = f"the arguments of {call.name[:60]} would have to be changed in pieces"
            self.block_text(reason, "pieces")
        value = box[""]
        call.holder[call.key] = json.dumps(value, ensure_ascii=False) if is_text else value
        return True

    def strange(self, calls: list[Call]) -> None:
        """Block calls in a form that no dialect knows: how they go on cannot be told."""
        if any(type(one).judge_call is not Filter.judge_call for one in self.chain.filters):
            name = calls[0].name[:60] or "a tool"
            reason = f"the answer calls {name} in a form that cannot be judged"
            self.block_text(reason, "strange call")

    def tools(self, tools: list[Tool]) -> bool:
        """Judge definitions of tools; one that a server's list may lose is taken out of it."""
        gone: dict[int, tuple[list[Any], set[int]]] = {}
        for tool in tools:
            for one in self.chain.filters:
                said = self.chain.ask(one, partial(one.judge_tool, tool, self.phase, self.scope))
                if said is None:
                    continue
                if not isinstance(tool.holder, list) or said.judged.action is not Action.BLOCK:
                    self.decide(said)
                    continue
                self.note(one, Action.MODIFY, said.judged.label)
                gone.setdefault(id(tool.holder), (tool.holder, set()))[1].add(id(tool.definition))
        if self.chain.observe:
            return False
        for holder, definitions in gone.values():
            holder[:] = [tool for tool in holder if id(tool) not in definitions]
        return bool(gone)

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

    def block_text(self, reason: str, label: str) -> None:
        """Block because of the message itself. Raises Blocked, but in observe mode.

        `label` is what is written down: the reason may name what stands in the message.
        """
        self.said["tavo", "block", label] += 1
        if not self.chain.observe:
            raise Blocked(self.broken(reason))

    def broken(self, reason: str) -> Broken:
        """Return what the client is told where the message itself is at fault."""
        return Broken(message=reason, code="tavo_blocked", id=self.error_id)


class _Rewriting:
    """What matches in one growing text mean. Those outside of links wait for the links."""

    __slots__ = ("_compiled", "_desk", "_final", "_links", "_showing", "_waiting", "sets")

    def __init__(self, desk: ChainDesk, compiled: Compiled) -> None:
        self._desk = desk
        self._compiled = compiled
        self.sets: Sequence[RuleSet] = compiled.sets
        self._waiting: list[tuple[Match, str]] = []
        self._links: list[Match] = []
        self._final = 0
        self._showing = Showing() if compiled.links else None

    def heard(self, data: bytes) -> None:
        if self._showing is not None:
            self._showing.feed(data)

    def edits(
        self, matches: Sequence[Sequence[Match]], text: Callable[[int, int], str], final: int
    ) -> tuple[list[Edit], int, Broken | None]:
        compiled, desk, waiting = self._compiled, self._desk, self._waiting
        if compiled.links:
            self._links += matches[1]
        if compiled.is_troubled:
            try:
                for trouble in compiled.troubles():
                    desk.decide(trouble)
            except Blocked as blocked:
                return [], 0, blocked.why
        if not (waiting or matches[0]):
            if self._links:
                self._pruned(final)
            return [], final, None
        waiting += [(one, text(one.start, one.end)) for one in matches[0]]
        ready = len(waiting)
        if compiled.links:
            ready, end = 0, 0
            for number, (one, _) in enumerate(waiting):
                ready = number if one.start >= end else ready
                end = max(end, one.end)
                if end > final:
                    final = min(final, waiting[ready][0].start)
                    break
            else:
                ready = len(waiting)
        chosen = [one for one, _ in waiting[:ready]]
        said = {(one.start, one.end): text for one, text in waiting[:ready]}
        del waiting[:ready]
        if self._showing is not None:
            chosen = compiled.without_links(chosen, self._links, self._showing.is_plain)
        edits: list[Edit] = []
        for group in groups(chosen):
            try:
                edits += desk.edits(group, compiled, lambda start, end: said[start, end])
            except Blocked as blocked:
                return edits, group[0].start, blocked.why
        self._pruned(final)
        return [] if desk.chain.observe else edits, final, None

    def _pruned(self, final: int) -> None:
        """Forget the links that nothing can stand in any more."""
        if final != self._final:
            self._final = final
            if self._links:
                self._links = [link for link in self._links if link.end > final]


def groups(matches: Sequence[Match]) -> Iterator[Sequence[Match]]:
    """Yield matches that overlap together; they stand in the order in which they begin."""
    start, end = 0, 0
    for number, match in enumerate(matches):
        if match.start >= end and number:
            yield matches[start:number]
            start = number
        end = max(end, match.end)
    if matches:
        yield matches[start:]


def _part(data: bytes, start: int, end: int) -> str:
    return from_bytes(data[start:end])
