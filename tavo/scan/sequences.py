"""Nodes beside each other compared with a pattern: in order with `...`, or in any order.

Rules this module keeps:
- `...` and `$...X` take any number of nodes; every way to take them is tried, up to a limit;
- the steps that this takes are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tavo.scan.bindings import NONE, Binding, Env, Run, Test, bind
from tavo.scan.tree import Node

__all__ = ["MOST_ALTERNATIVES", "Items", "compile_items", "each", "in_any_order", "parts_of",
           "positional"]  # fmt: skip

Items = Callable[[Sequence[Node], Env, Run], Sequence[Env]]

MOST_ALTERNATIVES = 64
_HOLD_NAMES = frozenset({
    "function_definition", "class_definition", "parameters", "lambda_parameters",
    "default_parameter", "typed_parameter", "typed_default_parameter", "list_splat_pattern",
    "dictionary_splat_pattern", "global_statement", "nonlocal_statement", "dotted_name",
})  # fmt: skip


def parts_of(node: Node) -> list[Node]:
    """Return what is below a node in which an expression may match, without mere names."""
    kind = node.kind
    if kind == "attribute":
        return node.children[:1]
    if kind == "keyword_argument" or (kind == "pair" and node.children[0].field == "label"):
        return node.children[-1:]
    if kind in _HOLD_NAMES:
        return [
            child
            for child in node.children
            if child.kind != "identifier" or child.field in {"value", "type", "return_type"}
        ]
    return node.children


def each(envs: Sequence[Env], test: Test, node: Node, run: Run) -> Sequence[Env]:
    """Apply a test to a node in each of several environments."""
    if not envs:
        return NONE
    if len(envs) == 1:
        return test(node, envs[0], run)
    return [after for env in envs for after in test(node, env, run)]


def in_any_order(tests: Sequence[Test], nodes: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
    """Match each test with a node of its own, in any order."""
    states: list[tuple[Env, tuple[int, ...]]] = [(env, ())]
    for test in tests:
        reached: list[tuple[Env, tuple[int, ...]]] = []
        for before, used in states:
            for index, node in enumerate(nodes):
                if index not in used:
                    run.spend()
                    reached += [(after, (*used, index)) for after in test(node, before, run)]
        if not reached:
            return NONE
        states = reached[:MOST_ALTERNATIVES]
    return [after for after, _ in states]


def compile_items(steps: Sequence[tuple[Test | None, str]]) -> Items:
    tests = [test for test, _ in steps if test is not None]
    if len(tests) == len(steps):

        def exactly(found: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
            if len(found) != len(tests):
                return NONE
            envs: Sequence[Env] = (env,)
            for test, node in zip(tests, found, strict=True):
                envs = each(envs, test, node, run)
                if not envs:
                    return NONE
            return envs

        return exactly
    if not tests and all(not name for _, name in steps):
        return lambda found, env, run: (env,)
    least = len(tests)

    def spread(found: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
        if len(found) < least:
            return NONE
        return _spread(steps, 0, found, 0, env, run)

    return spread


def _spread(
    steps: Sequence[tuple[Test | None, str]],
    step: int,
    found: Sequence[Node],
    at: int,
    env: Env,
    run: Run,
) -> list[Env]:
    run.spend()
    if step == len(steps):
        return [env] if at == len(found) else []
    test, name = steps[step]
    if test is not None:
        if at >= len(found):
            return []
        return [
            result
            for after in test(found[at], env, run)
            for result in _spread(steps, step + 1, found, at + 1, after, run)
        ]
    last = step == len(steps) - 1
    if last and not name:
        return [env]
    out: list[Env] = []
    for end in range(len(found) if last else at, len(found) + 1):
        envs: Sequence[Env] = (env,)
        if name:
            taken = found[at:end]
            start, stop = (taken[0].start, taken[-1].end) if taken else (0, 0)
            envs = bind(env, name, Binding(start, stop, file=run.file), run)
        for after in envs:
            out += _spread(steps, step + 1, found, end, after, run)
        if len(out) >= MOST_ALTERNATIVES:
            break
    return out


def positional(test: Test) -> Test:
    def test_positional(n: Node, env: Env, run: Run) -> Sequence[Env]:
        return test(n, env, run) if n.kind != "keyword_argument" else NONE

    return test_positional
