"""Python: parsing with tree-sitter into our tree, with import aliases, constants and comments.

Rules this module keeps:
- source that parses only in part still gives a tree, and says where it did not parse;
- a name stands for a literal only where it is bound exactly once in its scope;
- nothing here recurses over the source.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import cast

import tree_sitter_python
from tree_sitter import Language, Parser, TreeCursor
from tree_sitter import Node as RawNode

from tavo.scan.tree import Node, SourceText

__all__ = ["Comment", "ParsedFile", "parse", "scope_of"]

_PARSER = Parser(Language(tree_sitter_python.language()))

# Kinds in which anonymous tokens carry meaning; everywhere else they are punctuation.
_OPERATORS = frozenset({
    "binary_operator", "boolean_operator", "comparison_operator", "unary_operator",
    "augmented_assignment", "function_definition", "for_statement", "with_statement",
    "for_in_clause", "yield", "except_clause", "raise_statement", "import_from_statement",
})  # fmt: skip
_PUNCTUATION = frozenset({
    "(", ")", "[", "]", "{", "}", ",", ":", ";", "def", "for", "in", "with", "yield", "except",
    "raise", "from", "import", "=", "->", ".", "as", "",
})  # fmt: skip
_UNWRAPPED = frozenset({"parenthesized_expression", "expression_statement", "type",
                        "as_pattern_target", "case_pattern"})  # fmt: skip
_DROPPED = frozenset({"comment", "line_continuation", "string_start", "string_end",
                      "type_conversion", "format_specifier", "escape_sequence",
                      "escape_interpolation"})  # fmt: skip
_SCOPES = frozenset({"function_definition", "lambda", "class_definition", "module"})
_MEANT = frozenset({("comparison_operator", "in"), ("yield", "from")})
_LITERALS = frozenset({"string", "integer", "float", "true", "false", "none"})
_BINDERS = ("assignment", "augmented_assignment", "for_statement", "for_in_clause", "as_pattern",
            "named_expression", "function_definition", "class_definition", "parameters",
            "lambda_parameters", "global_statement", "nonlocal_statement")  # fmt: skip
_PREFIX = re.compile(r"[A-Za-z]{1,2}(?=[\"'])")
_DEEPEST = 900


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment: the byte offset at which it starts, and its text with the `#`."""

    start: int
    text: str


@dataclass(slots=True)
class ParsedFile:
    """A parsed file with everything that matching asks for, made once.

    `imports` maps a local name to the dotted name it was imported as. `bound` maps a scope and a
    name bound in it to the literal that it always stands for, None where there is no such literal.
    `calls` lists calls by the last part of the called name, and by its name before an alias.
    """

    source: SourceText
    root: Node
    comments: list[Comment]
    problems: list[str]
    imports: dict[str, str] = field(default_factory=dict)
    bound: dict[tuple[int, str], Node | None] = field(default_factory=dict)
    by_kind: dict[str, list[Node]] = field(default_factory=dict)
    calls: dict[str, list[Node]] = field(default_factory=dict)
    memory: dict[object, object] = field(default_factory=dict)

    def text(self, node: Node) -> str:
        """Return the node's source."""
        return self.source.text(node.start, node.end)

    def dotted(self, node: Node) -> str | None:
        """Return the full dotted name that an expression stands for, imports resolved.

        `b.c` after `import a as b` is `a.c`; None if the expression is not a chain of names.
        """
        parts: list[str] = []
        while node.kind == "attribute" and len(node.children) == 2:
            parts.append(self.text(node.children[1]))
            node = node.children[0]
        if node.kind != "identifier":
            return None
        head = self.text(node)
        parts.append(self.imports.get(head, head))
        return ".".join(reversed(parts))

    def constant(self, node: Node) -> Node | None:
        """Return the literal that a name always stands for at this place, or None."""
        name = self.text(node)
        scope = scope_of(node)
        while scope is not None:
            key = (id(scope), name)
            if key in self.bound:
                return self.bound[key]
            scope = scope_of(scope)
        return None


def scope_of(node: Node) -> Node | None:
    """Return the function, lambda, class or module around a node; None for the module itself."""
    for parent in node.ancestors():
        if parent.kind in _SCOPES:
            return parent
    return None


def parse(data: bytes) -> ParsedFile:
    """Parse UTF-8 source; `problems` says what could not be parsed. Never raises for any bytes."""
    source = SourceText(data)
    tree = _PARSER.parse(data)
    root, comments, too_deep = _build(tree.walk(), data)
    parsed = ParsedFile(source=source, root=root, comments=comments, problems=[])
    if tree.root_node.has_error:
        parsed.problems.append(f"parsed in part: {_first_error(tree.walk(), source)}")
    if too_deep:
        parsed.problems.append(f"nested deeper than {_DEEPEST} levels: what is below was left out")
    _index(parsed)
    return parsed


def _build(cursor: TreeCursor, data: bytes) -> tuple[Node, list[Comment], bool]:
    """Walk the raw tree once and make ours.

    `levels` holds, for each raw level entered, whether it pushed a node of ours, and the role that
    an unwrapped node hands down to its only child.
    """
    raw = _node_at(cursor)
    comments: list[Comment] = []
    root = Node(raw.type, raw.start_byte, raw.end_byte, None)
    stack: list[Node] = [root]
    levels: list[tuple[bool, str | None]] = []
    too_deep = False
    alive = cursor.goto_first_child()
    while alive:
        raw = _node_at(cursor)
        kind, parent = raw.type, stack[-1]
        role = cursor.field_name
        if role is None and levels and not levels[-1][0]:
            role = levels[-1][1]
        descend = False
        pushed: Node | None = None
        if not raw.is_named:
            if parent.kind in _OPERATORS:
                _note_operator(parent, kind)
        elif kind == "comment":
            text = data[raw.start_byte : raw.end_byte].decode("utf-8", "replace")
            comments.append(Comment(raw.start_byte, text))
        elif kind in _UNWRAPPED:
            descend = True
        elif kind not in _DROPPED:
            pushed = Node(kind, raw.start_byte, raw.end_byte, parent)
            parent.children.append(pushed)
            if role is not None:
                if parent.roles is None:
                    parent.roles = {}
                parent.roles.setdefault(role, pushed)
            descend = True
            if kind in {"string", "concatenated_string"}:
                descend = _read_string(pushed, raw, data)
            elif len(levels) >= _DEEPEST and raw.child_count:
                too_deep, descend = True, False
        if descend and cursor.goto_first_child():
            levels.append((pushed is not None, role))
            if pushed is not None:
                stack.append(pushed)
            continue
        while not cursor.goto_next_sibling():
            if not levels:
                alive = False
                break
            cursor.goto_parent()
            if levels.pop()[0]:
                stack.pop()
    return root, comments, too_deep


def _node_at(cursor: TreeCursor) -> RawNode:
    return cast(RawNode, cursor.node)  # a cursor always stands on a node


def _note_operator(parent: Node, word: str) -> None:
    if word in _PUNCTUATION and (parent.kind, word) not in _MEANT:
        return
    parent.op = f"{parent.op} {word}" if parent.op else word


def _read_string(node: Node, raw: RawNode, data: bytes) -> bool:
    """Set a literal's value; return True for an f-string, whose parts become children."""
    parts = [raw] if raw.type == "string" else [c for c in raw.children if c.type == "string"]
    values = []
    for part in parts:
        if any(child.type == "interpolation" for child in part.children):
            node.kind = "fstring"
            return True
        values.append(_literal(data[part.start_byte : part.end_byte].decode("utf-8", "replace")))
    node.kind = "string"
    node.value = "".join(values)
    return False


def _literal(text: str) -> str:
    prefix = _PREFIX.match(text)
    start = prefix.end() if prefix else 0
    quotes = 3 if text[start : start + 3] in {'"""', "'''"} else 1
    content = text[start + quotes : len(text) - quotes]
    if "\\" not in content or "r" in text[:start].lower():
        return content
    try:
        value = ast.literal_eval(text if "f" not in text[:start].lower() else text[start:])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return content
    return value if isinstance(value, str) else content


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


def _index(parsed: ParsedFile) -> None:
    by_kind = parsed.by_kind
    for node in parsed.root.walk():
        if node.kind in by_kind:
            by_kind[node.kind].append(node)
        else:
            by_kind[node.kind] = [node]
    for node in by_kind.get("import_statement", ()):
        for child in node.children:
            _note_import(parsed, child, "")
    for node in by_kind.get("import_from_statement", ()):
        module = node.role("module_name")
        if module is not None:
            prefix = parsed.text(module).replace(" ", "")
            for child in node.children:
                if child is not module:
                    _note_import(parsed, child, prefix if prefix.endswith(".") else prefix + ".")
    for node in by_kind.get("call", ()):
        for name in _called_names(parsed, node):
            parsed.calls.setdefault(name, []).append(node)
    _note_constants(parsed)


def _note_import(parsed: ParsedFile, node: Node, prefix: str) -> None:
    if node.kind == "aliased_import" and len(node.children) == 2:
        parsed.imports[parsed.text(node.children[1])] = prefix + parsed.text(node.children[0])
    elif node.kind == "dotted_name" and prefix:
        name = parsed.text(node)
        parsed.imports[name] = prefix + name


def _called_names(parsed: ParsedFile, call: Node) -> set[str]:
    callee = call.children[0]
    if callee.kind == "attribute" and len(callee.children) == 2:
        return {parsed.text(callee.children[1])}
    if callee.kind != "identifier":
        return {""}
    name = parsed.text(callee)
    return {name, parsed.imports.get(name, name).rpartition(".")[2]}


def _note_constants(parsed: ParsedFile) -> None:
    """Find the names that are bound once in their scope, and to a literal."""
    bound = parsed.bound
    for kind in _BINDERS:
        for node in parsed.by_kind.get(kind, ()):
            for name, literal in _bindings(parsed, node):
                scope = scope_of(node)
                key = (id(scope), name)
                bound[key] = literal if key not in bound else None


def _parameter_names(parameters: Node) -> list[Node]:
    names = []
    for node in parameters.children:
        name = node if node.kind == "identifier" else node.role("name")
        if name is None and node.children:
            name = node.children[0]
        if name is not None and name.kind == "identifier":
            names.append(name)
    return names


def _bindings(parsed: ParsedFile, node: Node) -> list[tuple[str, Node | None]]:
    kind = node.kind
    if kind in {"function_definition", "class_definition"}:
        name = node.role("name")
        return [(parsed.text(name), None)] if name is not None else []
    if kind in {"parameters", "lambda_parameters"}:
        return [(parsed.text(n), None) for n in _parameter_names(node)]
    if kind in {"global_statement", "nonlocal_statement"}:
        return [(parsed.text(n), None) for n in node.children]
    if kind == "as_pattern":
        target = node.role("alias")
    elif kind == "named_expression":
        target = node.role("name")
    else:
        target = node.role("left")
    if target is None:
        return []
    if target.kind == "identifier":
        value = node.role("right") if kind == "assignment" else None
        literal = value if value is not None and value.kind in _LITERALS else None
        return [(parsed.text(target), literal)]
    if target.kind in {"attribute", "subscript"}:
        return []
    return [(parsed.text(n), None) for n in target.walk() if n.kind == "identifier"]
