"""What parsers are handed, piece by piece: nothing of it stays."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import tree_sitter_python
from tree_sitter import Language, Parser, Tree

from tavo.scan.timing import tree_of

PYTHON = Language(tree_sitter_python.language())
TEXT = b"value = call(1)\n" * 8_000  # 128 kB: far more than what is handed over as a whole
TIMES = 20


def kept(parse: Callable[[bytes], Tree]) -> int:
    """Return how many bytes are kept for each time that a text is parsed."""
    parse(TEXT)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(TIMES):
            assert not parse(TEXT).root_node.has_error
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) // TIMES


def test_parsing_keeps_nothing_of_the_text() -> None:
    parser = Parser(PYTHON)
    assert kept(lambda data: tree_of(parser, data)) < 1_000


def test_control_the_library_keeps_every_piece_that_it_is_handed() -> None:
    """When this fails the library has been mended, and `tree_of` can hand it pieces of the text."""
    parser = Parser(PYTHON)
    assert kept(lambda data: parser.parse(lambda at, _: data[at : at + 4096])) > len(TEXT) // 2
