"""What is tainted at one point: reading, tainting, cleaning and joining places."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.scan.taint.state import CLEAN, Path, State, Trace, join_all, then

T = (Trace(0, 1, 0),)


def tainted(*paths: Path) -> State:
    state = State()
    for path in paths:
        state.taint(path, T)
    return state


def test_a_tainted_place_taints_what_is_below_and_the_value_above() -> None:
    state = tainted(("a", ".b"))
    assert state.read(("a", ".b")) is T
    assert state.read(("a", ".b", ".c")) is T
    assert state.read(("a",)) is T
    assert state.read(("a", ".x")) == CLEAN
    assert state.read(("b",)) == CLEAN


def test_cleaning_below_leaves_the_rest_tainted() -> None:
    state = tainted(("a",))
    state.clean(("a", ".b"))
    assert state.read(("a", ".b")) == CLEAN
    assert state.read(("a", ".b", ".c")) == CLEAN
    assert state.read(("a", ".c")) is T
    state.clean(("a",))
    assert len(state) == 0


def test_a_copy_is_independent() -> None:
    state = tainted(("a",))
    copy = state.copy()
    copy.clean(("a", ".b"))
    copy.taint(("c",), T)
    assert state.read(("a", ".b")) is T
    assert state.read(("c",)) == CLEAN


def test_join_keeps_what_may_be_tainted_and_says_if_it_is_more() -> None:
    left, right = tainted(("a",)), tainted(("b",))
    joined, more = left.join(right)
    assert more
    assert joined.read(("a",)) is T
    assert joined.read(("b",)) is T
    assert joined.join(right)[1] is False
    assert left.read(("b",)) == CLEAN


def test_clean_on_one_way_only_is_not_clean() -> None:
    left, right = tainted(("a",)), tainted(("a",))
    left.clean(("a", ".b"))
    for joined in (left.join(right)[0], right.join(left)[0]):
        assert joined.read(("a", ".b")) is T
    right.clean(("a", ".b"))
    assert left.join(right)[0].read(("a", ".b")) == CLEAN


def test_clean_place_of_a_variable_that_is_clean_on_the_other_way() -> None:
    left = tainted(("a",))
    left.clean(("a", ".b"))
    for joined in (left.join(State())[0], State().join(left)[0]):
        assert joined.read(("a", ".b")) == CLEAN
        assert joined.read(("a", ".c")) is T


def test_join_of_nothing_reachable() -> None:
    assert join_all(None, None) is None
    assert join_all(None, state := State()) is state


def test_a_trace_is_bounded() -> None:
    trace = T
    for n in range(1, 1_000):
        trace = then(trace, n, n + 1)
    assert len(trace[0].steps()) <= 40
    assert trace[0].steps()[0] is T[0]


paths = st.lists(st.sampled_from(["a", ".b", ".c", "[s:k]"]), min_size=1, max_size=3).map(
    lambda parts: ("v", *parts)
)
changes = st.lists(st.tuples(st.booleans(), paths), max_size=8)


def changed(steps: list[tuple[bool, Path]]) -> State:
    state = State()
    for taints, path in steps:
        if taints:
            state.taint(path, T)
        else:
            state.clean(path)
    return state


@settings(max_examples=200, deadline=None)
@given(changes, changes, paths)
def test_join_is_the_union_of_both_sides(
    left: list[tuple[bool, Path]], right: list[tuple[bool, Path]], path: Path
) -> None:
    a, b = changed(left), changed(right)
    either = a.read(path) != CLEAN or b.read(path) != CLEAN
    assert (a.join(b)[0].read(path) != CLEAN) == either
    assert (b.join(a)[0].read(path) != CLEAN) == either


@settings(max_examples=200, deadline=None)
@given(changes, paths, paths)
def test_the_last_change_of_a_place_decides(
    steps: list[tuple[bool, Path]], path: Path, below: Path
) -> None:
    state = changed(steps)
    deeper = (*path, *below[1:])
    state.taint(path, T)
    assert state.read(deeper) is T
    state.clean(path)
    assert state.read(path) == CLEAN
    assert state.read(deeper) == CLEAN


@settings(max_examples=200, deadline=None)
@given(changes, paths, st.lists(paths, max_size=4))
def test_parts_are_what_one_change_each_would_make(
    steps: list[tuple[bool, Path]], path: Path, places: list[Path]
) -> None:
    parts = {place[1:]: (CLEAN if number % 3 == 2 else T) for number, place in enumerate(places)}
    together, each = changed(steps), changed(steps)
    together.put_parts(path, parts)
    each.clean(path)
    for below in sorted(parts, key=len):
        each.taint((*path, *below), parts[below])
    assert together.entries(path[0]) == each.entries(path[0])
