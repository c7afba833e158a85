"""Python: parsing with tree-sitter into our tree, and what matching asks of a parsed file.

Rules this module keeps:
- source that parses only in part still gives a tree, and says where it did not parse;
- Python 2's `print` statement is a call, as it is in Python 3;
- nothing here recurses over the source.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import cast

import tree_sitter_python
from tree_sitter import Language, Parser, TreeCursor
from tree_sitter import Node as RawNode

from tavo.scan.names import Imported, Imports, imported
from tavo.scan.parsed import Comment, ParsedFile
from tavo.scan.scopes import function_around
from tavo.scan.timing import tree_of
from tavo.scan.tree import Node, SourceText

__all__ = ["parse"]

_LANGUAGE = Language(tree_sitter_python.language())
_PARSER = Parser(_LANGUAGE)

# Kinds in which anonymous tokens carry meaning; everywhere else they are punctuation.
_OPERATORS = frozenset({
    "binary_operator", "boolean_operator", "comparison_operator", "unary_operator",
    "augmented_assignment", "function_definition", "for_statement", "with_statement",
    "for_in_clause", "yield", "except_clause", "raise_statement",
})  # fmt: skip
_PUNCTUATION = frozenset({
    "(", ")", "[", "]", "{", "}", ",", ":", ";", "def", "for", "in", "with", "yield", "except",
    "raise", "from", "import", "=", "->", ".", "as", "",
})  # fmt: skip
_UNWRAPPED = frozenset({"parenthesized_expression", "expression_statement", "type",
                        "as_pattern_target", "case_pattern"})  # fmt: skip
_DROPPED = frozenset({"comment", "line_continuation", "string_start", "string_end",
                      "escape_sequence", "escape_interpolation"})  # fmt: skip
_LABELLED = frozenset({"identifier", "integer", "float", "import_prefix", "string_content"})
_RUNS_CODE = frozenset({"eval", "exec", "compile", "__import__"})
_MEANT = frozenset({("comparison_operator", "in"), ("yield", "from")})
_PREFIX = re.compile(r"[A-Za-z]{1,2}(?=[\"'])")
_DEEPEST = 900


def parse(data: bytes) -> ParsedFile:
    """Parse UTF-8 source; `problems` says what could not be parsed. Raises TimeUpError."""
    source = SourceText(data)
    tree = tree_of(_PARSER, data)
    if tree.root_node.has_error:
        from tavo.scan.languages.stars import without_stars  # few files need it

        mended = without_stars(data)
        if mended != data:
            data, tree = mended, tree_of(_PARSER, mended)
    by_kind: dict[str, list[Node]] = {}
    root, comments, too_deep = _build(tree.walk(), data, by_kind)
    for splat in by_kind.get("list_splat", ()):
        _take_whole_value(splat)
    parsed = ParsedFile(
        language="python", source=source, root=root, comments=comments, problems=[],
        by_kind=by_kind, read_imports=_imports,
    )  # fmt: skip
    if tree.root_node.has_error:
        parsed.problems.append(f"parsed in part: {_first_error(tree.walk(), source)}")
    if too_deep:
        parsed.problems.append(f"nested deeper than {_DEEPEST} levels: what is below was left out")
    return parsed


def _take_whole_value(splat: Node) -> None:
    """Let the star of `[*a.b()]` be that of the call: the grammar gives it to `a` alone."""
    below = splat.parent
    if below is None or not _begins_with(below, splat) or not splat.children:
        return
    top = below
    while top.parent is not None and _begins_with(top.parent, top):
        top = top.parent
    holder, value = top.parent, splat.children[0]
    if holder is None:
        return
    value.parent, value.field = below, splat.field
    below.children[0] = value
    node: Node | None = below
    while node is not None and node is not holder:
        node.start = value.start
        node = node.parent
    holder.children[holder.children.index(top)] = splat
    splat.parent, splat.field, splat.children, splat.end = holder, top.field, [top], top.end
    top.parent, top.field = splat, ""


def _begins_with(node: Node, first: Node) -> bool:
    return node.kind in {"attribute", "call", "subscript"} and node.children[0] is first


def _imports(file: ParsedFile) -> Imports:
    kinds = ("import_statement", "import_from_statement")
    statements = [node for kind in kinds for node in file.by_kind.get(kind, ())]
    statements += _other_names(file)
    statements.sort(key=lambda node: node.start)
    return Imports(statements, file.scopes, read=_read)


def _other_names(file: ParsedFile) -> list[Node]:
    """Return the assignments that give a function that runs code another name, and the only one.

    Semgrep does not follow such names; these functions are too good a place to hide.
    """
    kinds = ("assignment", "named_expression")
    named = [
        node for kind in kinds for node in file.by_kind.get(kind, ())
        if node.children[0].kind == "identifier"
    ]  # fmt: skip
    found = [node for node in named if node.children[-1].label in _RUNS_CODE]
    names = {node.children[0].label for node in found}
    same = Counter(
        (node.children[0].label, function_around(node))
        for node in named
        if node.children[0].label in names
    )
    return [node for node in found if same[node.children[0].label, function_around(node)] == 1]


def _read(statement: Node) -> Iterator[Imported]:
    if statement.kind in {"assignment", "named_expression"}:
        name, value = statement.children[0], statement.children[-1]
        yield Imported("", value.label or "", name.label or "", name.end, name, False)
        return
    yield from imported(statement)


def _build(
    cursor: TreeCursor, data: bytes, by_kind: dict[str, list[Node]]
) -> tuple[Node, list[Comment], bool]:
    """Walk the raw tree once, make ours and list its nodes by their kind.

    `levels` holds for each raw level entered whether it pushed a node of ours, the role that an
    unwrapped node hands down to its only child, and the range that its parentheses give it.
    """
    top = _node_at(cursor)
    comments: list[Comment] = []
    root = parent = Node(top.type, top.start_byte, top.end_byte, None)
    levels: list[tuple[Node | None, str, tuple[int, int] | None]] = []
    outer_role, outer_range = "", None
    too_deep = False
    treatments, kinds = _TREATMENTS, _KIND_NAMES
    first_child, next_sibling = cursor.goto_first_child, cursor.goto_next_sibling
    by_number: dict[int, list[Node]] = {}
    alive = first_child()
    while alive:
        raw = cursor.node
        if raw is None:  # never: a cursor always stands on a node
            break
        number = raw.kind_id
        known = number < len(kinds)  # an ERROR node has the largest number there is
        treatment = treatments[number] if known else _PLAIN
        if treatment >= _LEAF:
            start, end = raw.start_byte, raw.end_byte
            node = Node(kinds[number] if known else "ERROR", start, end, parent)
            node.field = cursor.field_name or outer_role
            parent.children.append(node)
            if number in by_number:
                by_number[number].append(node)
            else:
                by_number[number] = [node]
            if parent.kind == "slice":
                parent.op += "x"
            if treatment == _LEAF:
                node.label = data[start:end].decode("utf-8", "replace")
                if not node.label.isascii() and node.kind == "identifier":
                    node.label = unicodedata.normalize("NFKC", node.label)  # as Python reads it
            else:
                if outer_range is not None:
                    node.start, node.end = outer_range
                if treatment == _STRING and not _read_string(node, raw, data):
                    pass
                elif len(levels) >= _DEEPEST and raw.child_count:
                    too_deep = True
                    node.kind = "ERROR"  # it has not the children that its kind promises
                elif first_child():
                    levels.append((parent, outer_role, outer_range))
                    parent, outer_role, outer_range = node, "", None
                    continue
        elif treatment == _UNWRAP:
            role = cursor.field_name or outer_role
            kind = kinds[number]
            wide = outer_range
            if kind == "parenthesized_expression" and wide is None:
                wide = (raw.start_byte, raw.end_byte)
            several = kind == "expression_statement" and raw.named_child_count > 1
            if len(levels) >= _DEEPEST:
                too_deep = True
            elif first_child():
                levels.append((parent if several else None, outer_role, outer_range))
                if several:
                    node = Node("expression_list", raw.start_byte, raw.end_byte, parent)
                    parent.children.append(node)
                    by_kind.setdefault("expression_list", []).append(node)
                    parent, outer_role, outer_range = node, "", None
                else:
                    outer_role, outer_range = role, wide
                continue
        elif treatment == _WORD:
            if parent.kind in _OPERATORS:
                _note_operator(parent, kinds[number])
            elif parent.kind == "slice":
                parent.op += kinds[number]
        elif treatment == _COMMENT:
            text = data[raw.start_byte : raw.end_byte].decode("utf-8", "replace")
            comments.append(Comment(raw.start_byte, text))
        elif treatment == _CONVERSION:
            parent.op += data[raw.start_byte : raw.end_byte].decode("utf-8", "replace")
            if raw.named_child_count and len(levels) < _DEEPEST and first_child():
                levels.append((None, outer_role, outer_range))  # `{x:{width}}` runs width
                outer_role, outer_range = "", None
                continue
        while not next_sibling():
            if not levels:
                alive = False
                break
            cursor.goto_parent()
            before, outer_role, outer_range = levels.pop()
            if before is not None:
                parent = before
    by_kind["module"] = [root]
    for nodes in by_number.values():
        for node in nodes:  # almost always all of one kind
            if node.kind != nodes[0].kind:
                by_kind.setdefault(node.kind, []).append(node)
        same = [node for node in nodes if node.kind == nodes[0].kind]
        by_kind.setdefault(nodes[0].kind, []).extend(same)
    _rewrite_calls(by_kind)
    return root, comments, too_deep


_SKIP, _WORD, _COMMENT, _CONVERSION, _UNWRAP, _LEAF, _PLAIN, _STRING = range(8)


def _treatment_of(number: int) -> int:
    kind = _LANGUAGE.node_kind_for_id(number) or ""
    if not _LANGUAGE.node_kind_is_named(number):
        meant = kind not in _PUNCTUATION or kind in {":", "in", "from"}
        return _WORD if meant and kind not in _NEVER_MEANT else _SKIP
    for kinds, treatment in (
        ({"comment"}, _COMMENT),
        (_DROPPED, _SKIP),
        ({"type_conversion", "format_specifier"}, _CONVERSION),
        (_UNWRAPPED, _UNWRAP),
        (_LABELLED, _LEAF),
        ({"string", "concatenated_string"}, _STRING),
    ):
        if kind in kinds:
            return treatment
    return _PLAIN


_NEVER_MEANT = frozenset({"def", "class", "return", "if", "else", "elif", "while", "try", "_"})
_KIND_NAMES = [_LANGUAGE.node_kind_for_id(n) or "" for n in range(_LANGUAGE.node_kind_count)]
_TREATMENTS = [_treatment_of(n) for n in range(_LANGUAGE.node_kind_count)]


def _node_at(cursor: TreeCursor) -> RawNode:
    return cast(RawNode, cursor.node)  # a cursor always stands on a node


def _note_operator(parent: Node, word: str) -> None:
    if word in _PUNCTUATION and (parent.kind, word) not in _MEANT:
        return
    parent.op = f"{parent.op} {word}" if parent.op else word


def _read_string(node: Node, raw: RawNode, data: bytes) -> bool:
    """Set a literal's value and prefix; return True if its parts are children.

    They are for an f-string, and for literals beside each other.
    """
    parts = [raw] if raw.type == "string" else [c for c in raw.children if c.type == "string"]
    values: list[str] = []
    for part in parts:
        text = data[part.start_byte : part.end_byte].decode("utf-8", "replace")
        if text[:1] not in "'\"" and any(c.type == "interpolation" for c in part.children):
            node.kind = "fstring"
            node.op = "f" if len(parts) == 1 else ""
            return True
        prefix = _PREFIX.match(text)
        start = prefix.end() if prefix else 0
        node.op = text[:start].lower()
        quotes = 3 if text[start : start + 3] in {'"""', "'''"} else 1
        values.append(text[start + quotes : max(len(text) - quotes, start + quotes)])
    node.kind = "string"
    node.value = "".join(values)
    return len(parts) > 1


def _first_error(cursor: TreeCursor, source: SourceText) -> str:
    """Say where the first part is that could not be parsed; does not recurse."""
    while True:
        node = _node_at(cursor)
        if node.is_error or node.is_missing:
            line, column = source.position(node.start_byte)
            return f"line {line}, column {column} is not valid Python"
        if node.has_error and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return "some of it is not valid Python"


def _rewrite_calls(by_kind: dict[str, list[Node]]) -> None:
    """Give calls that are written in another way the form of all others."""
    for call in by_kind.get("call", ()):
        _wrap_generator(call, by_kind)
        if call.children and call.children[0].kind == "named_expression":
            # `(f := eval)(x)` calls eval
            value = call.children[0].children[-1]
            call.children[0], value.parent, value.field = value, call, "function"
    printed = by_kind.pop("print_statement", [])
    for node in printed:
        _print_as_call(node, by_kind)
    for kind in ("call", "identifier", "argument_list", "string", "fstring", "expression_list"):
        # Several kinds of raw nodes, or nodes made here, ended up in one list.
        by_kind.get(kind, []).sort(key=lambda node: node.start)


def _wrap_generator(call: Node, by_kind: dict[str, list[Node]]) -> None:
    """Make the `(x for x in y)` of a call an argument like any other."""
    if len(call.children) == 2 and call.children[1].kind == "generator_expression":
        generator = call.children[1]
        arguments = Node("argument_list", generator.start, generator.end, call)
        arguments.children = [generator]
        generator.parent = arguments
        generator.field, arguments.field = "", "arguments"
        call.children[1] = arguments
        by_kind.setdefault("argument_list", []).append(arguments)


def _print_as_call(node: Node, by_kind: dict[str, list[Node]]) -> None:
    name = Node("identifier", node.start, node.start + len("print"), node)
    name.label = "print"
    arguments = Node("argument_list", name.end, node.end, node)
    arguments.children = node.children
    for child in node.children:
        child.parent, child.field = arguments, ""
    node.kind = "call"
    node.children = [name, arguments]
    name.field, arguments.field = "function", "arguments"
    for made in (node, name, arguments):
        by_kind.setdefault(made.kind, []).append(made)
