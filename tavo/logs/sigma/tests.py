"""One test of one field: what a value of a Sigma rule and its modifiers mean, and what it needs.

Rules this module keeps:
- letters of any case are equal, except with `cased`; `*` and `?` stand for text, `\\*` for a star;
- a modifier that is not known is refused by name, and so is an expression that RE2 cannot run;
- what a test says it needs is never too much: a text that it names stands in every value that it
  accepts, in lower case.

Source: the Sigma specification 2.1, sections on value types and modifiers.
"""

from __future__ import annotations

import base64
import ipaddress
import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tavo.detect.regex import Regex, RegexError
from tavo.detect.required import required_texts
from tavo.logs.event import LogEvent

__all__ = ["FieldTest", "Meaning", "SigmaError", "compile_item", "folded", "meant", "text_of"]

Check = Callable[[Any], bool]

_COMPARISONS = {"gt", "gte", "lt", "lte"}
_ENCODINGS = {"wide": "utf-16-le", "utf16le": "utf-16-le", "utf16be": "utf-16-be",
              "utf16": "utf-16"}  # fmt: skip
_FLAGS = {"i", "m", "s"}
_KNOWN = (
    {"contains", "startswith", "endswith", "all", "cased", "re", "cidr", "exists", "neq",
     "fieldref", "base64", "base64offset", "windash"}
    | _COMPARISONS | _FLAGS | set(_ENCODINGS)
)  # fmt: skip
_DASHES = ("-", "/", "\u2013", "\u2014", "\u2015")


class SigmaError(ValueError):
    """A rule cannot be used; the message is a clause that says why."""


class Meaning(NamedTuple):
    """What a test looks for, for those who write it in another language.

    `kind` is text, re, number, bool, cidr, gt, gte, lt, lte, exists, null, fieldref or neq;
    `value` is the parts of a text (as `_parts`), an expression with its flags, a number, a network,
    a field's name, or for neq the tests of which none may hold.
    """

    kind: str
    value: Any
    cased: bool = False


class FieldTest:
    """Accepts an event by one field, or by all its texts where the rule names no field.

    `needs` are sets of texts in lower case, of each of which every accepted value holds one; the
    most telling set is the first. `absent` is what the test says of an event without the field.
    """

    __slots__ = ("absent", "check", "field", "meaning", "needs", "other")

    def __init__(
        self,
        field: str | None,
        check: Check,
        *,
        needs: tuple[frozenset[str], ...] = (),
        absent: bool = False,
        other: str = "",
        meaning: Meaning,
    ) -> None:
        self.field = field
        self.meaning = meaning
        self.check = check
        self.needs = needs
        self.absent = absent
        self.other = other

    def holds(self, event: LogEvent) -> bool:
        """Tell whether the event is accepted."""
        if self.field is None:
            return any(map(self.check, event.texts()))
        values = event.get(self.field)
        if not values:
            return self.absent
        if self.other:
            others = {folded(text_of(one)) for one in event.get(self.other)}
            return any(folded(text_of(one)) in others for one in values)
        check = self.check
        return any(check(value) for value in values)


def meant(word: str, known: Iterable[str], *, cutoff: float) -> str:
    """Return which of some names a word is meant to be, empty where none is near."""
    import difflib  # only for a rule that names something else, and costs a start

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), "")


def folded(text: str) -> str:
    """Return a text as it is compared where case does not matter."""
    return text.lower()


def text_of(value: Any) -> str:
    """Return a value of an event as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def compile_item(field: str | None, modifiers: Sequence[str], value: Any) -> list[list[FieldTest]]:
    """Return the tests of one entry of a detection: all of the lists, any of the tests in each."""
    mods = [one.lower() for one in modifiers]
    for one in mods:
        if one not in _KNOWN:
            where = f"{field}: " if field else ""
            near = meant(one, _KNOWN, cutoff=0.7)
            hint = f"; did you mean '{near}'?" if near else ""
            raise SigmaError(f"{where}the modifier '{one}' is not supported{hint}")
    if field is None and ({"exists", "fieldref", *_COMPARISONS} & set(mods)):
        raise SigmaError(f"'{mods[0]}' needs a field")
    values = value if isinstance(value, list) else [value]
    if not values:
        raise SigmaError(f"{field or 'a keyword list'} has an empty list")
    together = "all" in mods
    if together and len(values) < 2:
        raise SigmaError(f"{field or 'a keyword list'}: 'all' needs a list of two or more")
    tests = [_any_of(field, mods, one) for one in values]
    if together:
        return tests
    return [[test for group in tests for test in group]]


def _any_of(field: str | None, mods: Sequence[str], value: Any) -> list[FieldTest]:
    """Return the tests of one value, of which any may hold; `neq` makes one of them."""
    if isinstance(value, str) and any("\ud800" <= one <= "\udfff" for one in value):
        raise SigmaError(f"{field}: half a surrogate cannot be looked for")
    kinds = [one for one in mods if one not in {"all", "neq"}]
    if "neq" in mods:
        inner = _any_of(field, kinds, value)

        def differs(candidate: Any) -> bool:
            return not any(test.check(candidate) for test in inner)

        return [FieldTest(field, differs, absent=False, meaning=Meaning("neq", tuple(inner)))]
    if isinstance(value, dict | list):
        raise SigmaError(f"{field}: expected a text, a number or a list of them")
    _check_empty(field, kinds, value)
    if "exists" in kinds:
        if not isinstance(value, bool):
            raise SigmaError(f"{field}: 'exists' needs true or false")
        meaning = Meaning("exists", value)
        return [FieldTest(field, lambda _: bool(value), absent=not value, meaning=meaning)]
    if "fieldref" in kinds:
        meaning = Meaning("fieldref", str(value))
        return [FieldTest(field, lambda _: False, other=str(value), meaning=meaning)]
    if value is None:
        meaning = Meaning("null", None)
        return [FieldTest(field, lambda one: one is None, absent=True, meaning=meaning)]
    if "cidr" in kinds:
        meaning = Meaning("cidr", str(value))
        return [FieldTest(field, _in_network(str(value)), meaning=meaning)]
    if compared := _COMPARISONS & set(kinds):
        kind = compared.pop()
        check = _comparison(kind, value, field)
        return [FieldTest(field, check, meaning=Meaning(kind, float(value)))]
    if "re" in kinds:
        return [_regex(field, str(value), kinds)]
    if isinstance(value, bool | int | float) and not {"contains", "startswith", "endswith"} & set(
        kinds
    ):
        meaning = Meaning("bool" if isinstance(value, bool) else "number", value)
        return [FieldTest(field, _equals_number(value), meaning=meaning)]
    return [_text(field, text, kinds) for text in _spellings(str(value), kinds)]


def _check_empty(field: str | None, kinds: Sequence[str], value: Any) -> None:
    """Refuse a text that everything holds, which a rule has by mistake."""
    asked = next((one for one in ("contains", "startswith", "endswith", "re") if one in kinds), "")
    if value == "" and field is None:
        raise SigmaError("an empty keyword stands in every event")
    if value in ("", None) and asked:
        raise SigmaError(
            f"{field or 'a keyword'}: '{asked}' has an empty text, which every value holds;"
            " `exists: true` asks whether there is one"
        )


def _spellings(value: str, kinds: Sequence[str]) -> list[str]:
    """Return the texts that a value stands for after the modifiers that change it."""
    texts = [value]
    if "windash" in kinds:
        texts = list(
            dict.fromkeys(
                text.replace(f" {old}", f" {new}") if f" {old}" in text
                else f"{new}{text[1:]}" if text.startswith(old) else text
                for text in texts for old in ("-", "/") for new in _DASHES
            )
        )  # fmt: skip
    encoded: list[bytes] | None = None
    for kind in kinds:
        if kind in _ENCODINGS:
            encoded = [text.encode(_ENCODINGS[kind]) for text in texts]
        elif kind in {"base64", "base64offset"}:
            data = encoded or [text.encode() for text in texts]
            offsets = range(3) if kind == "base64offset" else range(1)
            texts = [_base64_at(one, at, whole=kind == "base64") for one in data for at in offsets]
            texts = [text.replace("\\", "\\\\") for text in texts]
            encoded = None
    if encoded is not None:
        texts = [one.decode("latin-1") for one in encoded]
    return texts


def _base64_at(data: bytes, offset: int, *, whole: bool) -> str:
    """Return the part of the Base64 of anything with the data at an offset that is always there."""
    text = base64.b64encode(b" " * offset + data).decode("ascii")
    if whole:
        return text
    start = (0, 2, 3)[offset]
    end = (None, -3, -2)[(len(data) + offset) % 3]
    return text[start:end]


def _text(field: str | None, value: str, kinds: Sequence[str]) -> FieldTest:
    parts = _parts(value)
    front, back = "startswith" in kinds, "endswith" in kinds
    inside = "contains" in kinds or field is None
    if inside or back:
        parts = [None, *parts]
    if inside or front:
        parts = [*parts, None]
    cased = "cased" in kinds
    fixed = [part if cased else folded(part) for part in parts if isinstance(part, str) and part]
    needs = (frozenset([max((folded(one) for one in fixed), key=len)]),) if fixed else ()
    encodes = {"base64", "base64offset"} & set(kinds)
    check = _shape(parts, cased=cased or bool(encodes))
    meaning = Meaning("text", tuple(parts), cased or bool(encodes))
    return FieldTest(field, check, needs=needs, meaning=meaning)


def _parts(value: str) -> list[str | int | None]:
    """Cut a value at its wildcards: None for `*`, 1 for `?`."""
    parts: list[str | int | None] = []
    text: list[str] = []
    at = 0
    while at < len(value):
        sign = value[at]
        if sign == "\\" and value[at + 1 : at + 2] in ("*", "?", "\\") and at + 1 < len(value):
            text.append(value[at + 1])
            at += 2
            continue
        if sign in "*?":
            if text:
                parts.append("".join(text))
                text = []
            parts.append(None if sign == "*" else 1)
        else:
            text.append(sign)
        at += 1
    if text:
        parts.append("".join(text))
    return parts


def _shape(parts: Sequence[str | int | None], *, cased: bool) -> Check:
    """Return the check for a text with wildcards; the usual shapes need no expression."""
    plain = [part for part in parts if isinstance(part, str)]
    word = plain[0] if plain else ""
    if not cased:
        word = folded(word)
    shape = [part if not isinstance(part, str) else "" for part in parts]
    while shape[:2] == [None, None]:
        shape = shape[1:]
    while shape[-2:] == [None, None]:
        shape = shape[:-1]
    if shape in ([""], []):
        return (lambda v: text_of(v) == word) if cased else lambda v: folded(text_of(v)) == word
    if shape == [None, "", None]:
        return (lambda v: word in text_of(v)) if cased else lambda v: word in folded(text_of(v))
    if shape == ["", None]:
        return (
            (lambda v: text_of(v).startswith(word))
            if cased
            else lambda v: folded(text_of(v)).startswith(word)
        )
    if shape == [None, ""]:
        return (
            (lambda v: text_of(v).endswith(word))
            if cased
            else lambda v: folded(text_of(v)).endswith(word)
        )
    if shape in ([None], [None, None]):
        return lambda v: v is not None
    body = "".join(
        ".*" if part is None else "." if part == 1 else _quoted(str(part)) for part in parts
    )
    found = _compiled(f"(?s)^(?:{body})$" if cased else f"(?is)^(?:{body})$")
    return lambda v: found.found_in(_encodable(text_of(v)))


def _quoted(text: str) -> str:
    return "".join(
        one if one.isalnum() or not one.isascii() else f"\\x{{{ord(one):x}}}" for one in text
    )


def _regex(field: str | None, pattern: str, kinds: Sequence[str]) -> FieldTest:
    flags = "".join(sorted(_FLAGS & set(kinds)))
    found = _compiled(f"(?{flags}:{pattern})" if flags else pattern)

    def check(value: Any) -> bool:
        return found.found_in(_encodable(text_of(value)))

    whole = f"(?{flags}:{pattern})" if flags else pattern
    return FieldTest(field, check, needs=required_texts(pattern), meaning=Meaning("re", whole))


@lru_cache(4096)
def _compiled(pattern: str) -> Regex:
    try:
        return Regex(pattern)
    except RegexError as error:
        raise SigmaError(f"{pattern!r}: {error}") from error


def _encodable(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _in_network(value: str) -> Check:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise SigmaError(f"'cidr': {error}") from error

    @lru_cache(65536)
    def inside(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return address.version == network.version and address in network

    return lambda one: inside(text_of(one).strip())


def _comparison(kind: str, value: Any, field: str | None) -> Check:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SigmaError(f"{field}: '{kind}' needs a number, found {value!r}")
    bound = float(value)
    if kind == "gt":
        return lambda one: (number := _number(one)) is not None and number > bound
    if kind == "gte":
        return lambda one: (number := _number(one)) is not None and number >= bound
    if kind == "lt":
        return lambda one: (number := _number(one)) is not None and number < bound
    return lambda one: (number := _number(one)) is not None and number <= bound


def _number(value: Any) -> float | None:
    """Return the number that a value is or spells, else None."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) < 40:
        try:
            number = float(value)
        except ValueError:
            return None
        return number if math.isfinite(number) else None
    return None


def _equals_number(value: bool | int | float) -> Check:
    text = text_of(value)
    if isinstance(value, bool):
        return lambda one: folded(text_of(one)) == text
    return lambda one: (
        one == value if isinstance(one, int | float) and not isinstance(one, bool)
        else text_of(one) == text
    )  # fmt: skip
