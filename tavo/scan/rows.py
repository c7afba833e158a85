"""Statements in a row, with `...` between them, and where in a file they stand.

Rules this module keeps:
- a row with `...` is also looked for across nesting: what follows `...` may stand inside the bodies
  below it, but not outside the body in which the row began;
- an expression as a statement of a row also matches inside an assignment, a return or another
  expression statement, not in the head of a compound statement.

Source of the semantics: Semgrep's documentation, "Pattern syntax", and differential runs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tavo.scan.bindings import NONE, Env, Run, Test, env_key
from tavo.scan.parsed import ParsedFile
from tavo.scan.places import Places
from tavo.scan.sequences import parts_of
from tavo.scan.tree import Node

__all__ = ["BODIES", "COMPOUND", "Row", "Statements", "Step", "statements_of"]

_MOST_ROWS = 300
BODIES = frozenset({"block", "module"})
COMPOUND = frozenset({
    "if_statement", "for_statement", "while_statement", "with_statement", "try_statement",
    "function_definition", "class_definition", "decorated_definition", "match_statement",
    "import_statement", "import_from_statement", "assert_statement", "raise_statement",
    "delete_statement", "global_statement", "nonlocal_statement", "pass_statement",
    "break_statement", "continue_statement", "exec_statement", "type_alias_statement", "ERROR",
    "c_for_statement", "do_statement", "export_statement", "interface_declaration",
})  # fmt: skip
_CLOSED = frozenset({"lambda", "class_definition", "list_comprehension", "set_comprehension",
                     "dictionary_comprehension", "generator_expression"})  # fmt: skip


class Step(msgspec.Struct, frozen=True, eq=False):
    """One statement of a row; `loose` if it also matches inside a simple statement.

    `places` are the nodes that it can match, None where any statement has to be looked at.
    """

    test: Test
    loose: bool
    node: Node
    places: Places | None

    def at(self, statement: Node, env: Env, run: Run) -> Sequence[Env]:
        """Match a statement."""
        run.spend()
        if not self.loose:
            return self.test(statement, env, run)
        if statement.kind == "return_statement":
            return (
                _inside(statement.children[0], self.test, env, run) if statement.children else NONE
            )
        if statement.kind in COMPOUND:
            return NONE
        return _inside(statement, self.test, env, run)


class Statements(msgspec.Struct):
    """All statements of a file, outer ones before inner ones, in the order of the source."""

    nodes: list[Node]
    starts: list[int]
    index: dict[Node, int]

    def body_end(self, block: Node) -> int:
        """Return the index after the last statement in a body."""
        return bisect_left(self.starts, block.end) if block.end > block.start else 0

    def of(self, node: Node) -> int | None:
        """Return the index of the statement that a node is in."""
        current: Node | None = node
        while current is not None:
            found = self.index.get(current)
            if found is not None:
                return found
            current = current.parent
        return None


def statements_of(file: ParsedFile) -> Statements:
    """Return the statements of a file, listed once."""
    known = file.memory.get(statements_of)
    if isinstance(known, Statements):
        return known
    nodes = [n for n in file.root.walk() if n.parent is not None and n.parent.kind in BODIES]
    if file.language == "javascript":  # what an arrow function returns is a statement as well
        bodies = (lambda_.role("body") for lambda_ in file.by_kind.get("lambda", ()))
        nodes += [body for body in bodies if body is not None and body.kind != "block"]
        nodes.sort(key=lambda node: (node.start, -node.end))
    listed = Statements(nodes, [n.start for n in nodes], {n: i for i, n in enumerate(nodes)})
    file.memory[statements_of] = listed
    return listed


class Row:
    """Statements in a row, with `...` (None) for any statements between them."""

    def __init__(self, steps: Sequence[Step | None], *, longest: bool) -> None:
        self.steps = list(steps)
        self.longest = longest
        self.is_open = None in self.steps

    @property
    def first(self) -> Step | None:
        """The statement that a match begins with, None if it may begin anywhere."""
        return self.steps[0] if self.steps else None

    def whole(self, block: Node, env: Env, run: Run) -> Sequence[Env]:
        """Match a body from its first statement on; what an arrow function returns is one."""
        own = block.children if block.kind in BODIES else [block]
        if not own:
            return (env,) if all(step is None for step in self.steps) else NONE
        listed = statements_of(run.file)
        if own[0] not in listed.index:
            return NONE
        first = listed.index[own[0]]
        end = listed.body_end(block)
        found: dict[tuple[object, ...], Env] = {}
        for after, last in self._match(0, first, first, end, env, run, listed, longest=True):
            if self.is_open or listed.nodes[last] is own[-1]:
                found.setdefault(env_key(after), after)
                if len(found) >= _MOST_ROWS:
                    break
        return list(found.values())

    def from_statement(self, at: int, run: Run) -> Iterator[tuple[int, int, Env]]:
        """Yield start, end and bindings of the rows that begin with a statement."""
        listed = statements_of(run.file)
        first = self.first
        if first is not None and not first.at(listed.nodes[at], {}, run):
            return
        parent = listed.nodes[at].parent
        if parent is None:
            return
        end = listed.body_end(parent)
        start = listed.nodes[at].start
        best: dict[tuple[object, ...], tuple[int, int, Env]] = {}
        rows = self._match(0, at, at, end, {}, run, listed, longest=self.longest)
        for env, last in rows:
            stop = _reach(listed, at, last)
            if not self.longest:
                yield start, stop, env
                continue
            key = env_key(env)
            if key not in best or best[key][1] < stop:
                best[key] = (start, stop, env)
        yield from best.values()

    def _match(
        self,
        step: int,
        at: int,
        first: int,
        end: int,
        env: Env,
        run: Run,
        listed: Statements,
        *,
        longest: bool,
    ) -> Iterator[tuple[Env, int]]:
        """Yield the environments in which the steps match from `at`, with the last statement."""
        if step == len(self.steps):
            yield env, at - 1
            return
        if self.steps[step] is not None:
            indexes: Iterable[int] = (at,) if at < end else ()
        elif step == len(self.steps) - 1:
            # All lengths count as matches; surroundings and bodies only need the longest one.
            if longest or end - at > _MOST_ROWS:
                yield env, end - 1
            else:
                yield from ((env, last) for last in range(max(at - 1, first), end))
            return
        else:
            step += 1
            indexes = self._candidates(step, at, end, run, listed)
        current = self.steps[step]
        if current is None:
            return
        for index in indexes:
            statement = listed.nodes[index]
            envs = current.at(statement, env, run)
            if not envs:
                continue
            nexts = {index + 1}
            if step + 1 < len(self.steps) and self.steps[step + 1] is not None:
                # The next statement stands beside this one or, where there is `...`, below it.
                after = bisect_left(listed.starts, statement.end)
                nexts = {after, index + 1} if self.is_open else {after}
            for reached in envs:
                for following in nexts:
                    yield from self._match(
                        step + 1, following, first, end, reached, run, listed, longest=longest
                    )

    def _candidates(
        self, step: int, at: int, end: int, run: Run, listed: Statements
    ) -> Sequence[int]:
        """Return the statements from `at` on that a step can match at all."""
        current = self.steps[step]
        if current is None or current.places is None:
            return range(at, end)
        indexes = run.file.memory.get(current)
        if not isinstance(indexes, list):
            found = {listed.of(node) for node in current.places(run.file)}
            indexes = sorted(index for index in found if index is not None)
            run.file.memory[current] = indexes
        return indexes[bisect_left(indexes, at) : bisect_left(indexes, end)]


def _reach(listed: Statements, first: int, last: int) -> int:
    """Return where a row ends: with the last statement, or the last of what it stands in."""
    end = listed.nodes[last].end
    current = listed.nodes[last].parent
    while current is not None:
        index = listed.index.get(current)
        if index is not None:
            if index < first:
                break
            end = max(end, current.end)
        current = current.parent
    return end


def _inside(root: Node, test: Test, env: Env, run: Run) -> Sequence[Env]:
    """Match an expression, or else the outermost ones inside it."""
    out: list[Env] = []
    stack = [root]
    while stack:
        node = stack.pop()
        run.spend()
        found = test(node, env, run)
        if found:
            out += found
            if node.kind != "assignment" or run.file.language != "javascript":
                continue
        if node.kind in _CLOSED:
            continue
        stack.extend(reversed(parts_of(node)))
    return out
