"""Where the sources, sinks, sanitizers and propagators of a rule matched in one file.

Rules this module keeps:
- analysis asks by node: every match is put on the node with its byte range, or, when there is
  none, on the largest nodes inside it, or else on the smallest node around it;
- sinks are looked for first: most files have none, and then nothing else is matched.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tavo.plugins import Location
from tavo.scan.labels import Requirement
from tavo.scan.match import Env, Match
from tavo.scan.parsed import ParsedFile
from tavo.scan.rule import TaintSink, TaintSource, TaintSpec
from tavo.scan.suppress import Ignore
from tavo.scan.taint.state import Taint
from tavo.scan.tree import Node

__all__ = ["Ends", "FarSink", "Mark", "Marks", "Spot", "find_ends", "find_marks", "labels_of"]

Range = tuple[int, int]

# Kinds that the analysis never looks at by themselves; a mark goes to what is inside them.
_TRANSPARENT = frozenset({"block", "module", "argument_list", "with_clause", "with_item"})
_MOST_SPOTS = 20_000


class FarSink(msgspec.Struct, frozen=True):
    """A sink in another file: where it is, what its rule bound, the ignore comment on its line."""

    location: Location
    evidence: tuple[tuple[str, str], ...]
    ignore: Ignore | None


class Spot(msgspec.Struct, frozen=True):
    """One match of a source or sink, as the rule found it.

    `label` is what a source calls its taint; `requires` tells of labels whether they suffice.
    """

    start: int
    end: int
    env: Env
    label: str = ""
    requires: Requirement | None = None
    far: FarSink | None = None


def labels_of(taint: Taint) -> frozenset[str]:
    """Return the labels of a value."""
    return frozenset(trace.label for trace in taint)


class Mark(msgspec.Struct):
    """What the rule says about one node.

    `sources` and the three lists of sinks are numbers of spots: `sinks` look at the value, `calls`
    at what goes into a call, `wide_sinks` at everything inside. `source_around` and `clean_around`
    say that what is inside the node is tainted or clean as well; `source_only` that the node
    itself is not tainted, only what it names from then on.
    """

    sources: list[int] = msgspec.field(default_factory=list)
    source_around: bool = False
    source_lasts: bool = False
    source_only: bool = False
    sinks: list[int] = msgspec.field(default_factory=list)
    calls: list[int] = msgspec.field(default_factory=list)
    wide_sinks: list[int] = msgspec.field(default_factory=list)
    clean: bool = False
    clean_around: bool = False
    clean_lasts: bool = False
    carries_to: list[tuple[Range, bool]] = msgspec.field(default_factory=list)


class Marks(msgspec.Struct):
    """All marks of one rule on one file, by byte range."""

    sources: list[Spot] = msgspec.field(default_factory=list)
    sinks: list[Spot] = msgspec.field(default_factory=list)
    at: dict[Range, Mark] = msgspec.field(default_factory=dict)
    targets: dict[Range, Node] = msgspec.field(default_factory=dict)

    def on(self, where: Range) -> Mark:
        mark = self.at.get(where)
        if mark is None:
            mark = self.at[where] = Mark()
        return mark

    def is_clean_around(self, node: Node) -> bool:
        """Tell whether a node is a sanitizer that cleans everything inside it."""
        mark = self.at.get((node.start, node.end))
        return mark is not None and mark.clean_around


class Ends(msgspec.Struct, frozen=True):
    """Where the sinks and the sources of a rule match in a file."""

    sinks: Sequence[tuple[TaintSink, Match]]
    sources: Sequence[tuple[TaintSource, Match]]


def find_ends(spec: TaintSpec, file: ParsedFile, *, all_sources: bool = False) -> Ends:
    """Return where a rule's sinks and sources match.

    In a file without sinks sources are looked for with `all_sources` only.
    """
    sinks = [(entry, match) for entry in spec.sinks for match in entry.formula.evaluate(file)]
    if not sinks and not all_sources:
        return Ends(sinks, ())
    sources = [(entry, match) for entry in spec.sources for match in entry.formula.evaluate(file)]
    return Ends(sinks, sources)


def find_marks(spec: TaintSpec, file: ParsedFile, ends: Ends) -> Marks:
    """Return where a rule's parts match, besides its sinks and sources also the other ones."""
    marks = Marks()
    sinks, sources = ends.sinks, ends.sources
    nodes = _nodes_by_range(file)
    for sink, match in sinks[:_MOST_SPOTS]:
        number = len(marks.sinks)
        marks.sinks.append(Spot(match.start, match.end, match.env, requires=sink.requires))
        for where, whole in _places(match, nodes, file):
            mark = marks.on(where)
            if not sink.exact or not whole:
                mark.wide_sinks.append(number)
            else:
                mark.sinks.append(number)
                if not getattr(sink.formula, "focus", None):
                    mark.calls.append(number)
    for source, match in sources[:_MOST_SPOTS]:
        marks.sources.append(Spot(match.start, match.end, match.env, source.label, source.requires))
        for where, _ in _places(match, nodes, file):
            mark = marks.on(where)
            if not mark.sources or spec.several_sources:
                mark.sources.append(len(marks.sources) - 1)
                mark.source_only = source.only and (mark.source_only or len(mark.sources) == 1)
            else:
                mark.source_only &= source.only
            mark.source_around |= not (source.exact or source.only)
            mark.source_lasts |= source.by_side_effect
    taken = {(spot.start, spot.end) for spot in (*marks.sources, *marks.sinks)}
    for sanitizer in spec.sanitizers:
        for match in sanitizer.formula.evaluate(file)[:_MOST_SPOTS]:
            if sanitizer.not_conflicting and (match.start, match.end) in taken:
                continue
            for where, _ in _places(match, nodes, file):
                mark = marks.on(where)
                mark.clean = True
                mark.clean_around |= not sanitizer.exact
                mark.clean_lasts |= sanitizer.by_side_effect
    for propagator in spec.propagators:
        for match in propagator.formula.evaluate(file)[:_MOST_SPOTS]:
            origin, target = match.env.get(propagator.source), match.env.get(propagator.target)
            if origin is None or target is None:
                continue
            to = (target.start, target.end)
            marks.on((origin.start, origin.end)).carries_to.append((to, propagator.by_side_effect))
            marks.on(to)
            if (node := nodes.get(to)) is not None:
                marks.targets[to] = node
    return marks


def _nodes_by_range(file: ParsedFile) -> dict[Range, Node]:
    """Return the outermost node of each byte range, made once for a file."""
    known = file.memory.get(_nodes_by_range)
    if isinstance(known, dict):
        return known
    nodes: dict[Range, Node] = {}
    for node in file.root.walk():
        if node.kind not in _TRANSPARENT:
            nodes.setdefault((node.start, node.end), node)
    file.memory[_nodes_by_range] = nodes
    return nodes


def _places(match: Match, nodes: dict[Range, Node], file: ParsedFile) -> list[tuple[Range, bool]]:
    """Return the ranges to mark for a match, each with whether it is the match as a whole."""
    where = (match.start, match.end)
    if where in nodes:
        return [(where, True)]
    inside: list[tuple[Range, bool]] = []
    around = file.root
    stack = [file.root]
    while stack:
        node = stack.pop()
        if node.end <= match.start or node.start >= match.end:
            continue
        fits = match.start <= node.start and node.end <= match.end
        if fits and node.kind not in _TRANSPARENT:
            inside.append(((node.start, node.end), False))
            continue
        if node.start <= match.start and match.end <= node.end:
            around = node
        stack.extend(node.children)
    return inside or [((around.start, around.end), False)]
