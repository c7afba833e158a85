"""A Sigma condition -> an expression of ClickHouse's SQL that holds for the same events.

Rules this module keeps:
- nothing of a rule, a mapping or a table's description reaches a statement as it is: names are in
  backticks and checked, numbers are numbers, and a text with anything but letters, digits and a few
  signs is written as hexadecimal digits;
- what cannot be said in SQL is refused by name (`SigmaError`), never left out;
- a column without a value is a field that the event does not have: NULL, an empty text, an empty
  array.

The answers are looked at again by the exact test, so a difference is seen.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tavo.logs.sigma.conditions import All, Any_, Not, Tree
from tavo.logs.sigma.tests import FieldTest, Meaning, SigmaError

__all__ = ["Column", "Columns", "condition", "is_name", "kind_of", "literal", "name"]

_PLAIN = re.compile(r"[A-Za-z0-9 _.,:/@-]*\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}\Z")
_MOST_NEEDLES = 250
_TEXT = re.compile(r"(?:LowCardinality\()?(?:Nullable\()?(?:String|FixedString\(\d+\)|Enum.*|UUID)")
_NUMBER = re.compile(r"(?:LowCardinality\()?(?:Nullable\()?(?:U?Int\d+|Float\d+|Decimal.*|Bool)")
_ADDRESS = re.compile(r"(?:LowCardinality\()?(?:Nullable\()?IPv[46]")
_TIME = re.compile(r"(?:Nullable\()?DateTime")

Of = Callable[[str], str]


class Column(NamedTuple):
    """A column: its name, and whether it holds texts, numbers, a time, or lists of texts."""

    name: str
    kind: str

    @property
    def texts(self) -> str:
        """Return the expression of its texts, of a list all of them."""
        quoted = name(self.name)
        if self.kind == "list":
            return f"arrayFilter(x -> x != '', arrayMap(x -> ifNull(toString(x), ''), {quoted}))"
        return f"ifNull(toString({quoted}), '')"

    @property
    def number(self) -> str:
        """Return the expression of its number, NULL where there is none."""
        quoted = name(self.name)
        if self.kind == "number":
            return f"toFloat64({quoted})"
        return f"toFloat64OrNull(trimBoth({self.first}))"

    @property
    def first(self) -> str:
        """Return the expression of its first text, empty where there is none."""
        return f"arrayElement({self.texts}, 1)" if self.kind == "list" else self.texts


def kind_of(declared: str) -> str:
    """Return the kind of a column by its declared type, empty for one that cannot be looked at."""
    inner = re.fullmatch(r"Array\((.*)\)", declared)
    if inner is not None:
        return "list" if _TEXT.match(inner[1]) or _NUMBER.match(inner[1]) else ""
    for kind, pattern in (("text", _TEXT), ("text", _ADDRESS), ("number", _NUMBER),
                          ("time", _TIME)):  # fmt: skip
        if pattern.match(declared):
            return kind
    return ""


class Columns:
    """The columns of a table by the fields that they hold."""

    def __init__(self, of_field: Mapping[str, Column]) -> None:
        self.of_field = dict(of_field)

    def get(self, field: str) -> Column | None:
        """Return the column of a field, None where the table has none."""
        return self.of_field.get(field)

    @property
    def all_texts(self) -> str:
        """Return the expression of a list of all texts of an event."""
        parts = [
            one.texts if one.kind == "list" else f"[{one.texts}]"
            for one in self.of_field.values() if one.kind in {"text", "list"}
        ]  # fmt: skip
        return f"arrayFilter(x -> x != '', arrayConcat({', '.join(parts)}))" if parts else "[]"


def is_name(text: str) -> bool:
    """Tell whether a name can stand in a statement; columns with others are not looked at."""
    return _NAME.match(text) is not None


def name(text: str) -> str:
    """Return a name for a statement. Raises SigmaError for one that none has."""
    if not is_name(text):
        raise SigmaError(f"{text!r} is no name of a column or table")
    return f"`{text}`"


def literal(text: str) -> str:
    """Return a text for a statement."""
    if _PLAIN.match(text):
        return f"'{text}'"
    return f"unhex('{text.encode('utf-8', 'surrogatepass').hex()}')"


def condition(tree: Tree, columns: Columns) -> str:
    """Return the expression of a condition. Raises SigmaError."""
    if isinstance(tree, All):
        return f"({' AND '.join(condition(part, columns) for part in tree.parts)})"
    if isinstance(tree, Any_):
        return _any(tree.parts, columns)
    if isinstance(tree, Not):
        return f"(NOT {condition(tree.part, columns)})"
    return _test(tree, columns)


def _any(parts: Sequence[Tree], columns: Columns) -> str:
    """Write an alternative; plain texts of one field are looked for together."""
    out: list[str] = []
    needles: dict[tuple[str | None, bool], list[str]] = {}
    for part in parts:
        word = _inside(part)
        if isinstance(part, FieldTest) and word and not part.absent:
            needles.setdefault((part.field, part.meaning.cased), []).append(word)
        else:
            out.append(condition(part, columns))
    for (field, cased), words in needles.items():
        for at in range(0, len(words), _MOST_NEEDLES):
            listed = ", ".join(
                literal(one if cased else one.lower()) for one in words[at : at + _MOST_NEEDLES]
            )

            def holds(x: str, listed: str = listed, cased: bool = cased) -> str:
                return f"multiSearchAny({x if cased else f'lowerUTF8({x})'}, [{listed}])"

            out.append(_on(field, columns, holds, absent=False))
    return f"({' OR '.join(out)})"


def _inside(part: Tree) -> str:
    """Return the text that a test looks for anywhere in a value, empty for another test."""
    if not isinstance(part, FieldTest) or part.meaning.kind != "text":
        return ""
    value = part.meaning.value
    if len(value) == 3 and value[0] is None and value[2] is None and isinstance(value[1], str):
        return value[1]
    return ""


def _test(test: FieldTest, columns: Columns) -> str:
    meaning = test.meaning
    if meaning.kind == "exists":
        there = _on(test.field, columns, lambda _: "1", absent=False)
        return there if meaning.value else f"(NOT {there})"
    if meaning.kind == "null":
        return f"(NOT {_on(test.field, columns, lambda _: '1', absent=False)})"
    if meaning.kind == "fieldref":
        return _same(test, columns)
    if meaning.kind in {"gt", "gte", "lt", "lte", "number"}:
        return _numeric(test, columns)
    return _on(test.field, columns, lambda x: _holds(meaning, x), absent=test.absent)


def _on(field: str | None, columns: Columns, holds: Of, *, absent: bool) -> str:
    """Write a test of any of a field's texts, and what it says where there are none."""
    if field is None:
        return f"arrayExists(x -> {holds('x')}, {columns.all_texts})"
    column = columns.get(field)
    if column is None:
        return "1" if absent else "0"
    if column.kind == "list":
        found = f"arrayExists(x -> {holds('x')}, {column.texts})"
        return f"(empty({column.texts}) OR {found})" if absent else found
    other = "OR" if absent else "AND"
    return f"(({column.texts}) {'=' if absent else '!='} '' {other} {holds(column.texts)})"


def _holds(meaning: Meaning, x: str) -> str:
    """Write what a test asks of one text."""
    if meaning.kind == "text":
        return _shape(meaning.value, meaning.cased, x)
    if meaning.kind == "re":  # a dot of ClickHouse is any character, also a line's end
        return f"match({x}, {literal(f'(?-s){meaning.value}')})"
    if meaning.kind == "bool":
        return f"lowerUTF8({x}) = '{'true' if meaning.value else 'false'}'"
    if meaning.kind == "cidr":
        network = ipaddress.ip_network(meaning.value, strict=False)
        valid = f"isIPv{network.version}String({x})"
        other = "0.0.0.0" if network.version == 4 else "::"  # noqa: S104
        return f"({valid} AND isIPAddressInRange(if({valid}, {x}, '{other}'), '{network}'))"
    if meaning.kind == "neq":
        inner = " OR ".join(_neq(one, x) for one in meaning.value)
        return f"(NOT ({inner}))"
    raise SigmaError(f"'{meaning.kind}' cannot be asked of ClickHouse")


def _neq(test: FieldTest, x: str) -> str:
    if test.meaning.kind in {"gt", "gte", "lt", "lte", "number"}:
        return _compared(test.meaning, x, f"toFloat64OrNull(trimBoth({x}))")
    return _holds(test.meaning, x)


def _shape(parts: Sequence[str | int | None], cased: bool, x: str) -> str:
    """Write the test of a text with wildcards."""
    text = x if cased else f"lowerUTF8({x})"
    plain = [one if cased else one.lower() for one in parts if isinstance(one, str)]
    shape = ["" if isinstance(part, str) else part for part in parts]
    while shape[:2] == [None, None]:
        shape = shape[1:]
    while shape[-2:] == [None, None]:
        shape = shape[:-1]
    word = literal(plain[0]) if plain else "''"
    if shape in ([""], []):
        return f"{text} = {word}"
    if shape == [None, "", None]:
        return f"position({text}, {word}) > 0"
    if shape == ["", None]:
        return f"startsWith({text}, {word})"
    if shape == [None, ""]:
        return f"endsWith({text}, {word})"
    if shape in ([None], [None, None]):
        return "1"
    body = "".join(
        ".*" if part is None else "." if part == 1 else _quoted(str(part)) for part in parts
    )
    return f"match({x}, {literal(f'(?s)^(?:{body})$' if cased else f'(?is)^(?:{body})$')})"


def _quoted(text: str) -> str:
    return "".join(
        one if one.isalnum() or not one.isascii() else f"\\x{{{ord(one):x}}}" for one in text
    )


def _numeric(test: FieldTest, columns: Columns) -> str:
    if test.field is None:
        meaning = test.meaning
        return _on(
            None, columns, lambda x: _compared(meaning, x, f"toFloat64OrNull(trimBoth({x}))"),
            absent=False,
        )  # fmt: skip
    column = columns.get(test.field)
    if column is None:
        return "1" if test.absent else "0"
    if column.kind == "list":
        meaning = test.meaning
        return _on(
            test.field, columns,
            lambda x: _compared(meaning, x, f"toFloat64OrNull(trimBoth({x}))"), absent=test.absent,
        )  # fmt: skip
    return _compared(test.meaning, column.texts, column.number)


def _compared(meaning: Meaning, text: str, number: str) -> str:
    if meaning.kind == "number":
        bound = meaning.value
        return f"ifNull({number} = {_bound(bound)} OR {text} = {literal(str(bound))}, 0)"
    sign = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[meaning.kind]
    return f"ifNull(isFinite({number}) AND {number} {sign} {_bound(meaning.value)}, 0)"


def _bound(value: float) -> str:
    number = float(value)
    if not math.isfinite(number):
        raise SigmaError(f"{value!r} cannot be compared with")
    return repr(number)


def _same(test: FieldTest, columns: Columns) -> str:
    ours, theirs = columns.get(test.field or ""), columns.get(test.meaning.value)
    if ours is None or theirs is None:
        return "0"
    lists = [
        f"arrayMap(x -> lowerUTF8(x), {one.texts})" if one.kind == "list"
        else f"arrayFilter(x -> x != '', [lowerUTF8({one.texts})])"
        for one in (ours, theirs)
    ]  # fmt: skip
    return f"hasAny({lists[0]}, {lists[1]})"
