"""Patterns ready for use, and where they match in a file.

Rules this module keeps:
- a compiled pattern holds no file: it is made once per process and used on every file;
- what a pattern matched in a file is found once, however many rules ask for it;
- the work per pattern and file is bounded, and running out of steps is named, not hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tavo.scan.bindings import Binding, BudgetError, Env, Run, Test, env_key, same_code
from tavo.scan.parsed import DECLARED, ParsedFile
from tavo.scan.pattern import Pattern, PatternError
from tavo.scan.places import Places, places_of, span_of
from tavo.scan.rows import Row, statements_of
from tavo.scan.statements import Compiler
from tavo.scan.tree import Node

__all__ = [
    "Binding",
    "BudgetError",
    "DeferredMatcher",
    "Env",
    "Match",
    "Matcher",
    "compile_pattern",
    "same_code",
]

_MOST_MATCHES = 20_000


class Match(msgspec.Struct, frozen=True):
    """A place where a pattern holds: byte range, bindings, and the node if it is one node.

    `context`: the range was asked for as surroundings, and is no finding beside a smaller one.
    """

    start: int
    end: int
    env: Env
    node: Node | None = None
    context: bool = False


class Matcher:
    """A pattern ready for use: where to look, and the test at each place."""

    def __init__(
        self,
        pattern: Pattern,
        *,
        places: Places | None,
        test: Test | None = None,
        row: Row | None = None,
        constants: bool = True,
    ) -> None:
        self.pattern = pattern
        self.names = pattern.names()
        single = pattern.expression
        self._declares = single is not None and single.op in DECLARED
        self._places = places
        self._test = test
        self._row = row
        self._constants = constants

    def possible(self, names: frozenset[bytes]) -> bool:
        """Tell whether the pattern can match in a file with exactly these names."""
        return self.names <= names

    def find(self, file: ParsedFile) -> list[Match]:
        """Return all matches in a file, in the order of their start. Raises BudgetError."""
        remembered = file.memory.get(self)
        if isinstance(remembered, list):
            return remembered
        found = self._find(file) if self.names <= file.names else []
        file.memory[self] = found
        return found

    def at(self, node: Node, file: ParsedFile) -> list[Match]:
        """Return the matches of one node, wherever it stands. Raises BudgetError."""
        if self._test is None:
            return []
        envs = self._test(node, {}, Run(file, constants=self._constants))
        return [Match(node.start, node.end, env, node) for env in envs]

    def _find(self, file: ParsedFile) -> list[Match]:
        run = Run(file, constants=self._constants)
        found: dict[tuple[object, ...], Match] = {}
        for match in self._row_matches(file, run) if self._row else self._node_matches(file, run):
            found.setdefault((match.start, match.end, *env_key(match.env)), match)
            if len(found) > _MOST_MATCHES:
                raise BudgetError(f"more than {_MOST_MATCHES:,} matches of one pattern")
        return sorted(found.values(), key=lambda match: (match.start, match.end))

    def _node_matches(self, file: ParsedFile, run: Run) -> Iterable[Match]:
        test, places = self._test, self._places
        if test is None or places is None:
            return
        empty: Env = {}
        for node in places(file):
            envs = test(node, empty, run)
            if envs:
                start, end = span_of(node)
                if node.kind == "assignment" and (self._declares or _takes_apart(node)):
                    start = file.declared_from(node)
                for env in envs:
                    yield Match(start, end, env, node)

    def _row_matches(self, file: ParsedFile, run: Run) -> Iterable[Match]:
        if self._row is None:
            return
        listed = statements_of(file)
        at: Iterable[int] = range(len(listed.nodes))
        if self._places is not None:
            indexes = {listed.of(node) for node in self._places(file)}
            at = sorted(index for index in indexes if index is not None)
        for index in at:
            for start, end, env in self._row.from_statement(index, run):
                first = listed.nodes[index]
                start = max(start, span_of(first)[0])
                if first.kind == "assignment":
                    start = file.declared_from(first)
                yield Match(start, end, env)


def _takes_apart(assignment: Node) -> bool:
    """Tell whether an assignment takes an object or array apart."""
    return assignment.children[0].kind in {"dictionary", "list"}


class DeferredMatcher:
    """A pattern that is known to be good and whose names are known; compiled when they are met."""

    def __init__(self, names: frozenset[bytes], compiled: Callable[[], Matcher]) -> None:
        self.names = names
        self._compile = compiled
        self._matcher: Matcher | None = None

    def find(self, file: ParsedFile) -> list[Match]:
        """Return all matches in a file, in the order of their start. Raises BudgetError."""
        return self._compiled().find(file) if self.names <= file.names else []

    def at(self, node: Node, file: ParsedFile) -> list[Match]:
        """Return the matches of one node, wherever it stands. Raises BudgetError."""
        return self._compiled().at(node, file) if self.names <= file.names else []

    def _compiled(self) -> Matcher:
        if self._matcher is None:
            self._matcher = self._compile()
        return self._matcher


def compile_pattern(
    pattern: Pattern, *, symbolic: bool = False, context: bool = False, constants: bool = True
) -> Matcher:
    """Compile a pattern. Raises PatternError for what is not supported.

    `symbolic`: a name also stands for the expression it was last bound to. `context`: only the
    longest matches from one place are of interest. `constants`: an expression also stands for the
    constant that it always is.
    """
    compiler = Compiler(pattern.parsed, symbolic=symbolic)
    single = pattern.expression
    if single is not None:
        if compiler.is_ellipsis(single):
            raise PatternError("a pattern that is only '...' matches everything")
        return Matcher(
            pattern, places=places_of(compiler, single), test=compiler.test(single),
            constants=constants,
        )  # fmt: skip
    row = compiler.row(pattern.statements, longest=context)
    first = row.first
    places = first.places if first is not None else None
    return Matcher(pattern, places=places, row=row, constants=constants)
