"""Summaries of functions as other files use them.

Rules this module keeps:
- an exported summary is a small value without any tree: steps are locations, inputs are places;
- data that goes through as a whole says what happens to its parts, which are not said again, and
  of very many sinks the nearest ones are named: what a project knows of its functions grows with
  their number and not with its square;
- as an offer it is text, with each step once, that the files read which call the function;
- only functions that matter to a caller are exported: one of whose inputs reaches a sink, that
  brings data from a source, or that makes the objects of a class with such methods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from tavo.kept import path_of_text, text_of_path
from tavo.plugins import Location, Step
from tavo.scan.bindings import Binding
from tavo.scan.linking import Offer
from tavo.scan.suppress import Ignore
from tavo.scan.taint.calls import Known, spoken
from tavo.scan.taint.functions import Function, Input
from tavo.scan.taint.marks import FarSink, Marks, Spot
from tavo.scan.taint.state import ANY_SOURCE, CLEAN, Path, Taint, Trace, entrance, union
from tavo.scan.taint.summary import Summary, sources_of

__all__ = ["Export", "Place", "Way", "brought", "exported", "offered", "opened"]

_CONSTRUCTORS = frozenset({"__init__", "constructor"})
_MOST_WAYS = 8
_MOST_SINKS = 32
_MOST_WRITES = 32
_MOST_STEPS = 12


class Place(msgspec.Struct, frozen=True):
    """What a file says of byte ranges: the location, the text, the ignore comment."""

    locate: Callable[[int, int], Location]
    text: Callable[[int, int], str]
    ignored: Callable[[int], Ignore | None]


class Way(msgspec.Struct, frozen=True):
    """How data goes through a function: from a place it was given, or None for a source inside.

    `evidence` is what the source's rule bound.
    """

    origin: Path | None
    steps: tuple[Step, ...]
    evidence: tuple[tuple[str, str], ...] = ()


class Export(msgspec.Struct, frozen=True):
    """The summary of one function, by its name in its file: `run`, or `Tool.run`."""

    name: str
    inputs: tuple[Input, ...]
    entries: tuple[tuple[str, Step], ...]
    me: str
    makes: bool
    returns: tuple[Way, ...]
    writes: tuple[tuple[Path, Way], ...]
    sinks: tuple[tuple[FarSink, Way], ...]


class _Way(msgspec.Struct, array_like=True):
    """A way with its steps as numbers of the list that all of a function's ways share."""

    origin: Path | None
    steps: tuple[int, ...]
    evidence: tuple[tuple[str, str], ...]


class _Text(msgspec.Struct, array_like=True):
    """An export as it is written: its steps and sinks once each."""

    inputs: tuple[Input, ...]
    entries: tuple[tuple[str, int], ...]
    me: str
    makes: bool
    returns: tuple[_Way, ...]
    writes: tuple[tuple[Path, _Way], ...]
    sinks: tuple[tuple[int, _Way], ...]
    steps: list[Step]
    fars: list[FarSink]


def exported(
    functions: Iterable[Function],
    summaries: Mapping[int, Summary],
    marks: Marks,
    place: Place,
    *,
    wanted: Collection[str],
) -> tuple[Export, ...]:
    """Return the summaries that other files need, by the names that they want.

    Nested functions are not theirs.
    """
    known = [(one, summaries[id(one.node)]) for one in functions if id(one.node) in summaries]
    chosen = [(one, summary) for one, summary in known if _matters(summary)]
    classes = {one.name.rpartition(".")[0] for one, _ in chosen} - {""}
    chosen += [
        (one, summary)
        for one, summary in known
        if not _matters(summary) and _makes(one) and one.name.rpartition(".")[0] in classes
    ]
    return tuple(
        _export(one, summary, marks, place) for one, summary in chosen if _called(one) in wanted
    )


def _matters(summary: Summary) -> bool:
    """Tell whether a caller learns more from it than from not knowing the function."""
    values = (summary.returns, *summary.writes.values())
    return bool(summary.sinks) or any(sources_of(taint) for taint in values)


def _called(function: Function) -> str:
    """Return the name that callers use: of what makes an object, its class."""
    return function.name.rpartition(".")[0] if _makes(function) else function.name


def _makes(function: Function) -> bool:
    name, _, last = function.name.rpartition(".")
    return bool(name) and last in _CONSTRUCTORS


def _export(
    function: Function,
    summary: Summary,
    marks: Marks,
    place: Place,
) -> Export:
    entries = tuple(
        (
            entry.name,
            Step(
                location=place.locate(entry.start, entry.end),
                message=f"goes into parameter {spoken(entry.name)} of {function.name}",
            ),
        )
        for entry in function.inputs
    )

    def ways(taint: Taint) -> list[Way]:
        return [_way(trace, marks, place) for trace in _widest(taint)[:_MOST_WAYS]]

    sinks: list[tuple[int, FarSink, Way]] = []
    for number, taint in summary.sinks.items():
        spot = marks.sinks[number]
        far = spot.far or FarSink(
            place.locate(spot.start, spot.end),
            tuple((key, value.text[:200]) for key, value in sorted(spot.env.items())),
            place.ignored(spot.start),
        )
        sinks += [(at, far, way) for at, way in enumerate(ways(taint))]
    sinks.sort(key=lambda one: (one[0], len(one[2].steps)))
    writes = [(path, way) for path, taint in summary.writes.items() for way in ways(taint)]
    return Export(
        name=function.name,
        inputs=function.inputs,
        entries=entries,
        me=function.me,
        makes=_makes(function),
        returns=tuple(ways(summary.returns)),
        writes=tuple(writes[:_MOST_WRITES]),
        sinks=tuple((far, way) for _, far, way in sinks[:_MOST_SINKS]),
    )


def _widest(taint: Taint) -> list[Trace]:
    """Return the traces without those of places inside of what another one says as a whole."""
    origins = {trace.origin for trace in taint}
    return [
        trace
        for trace in taint
        if isinstance(trace.origin, int)
        or not any(trace.origin[:size] in origins for size in range(1, len(trace.origin)))
    ]


def _way(trace: Trace, marks: Marks, place: Place) -> Way:
    steps = trace.steps()
    origin = trace.origin
    evidence: tuple[tuple[str, str], ...] = ()
    if isinstance(origin, int):
        env = marks.sources[origin].env
        evidence = tuple((key, value.text[:200]) for key, value in sorted(env.items()))
    else:
        steps = steps[1:]  # the parameter itself, which the caller's step names
    if len(steps) > _MOST_STEPS:
        steps = [*steps[: _MOST_STEPS // 2], *steps[-_MOST_STEPS // 2 :]]
    return Way(
        None if isinstance(origin, int) else origin,
        tuple(step.elsewhere or _step(step, place, number) for number, step in enumerate(steps)),
        evidence,
    )


def _step(trace: Trace, place: Place, number: int) -> Step:
    """Return one step of a trace with its location."""
    location = place.locate(trace.start, trace.end)
    text = " ".join(place.text(trace.start, trace.end).split())[:60]
    what = "tainted here" if number == 0 and isinstance(trace.origin, int) else "goes into"
    return Step(location=location, message=trace.note or f"{what}: {text}")


def brought(export: Export, marks: Marks, *, apart: bool, numbers: dict[object, int]) -> Known:
    """Return an imported summary as the analysis of the importing file uses it.

    Its sources and sinks become further ones of the file's marks: `numbers` holds those of the
    sinks that other summaries brought. `apart`: the rule tells its sources apart.
    """
    summary = Summary()
    for way in export.returns:
        summary.returns = union(summary.returns, _taint(way, marks, apart=apart))
    for place, way in export.writes:
        summary.writes[place] = union(
            summary.writes.get(place, CLEAN), _taint(way, marks, apart=apart)
        )
    for far, way in export.sinks:
        key = (far.location.path, far.location.region, far.evidence)
        if key not in numbers:
            numbers[key] = len(marks.sinks)
            marks.sinks.append(Spot(0, 0, _env(far.evidence), far=far))
        known = summary.sinks.get(numbers[key], CLEAN)
        summary.sinks[numbers[key]] = union(known, _taint(way, marks, apart=apart))
    return Known(export.name, export.inputs, export.me, summary, export.makes, dict(export.entries))


def _env(evidence: Iterable[tuple[str, str]]) -> dict[str, Binding]:
    return {name: Binding(0, 0, text=text) for name, text in evidence}


def _taint(way: Way, marks: Marks, *, apart: bool) -> Taint:
    if way.origin is None:
        number = len(marks.sources)
        marks.sources.append(Spot(0, 0, _env(way.evidence)))
        first = way.steps[0] if way.steps else None
        key = number if apart else ANY_SOURCE
        trace, rest = Trace(0, 0, number, elsewhere=first, key=key), way.steps[1:]
    else:
        trace, rest = entrance(0, 0, way.origin), way.steps
    for step in rest:
        trace = trace.then_elsewhere(step)
    return (trace,)


# -- as text


def offered(export: Export) -> Offer:
    """Return an export as other files are offered it."""
    steps: dict[tuple[int, str], int] = {}
    fars: dict[int, int] = {}
    every: list[Step] = []
    sinks: list[FarSink] = []

    def step(one: Step) -> int:
        key = id(one.location), one.message
        if key not in steps:
            steps[key] = len(every)
            every.append(one)
        return steps[key]

    def far(one: FarSink) -> int:
        if id(one) not in fars:
            fars[id(one)] = len(sinks)
            sinks.append(one)
        return fars[id(one)]

    def way(one: Way) -> _Way:
        return _Way(one.origin, tuple(step(each) for each in one.steps), one.evidence)

    text = _Text(
        export.inputs,
        tuple((name, step(one)) for name, one in export.entries),
        export.me,
        export.makes,
        tuple(way(one) for one in export.returns),
        tuple((path, way(one)) for path, one in export.writes),
        tuple((far(sink), way(one)) for sink, one in export.sinks),
        every,
        sinks,
    )
    name = export.name.rpartition(".")[0] if export.makes else export.name
    content = msgspec.json.encode(text, enc_hook=text_of_path)
    return Offer(name, _digest(content), _meaning(export), content)


def opened(name: str, content: bytes) -> Export:
    """Return what an offer says, under the name that the caller knows it by."""
    text = msgspec.json.decode(content, type=_Text, dec_hook=path_of_text)

    def way(one: _Way) -> Way:
        return Way(one.origin, tuple(text.steps[number] for number in one.steps), one.evidence)

    return Export(
        name,
        text.inputs,
        tuple((name, text.steps[number]) for name, number in text.entries),
        text.me,
        text.makes,
        tuple(way(one) for one in text.returns),
        tuple((path, way(one)) for path, one in text.writes),
        tuple((text.fars[number], way(one)) for number, one in text.sinks),
    )


def _meaning(export: Export) -> bytes:
    """Return a digest of what callers learn, whatever the steps are."""
    said = (
        [(entry.name, entry.rest) for entry in export.inputs],
        export.me,
        export.makes,
        [way.origin for way in export.returns],
        [(path, way.origin) for path, way in export.writes],
        [(str(f.location.path), f.location.region, way.origin) for f, way in export.sinks],
    )
    return _digest(repr(said).encode("utf-8", "surrogatepass"))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=12).digest()
