"""Which parts of which files can have a part in a flow of a rule, before any of them is looked at.

Rules this module keeps:
- a part is a function or a class at the top of a file, or its own code, which all others see;
- a flow goes up from its source and down to its sink: some part must reach both by calls, and only
  what such a part calls, and what reaches one of them, matters;
- what is not known, because a file was not parsed, is taken to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tavo.scan.graph import closure
from tavo.scan.linking import Links
from tavo.scan.outline import MODULE, Outline

__all__ = ["Relevance"]

Node = tuple[str, str]


class Relevance:
    """The parts of files that matter, by rule."""

    def __init__(
        self, outlines: Mapping[str, Outline], links: Links, anywhere: Mapping[str, bool]
    ) -> None:
        """`anywhere` holds the rules, and whether their sources can be in any file."""
        self._outlines = outlines
        self._links = links
        self._nodes: dict[Node, Node] = {}
        self._down: dict[Node, set[Node]] = {}
        self._up: dict[Node, set[Node]] = {}
        self._connect()
        self.parts: dict[str, dict[str, frozenset[str]]] = {}
        self._same: dict[frozenset[str], frozenset[str]] = {}
        for rule, begins_anywhere in anywhere.items():
            self._add(rule, begins_anywhere=begins_anywhere)

    def _connect(self) -> None:
        for path, outline in self._outlines.items():
            for part, called in outline.parts.items():
                for other in (MODULE, *called):
                    self._edge((path, part), (path, other))
            for link in self._links.of.get(path, ()):
                for target, name in link.places:
                    for part in self._parts_of(target, name):
                        for own in link.parts:
                            self._edge((path, own), (target, part))

    def _edge(self, caller: Node, called: Node) -> None:
        if caller != called:
            caller = self._nodes.setdefault(caller, caller)  # each one is there once: it is in
            called = self._nodes.setdefault(called, called)  # very many sets
            self._down.setdefault(caller, set()).add(called)
            self._up.setdefault(called, set()).add(caller)

    def _parts_of(self, path: str, name: str) -> Iterable[str]:
        """Return the parts of a file that a name there is in."""
        parts = self._outlines[path].parts
        if not name:
            return (MODULE, *parts)
        first = name.partition(".")[0]
        return (first,) if first in parts else (MODULE,)

    def _add(self, rule: str, *, begins_anywhere: bool) -> None:
        ends = self._marked(rule, "sinks")
        begins = self._marked(rule, "sources")
        if not ends or not (begins or begins_anywhere):
            return
        to_sink = closure(ends, self._up)
        from_source = closure(begins, self._up)
        both = to_sink if begins_anywhere else to_sink & from_source
        if not both:
            return
        found: dict[str, set[str]] = {}
        for path, part in closure(both, self._down) & (to_sink | from_source):
            found.setdefault(path, set()).add(part)
        if found:  # most rules have to do with the same parts of a file
            self.parts[rule] = {path: self._one(frozenset(parts)) for path, parts in found.items()}

    def _one(self, parts: frozenset[str]) -> frozenset[str]:
        return self._same.setdefault(parts, parts)

    def _marked(self, rule: str, what: str) -> set[Node]:
        found: set[Node] = set()
        for path, outline in self._outlines.items():
            marked: Mapping[str, tuple[str, ...]] = getattr(outline, what)
            if rule in marked:
                for part in marked[rule] or (MODULE, *outline.parts):
                    node = path, part
                    found.add(self._nodes.setdefault(node, node))
        return found
