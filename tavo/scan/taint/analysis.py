"""Find the flows of one taint rule in one file.

Rules this module keeps:
- the module's own code and each function are run once, outer ones first; a nested function sees
  what is tainted where it is defined and where its surroundings end;
- only functions with a sink are run; a function that takes too many steps is given up by name;
- one flow for each place of a sink, with the way the data took; none for a sink inside it;
- what was found before time ran out, or before something was nested too deep, is told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec

from tavo.plugins import Step
from tavo.scan.bindings import same_code
from tavo.scan.match import BudgetError, Env
from tavo.scan.parsed import ParsedFile
from tavo.scan.rule import TaintSpec
from tavo.scan.scopes import FUNCTIONS
from tavo.scan.taint.binding import Exhausted
from tavo.scan.taint.calls import Known
from tavo.scan.taint.marks import (
    Ends,
    FarSink,
    Marks,
    Spot,
    find_ends,
    find_marks,
    labels_of,
)
from tavo.scan.taint.state import CLEAN, Origin, State, Taint, Trace, join_all
from tavo.scan.taint.statements import NestedFunction, Statements
from tavo.scan.taint.summary import Summary
from tavo.scan.timing import TimeUpError, has_stopped
from tavo.scan.tree import Node

__all__ = ["Flow", "FlowStep", "Result", "analyze", "flows_of"]

_BUDGET = 600_000
_SNIPPET = 60


FlowStep = tuple[int, int, str] | Step


class Flow(msgspec.Struct, frozen=True):
    """A sink that tainted data reaches: its byte range, the bindings of sink and source, the way.

    Each step is a byte range and a sentence, or a step in another file; the source is first and
    the sink last. `far` is the sink when it is in another file.
    """

    start: int
    end: int
    env: Env
    steps: tuple[FlowStep, ...]
    far: FarSink | None = None


class Result(msgspec.Struct):
    """The flows of a rule in a file, why it is not all of them, and what its functions do.

    `stopped` is the error that ended the analysis, whose flows so far these are.
    """

    flows: list[Flow]
    problem: str = ""
    stopped: Exception | None = None
    summaries: dict[int, Summary] = msgspec.field(default_factory=dict)

    def raise_problem(self) -> None:
        """Raise what kept the analysis from looking at everything, if something did."""
        if self.stopped is not None:
            raise self.stopped
        if self.problem:
            raise BudgetError(self.problem)


def analyze(
    file: ParsedFile,
    spec: TaintSpec,
    *,
    budget: int = _BUDGET,
    heard: Callable[[Ends], None] | None = None,
) -> Iterator[Flow]:
    """Yield where tainted data reaches a sink of the rule, in the order of the source.

    `budget` bounds the steps spent on each function. `heard` is told where the rule's data can
    begin and end in the file. Raises BudgetError when a pattern takes too long to match, and,
    after all flows, when a function was given up; TimeUpError and RecursionError after those that
    were found until then.
    """
    ends = find_ends(spec, file)
    if heard is not None:
        heard(ends)
    if not ends.sinks or not ends.sources:
        return
    result = flows_of(file, spec, find_marks(spec, file, ends), {}, budget=budget)
    yield from result.flows
    result.raise_problem()


def flows_of(
    file: ParsedFile,
    spec: TaintSpec,
    marks: Marks,
    elsewhere: Mapping[str, Known],
    *,
    budget: int = _BUDGET,
    wanted: Collection[str] | None = None,
) -> Result:
    """Return the flows between marks; `elsewhere` are imported functions by dotted name.

    With `wanted` only what those functions of the file do is asked for.
    """
    run = Statements(file, marks, spec.options, budget)
    given_up: list[Node] = []
    stopped: Exception | None = None
    try:
        if spec.across_functions:
            from tavo.scan.taint.across import Across

            given_up = Across(file, marks, run, budget, elsewhere).run_all(wanted)
        else:
            given_up = _run_all(file, marks, run, budget)
    except (TimeUpError, RecursionError) as error:
        has_stopped()
        stopped = error
    unify = "taint_unify_mvars" in spec.options
    arrived = {
        number: trace
        for number, taint in run.found.items()
        if (trace := _chosen(taint, marks, marks.sinks[number], unify=unify)) is not None
    }
    flows = []
    far = [(number, trace) for number, trace in arrived.items() if marks.sinks[number].far]
    near = {number: trace for number, trace in arrived.items() if not marks.sinks[number].far}
    for number, trace in [*_outer_ones(marks, near), *far]:
        spot = marks.sinks[number]
        env = {**_source_of(trace, marks).env, **spot.env}
        flows.append(Flow(spot.start, spot.end, env, _steps(file, trace, spot), spot.far))
    problem = ""
    if given_up:
        lines = ", ".join(str(file.source.line_of(node.start)) for node in given_up[:5])
        problem = f"the code that begins at line {lines} is too large for taint analysis"
    return Result(flows, problem, stopped, run.summaries)


def _outer_ones(marks: Marks, found: dict[int, Trace]) -> Iterator[tuple[int, Trace]]:
    """Yield the sinks that were reached, one for each place, in the order of the source.

    A sink inside another one that the same source reaches says nothing more, and is left out.
    """
    reached = sorted(found.items(), key=lambda item: _outer_first(marks.sinks[item[0]]))
    around: list[tuple[int, Origin]] = []
    for number, trace in reached:
        spot = marks.sinks[number]
        while around and around[-1][0] <= spot.start:
            around.pop()
        if all(source != trace.origin for end, source in around if spot.end <= end):
            yield number, trace
            around.append((spot.end, trace.origin))


def _chosen(taint: Taint, marks: Marks, sink: Spot, *, unify: bool) -> Trace | None:
    """Return the trace to report at a sink, None if what the sink requires is not there.

    With `unify`, what source and sink bind under the same name must be the same code.
    """
    known = [trace for trace in taint if isinstance(trace.origin, int)]
    if unify:
        known = [t for t in known if _agree(_source_of(t, marks).env, sink.env)]
    if not known or (sink.requires is not None and not sink.requires(labels_of(tuple(known)))):
        return None
    return known[0]


def _agree(one: Env, other: Env) -> bool:
    return all(same_code(one[name], other[name]) for name in one.keys() & other.keys())


def _source_of(trace: Trace, marks: Marks) -> Spot:
    return marks.sources[trace.origin] if isinstance(trace.origin, int) else Spot(0, 0, {})


def _outer_first(spot: Spot) -> tuple[int, int]:
    return spot.start, -spot.end


def _run_all(file: ParsedFile, marks: Marks, run: Statements, budget: int) -> list[Node]:
    """Run the module's code and all functions with sinks; return what was given up."""
    given_up: list[Node] = []
    done: set[int] = set()
    outermost = _outermost(file)
    waiting: deque[NestedFunction] = deque()
    if _module_matters(marks, outermost):
        waiting.append(NestedFunction(file.root, State(), CLEAN))
    left = deque(
        NestedFunction(node, State(), CLEAN, marks.is_clean_around(node)) for node in outermost
    )
    while waiting or left:
        # What the module's code did not come past, such as code after a return, is left over.
        function = waiting.popleft() if waiting else left.popleft()
        if id(function.node) in done or not _has_sink(marks, function.node):
            continue
        done.add(id(function.node))
        run.begin_run(budget)
        end: State | None = None
        try:
            if function.node.kind == "module":
                end = run.run_body([function.node], function.state)
            else:
                end = run.run_function(function)
        except Exhausted:
            given_up.append(function.node)
        if run.has_skipped:
            given_up.append(function.node)
        for found in run.nested.values():
            seen = join_all(found.state, end) or found.state
            waiting.append(NestedFunction(found.node, seen, found.ambient, found.is_clean))
    return given_up


def _outermost(file: ParsedFile) -> list[Node]:
    """Return the functions that are in no other function."""
    return [
        node
        for node in file.by_kind.get("function_definition", ())
        if all(parent.kind not in FUNCTIONS for parent in node.ancestors())
    ]


def _has_sink(marks: Marks, node: Node) -> bool:
    return any(node.start <= sink.start and sink.end <= node.end for sink in marks.sinks)


def _module_matters(marks: Marks, functions: list[Node]) -> bool:
    """Tell whether code outside of functions can taint something or be a sink."""
    starts = [function.start for function in functions]
    ranges = {(function.start, function.end) for function in functions}

    def outside(spot: Spot) -> bool:
        index = bisect_right(starts, spot.start) - 1
        if index < 0 or spot.end > functions[index].end:
            return True
        return (spot.start, spot.end) in ranges

    return any(outside(spot) for spot in (*marks.sources, *marks.sinks))


def _steps(file: ParsedFile, trace: Trace, sink: Spot) -> tuple[FlowStep, ...]:
    steps: list[FlowStep] = []
    for number, step in enumerate(trace.steps()):
        if step.elsewhere is not None:
            steps.append(step.elsewhere)
            continue
        text = " ".join(file.source.text(step.start, step.end).split())
        short = text if len(text) <= _SNIPPET else text[: _SNIPPET - 1] + "…"
        if step.note:
            steps.append((step.start, step.end, step.note))
            continue
        what = "tainted here" if number == 0 else "goes into"
        steps.append((step.start, step.end, f"{what}: {short}"))
    if sink.far is not None:
        steps.append(Step(location=sink.far.location, message="arrives here"))
    else:
        steps.append((sink.start, sink.end, "arrives here"))
    return tuple(steps)
