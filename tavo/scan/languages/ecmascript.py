"""JavaScript, TypeScript and their JSX forms: parsing with tree-sitter, and the first tree.

Rules this module keeps:
- one grammar reads them all: that of TypeScript with JSX, which JavaScript is a part of; only
  `.ts` files need the one without JSX, where `<T>x` is a cast;
- the first tree has the grammar's own shape; `lowering` gives it that of the general tree;
- nothing here recurses over the source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import tree_sitter_typescript
from tree_sitter import Language, Parser, TreeCursor
from tree_sitter import Node as RawNode

from tavo.scan.languages.ecma_imports import ecma_imports, without_defaults
from tavo.scan.languages.lowering import COMPUTED, lower
from tavo.scan.parsed import Comment, ParsedFile, unescaped
from tavo.scan.timing import tree_of
from tavo.scan.tree import Node, SourceText

__all__ = ["parse", "parse_typescript"]

_DEEPEST = 900
_MOST_ENDED = 8
_STILL_DIVIDED = "parsed in part: lines that begin with a regular expression behind a function"
_LINE_ENDS = re.compile(rb"[\n\r]|\xe2\x80[\xa8\xa9]")
_SKIP, _WORD, _COMMENT, _UNWRAP, _ESCAPE, _LEAF, _PLAIN, _STRING, _TEMPLATE = range(9)
_UNWRAPPED = frozenset({"parenthesized_expression", "expression_statement", "type_annotation",
                        "computed_property_name", "class_static_block"})  # fmt: skip
_DROPPED = frozenset({
    "empty_statement", "hash_bang_line", "type_arguments", "type_parameters", "implements_clause",
    "accessibility_modifier", "override_modifier", "asserts_annotation",
    "jsx_closing_element", "type_predicate_annotation",
    "extends_type_clause", "index_signature", "method_signature", "abstract_method_signature",
    "function_signature", "import_attribute",
})  # fmt: skip
_LABELLED = frozenset({
    "identifier", "property_identifier", "private_property_identifier", "type_identifier", "this",
    "shorthand_property_identifier", "shorthand_property_identifier_pattern", "super", "undefined",
    "statement_identifier", "number", "regex", "string_fragment", "predefined_type", "jsx_text",
    "html_character_reference", "nested_identifier", "literal_type", "jsx_namespace_name",
    "meta_property",
})  # fmt: skip
_NAMES = frozenset({
    "identifier", "property_identifier", "private_property_identifier", "type_identifier",
    "shorthand_property_identifier", "shorthand_property_identifier_pattern",
    "statement_identifier",
})  # fmt: skip
# Types are kept as text only.
_TYPES = frozenset({
    "generic_type", "union_type", "intersection_type", "array_type", "object_type", "tuple_type",
    "function_type", "nested_type_identifier", "conditional_type", "index_type_query", "type_query",
    "lookup_type", "readonly_type", "parenthesized_type", "template_literal_type", "infer_type",
    "interface_declaration", "type_alias_declaration", "constructor_type", "rest_type",
    "ambient_declaration", "mapped_type_clause", "existential_type", "flow_maybe_type",
})  # fmt: skip
_OPERATORS = frozenset({
    "binary_expression", "unary_expression", "update_expression", "for_in_statement",
    "augmented_assignment_expression", "lexical_declaration", "variable_declaration",
    "function_declaration", "function_expression", "arrow_function", "method_definition",
    "generator_function", "generator_function_declaration", "new_expression", "yield_expression",
    "export_statement", "import_statement", "optional_chain", "member_expression",
})  # fmt: skip
_PUNCTUATION = frozenset({
    "(", ")", "[", "]", "{", "}", ",", ":", ";", ".", "=>", "function", "return", "=", "yield",
    "for", "let_", "`", "'", '"', "${", "get", "set", "static", "import", "from",
})  # fmt: skip


class _Grammar:
    """One of the two grammars, with what is done with each kind of its nodes."""

    def __init__(self, pointer: object) -> None:
        language = Language(pointer)
        self.parser = Parser(language)
        count = language.node_kind_count
        self.kinds = [language.node_kind_for_id(n) or "" for n in range(count)]
        self.treatments = [
            _treatment_of(self.kinds[n], named=language.node_kind_is_named(n)) for n in range(count)
        ]


def _treatment_of(kind: str, *, named: bool) -> int:
    if not named:
        return _SKIP if kind in _PUNCTUATION else _WORD
    for kinds, treatment in (
        ({"comment", "html_comment"}, _COMMENT),
        (_DROPPED, _SKIP),
        (_UNWRAPPED, _UNWRAP),
        ({"escape_sequence"}, _ESCAPE),
        (_LABELLED | _TYPES, _LEAF),
        ({"string"}, _STRING),
        ({"template_string"}, _TEMPLATE),
    ):
        if kind in kinds:
            return treatment
    return _PLAIN


_GRAMMARS: dict[str, _Grammar] = {}


def _grammar(dialect: str) -> _Grammar:
    known = _GRAMMARS.get(dialect)
    if known is None:
        source = tree_sitter_typescript
        pointer = source.language_tsx() if dialect == "tsx" else source.language_typescript()
        known = _GRAMMARS[dialect] = _Grammar(pointer)
    return known


def parse(data: bytes, *, dialect: str = "tsx") -> ParsedFile:
    """Parse UTF-8 source; `problems` says what could not be parsed. Raises TimeUpError.

    `dialect` is `tsx` for everything but `.ts` files, which are `typescript`.
    """
    grammar = _grammar(dialect)
    source = SourceText(data)
    data = _with_short_first_line(data)
    tree = tree_of(grammar.parser, data)
    order, comments, too_deep, divided = _build(tree.walk(), data, grammar)
    for _ in range(_MOST_ENDED if divided else 0):
        data = _with_arrows_ended(data, divided)
        tree = tree_of(grammar.parser, data)
        order, comments, too_deep, divided = _build(tree.walk(), data, grammar)
        if not divided:
            break
    root = order[0]
    by_kind = lower(root, order)
    if b".default" in data:
        without_defaults(by_kind)
    parsed = ParsedFile(
        language="javascript", source=source, root=root, comments=comments, problems=[],
        by_kind=by_kind, read_imports=ecma_imports,
    )  # fmt: skip
    if tree.root_node.has_error:
        parsed.problems.append(f"parsed in part: {_first_error(tree.walk(), source)}")
    if divided:
        parsed.problems.append(_STILL_DIVIDED)
    if too_deep:
        parsed.problems.append(f"nested deeper than {_DEEPEST} levels: what is below was left out")
    return parsed


def _with_short_first_line(data: bytes) -> bytes:
    """Return source of the same size in which `#!` ends where it does for an interpreter.

    For the grammar only a line feed ends a line there: behind U+2028 code would be hidden.
    """
    if not data.startswith(b"#!"):
        return data
    first, end, rest = data.partition(b"\n")
    for mark in (b"\xe2\x80\xa8", b"\xe2\x80\xa9"):
        first = first.replace(mark, b"  \n")
    return first + end + rest


def _with_arrows_ended(data: bytes, divided: Sequence[tuple[int, int]]) -> bytes:
    """Return source of the same size with a semicolon at each of the places given.

    Nothing can be divided by an arrow function with a body: a `/` on the next line begins a
    regular expression. The grammar reads a division, and the rest of that line as text.
    """
    ended = bytearray(data)
    for start, end in divided:
        ended[start:end] = b";".ljust(end - start)
    return bytes(ended)


def parse_typescript(data: bytes) -> ParsedFile:
    """Parse a `.ts` file, in which `<T>x` is a cast and not JSX."""
    return parse(data, dialect="typescript")


def _build(
    cursor: TreeCursor, data: bytes, grammar: _Grammar
) -> tuple[list[Node], list[Comment], bool, list[tuple[int, int]]]:
    """Walk the raw tree once and make nodes of ours with the grammar's kinds, parents first.

    The places returned are those between an arrow function and a line that it is divided by.
    """
    top = cast(RawNode, cursor.node)
    comments: list[Comment] = []
    root = parent = Node(top.type, top.start_byte, top.end_byte, None)
    order = [root]
    levels: list[tuple[Node, str]] = []
    outer_role = ""
    too_deep = False
    divided: list[tuple[int, int]] = []
    treatments, kinds = grammar.treatments, grammar.kinds
    first_child, next_sibling = cursor.goto_first_child, cursor.goto_next_sibling
    alive = first_child()
    while alive:
        raw = cursor.node
        if raw is None:  # never: a cursor always stands on a node
            break
        number = raw.kind_id
        known = number < len(kinds)  # an ERROR node has the largest number there is
        treatment = treatments[number] if known else _PLAIN
        if treatment == _ESCAPE and parent.kind == "template_string":
            treatment = _LEAF  # text of its own there
        if treatment >= _LEAF:
            start, end = raw.start_byte, raw.end_byte
            node = Node(kinds[number] if known else "ERROR", start, end, parent)
            node.field = cursor.field_name or outer_role
            parent.children.append(node)
            order.append(node)
            if treatment == _LEAF:
                node.label = data[start:end].decode("utf-8", "replace")
                if "\\" in node.label and node.kind in _NAMES:
                    node.label = unescaped(node.label)
            elif treatment == _STRING:
                node.value = data[start + 1 : max(end - 1, start + 1)].decode("utf-8", "replace")
            else:
                if treatment == _TEMPLATE:
                    node.value = data[start + 1 : max(end - 1, start + 1)].decode(
                        "utf-8", "replace"
                    )
                if len(levels) >= _DEEPEST and raw.child_count:
                    too_deep = True
                    node.kind = "ERROR"  # it has not the children that its kind promises
                elif first_child():
                    levels.append((parent, outer_role))
                    parent, outer_role = node, ""
                    continue
        elif treatment == _UNWRAP:
            role = cursor.field_name or outer_role
            if len(levels) >= _DEEPEST:
                too_deep = True
            elif first_child():
                levels.append((parent, outer_role))
                outer_role = COMPUTED if role == "key" else role
                continue
        elif treatment == _WORD:
            if parent.kind in _OPERATORS and outer_role == "":
                word = kinds[number]
                if word == "/" and parent.children and parent.children[-1].kind == "arrow_function":
                    left = raw.prev_sibling
                    while left is not None and left.type == "comment":
                        left = left.prev_sibling
                    between = (parent.children[-1].end, raw.start_byte)
                    if (
                        left is not None
                        and left.type == "arrow_function"
                        and data[between[0] - 1 : between[0]] == b"}"
                        and _LINE_ENDS.search(data, *between)
                    ):
                        divided.append(between)
                parent.op = f"{parent.op} {word}" if parent.op else word
        elif treatment == _COMMENT:
            text = data[raw.start_byte : raw.end_byte].decode("utf-8", "replace")
            comments.append(Comment(raw.start_byte, text))
        while not next_sibling():
            if not levels:
                alive = False
                break
            cursor.goto_parent()
            parent, outer_role = levels.pop()
    return order, comments, too_deep, divided


def _first_error(cursor: TreeCursor, source: SourceText) -> str:
    """Say where the first part is that could not be parsed; does not recurse."""
    while True:
        node = cast(RawNode, cursor.node)
        if node.is_error or node.is_missing:
            line, column = source.position(node.start_byte)
            return f"line {line}, column {column} is not valid JavaScript or TypeScript"
        if node.has_error and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return "some of it is not valid JavaScript or TypeScript"
