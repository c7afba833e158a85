"""One normalised log record: its fields by name, and where it stands.

Rules this module keeps:
- a field is worked out when it is asked for, once; an event that nobody asks costs its record only;
- a field that the reader's table does not name is looked for in the record itself, by its dotted
  name, so that rules for raw records work as they are;
- values are scalars: what is nested is given as the scalars below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tavo.logs.conversation import conversation_of
from tavo.logs.fields import CONVERSATION, FIELDS
from tavo.logs.record import leaves, values_at, values_by_name
from tavo.logs.times import parse_time

if TYPE_CHECKING:
    from tavo.logs.mapping import Mapping as Table

__all__ = ["LogEvent"]

Values = tuple[Any, ...]


class LogEvent:
    """An event of a log. `offset` and `length` are those of its record in the file, in bytes."""

    __slots__ = ("_values", "length", "line", "offset", "record", "source", "table")

    def __init__(
        self,
        record: Any,
        table: Table,
        *,
        source: str = "",
        line: int = 0,
        offset: int = 0,
        length: int = 0,
    ) -> None:
        self.record = record
        self.table = table
        self.source = source
        self.line = line
        self.offset = offset
        self.length = length
        self._values: dict[str, Values] = {}

    def get(self, name: str) -> Values:
        """Return the values of a field; empty where the event does not have it."""
        known = self._values.get(name)
        if known is None:
            if name in CONVERSATION and self.table.has_conversation:
                self._converse()
                return self._values[name]
            known = self._values[name] = self._find(name)
        return known

    def first(self, name: str) -> Any:
        """Return the first value of a field, None where there is none."""
        values = self.get(name)
        return values[0] if values else None

    @property
    def time(self) -> float | None:
        """When it happened, in seconds since 1970; None where the record does not say."""
        for value in self._raw("time"):
            found = parse_time(value)
            if found is not None:
                return found
        return None

    def texts(self) -> Iterable[str]:
        """Return all texts of the event: what a rule without fields looks at."""
        yield from (one for one in leaves(self.record) if isinstance(one, str))
        if self.table.has_conversation:
            for name in sorted(CONVERSATION):
                yield from self.get(name)

    def known(self) -> Mapping[str, Values]:
        """Return all fields of the taxonomy that the event has."""
        return {name: values for name in FIELDS if name != "time" and (values := self.get(name))}

    def _find(self, name: str) -> Values:
        return tuple(one for value in self._raw(name) for one in _scalars(value))

    def _raw(self, name: str) -> list[Any]:
        constant = self.table.constants.get(name)
        for path in self.table.fields.get(name, ()):
            found = [one for one in values_at(self.record, path) if one not in (None, "", [], {})]
            if found:
                return self.table.derived(name, found)
        if constant is not None:
            return [constant]
        if name in self.table.fields or name == "time":
            return []
        return values_by_name(self.record, name)

    def _converse(self) -> None:
        table, record = self.table, self.record
        found = conversation_of(
            given=[v for path in table.given for v in values_at(record, path)],
            answered=[v for path in table.answered for v in values_at(record, path)],
            system=[v for path in table.system for v in values_at(record, path)],
            tools=[v for path in table.tools for v in values_at(record, path)],
        )
        self._values.update({
            "gen_ai.system_instructions": tuple(found.system),
            "gen_ai.prompt": tuple(found.prompt),
            "gen_ai.input": tuple(found.input),
            "gen_ai.completion": tuple(found.completion),
            "gen_ai.tool.name": tuple(found.tools),
            "gen_ai.tool.call.arguments": tuple(found.arguments),
            "gen_ai.tool.call.result": tuple(found.results),
            "gen_ai.tool.definitions": tuple(found.definitions),
        })  # fmt: skip
        for name in CONVERSATION & table.fields.keys():
            self._values[name] += self._find(name)


def _scalars(value: Any) -> Iterable[Any]:
    return leaves(value) if isinstance(value, dict | list) else (value,)
