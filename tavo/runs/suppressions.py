"""A suppressions file: reasoned exceptions with an end date, kept outside the code.

    suppressions:
      - {rule: llm-output-to-exec, path: "tools/*", reason: "sandboxed, SEC-12",
         expires: 2027-01-31, approved_by: ada}
      - {fingerprint: 9f…, reason: "false alarm, SEC-14", expires: 2026-12-31}

Rules this module keeps:
- an entry names a rule (a pattern, `plugin:rule` for one of a plugin) or a fingerprint, gives a
  reason and a last day; one without them, or past its day, does not count, and a notice says so;
- an entry that covers nothing is named: it would cover what comes later;
- the file is the choice of whoever runs the scan: a project's settings cannot name one.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from marketplace_db.errors import MarketplaceError
from marketplace_db.strict_yaml import load_yaml
from tavo.errors import ConfigError, InputError
from tavo.printable import printable
from tavo.results.values import Notice, Reported, Suppression
from tavo.scan.path_patterns import PathPatterns

__all__ = ["Suppressions", "read_suppressions"]

_LARGEST = 4 << 20
_MOST = 20_000
_SOON_DAYS = 14
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_Text = Annotated[str, Meta(max_length=500)]
_HINT = (
    "suppressions: [{rule: …, path: …, reason: …, expires: 2027-01-31}], see the user guide,"
    " Suppressions."
)


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: _Text = ""
    path: _Text = ""
    fingerprint: _Text = ""
    reason: _Text = ""
    expires: _Text = ""
    approved_by: _Text = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    suppressions: Annotated[list[_Entry], Meta(max_length=_MOST)]


class _Usable:
    """An entry that holds today, and how often it was used."""

    def __init__(self, number: int, entry: _Entry) -> None:
        self.number = number
        self.entry = entry
        self.used = 0
        self._paths = PathPatterns([entry.path]) if entry.path else None
        self._known: dict[str, bool] = {}
        self.suppression = Suppression(
            kind="external",
            reason=entry.reason.strip(),
            line=0,
            expires=entry.expires,
            approved_by=entry.approved_by.strip(),
        )

    @property
    def problem(self) -> str:
        """Say why the path pattern cannot be used, empty where it can."""
        return self._paths.unusable[0][1] if self._paths and self._paths.unusable else ""

    def names(self, one: Reported) -> bool:
        """Tell whether the entry is about the rule of a finding, or about no rule."""
        pattern = self.entry.rule
        return not pattern or any(
            fnmatch.fnmatchcase(name, pattern)
            for name in (one.rule.id, f"{one.tool}:{one.rule.id}")
        )

    def covers_path(self, path: str) -> bool:
        """Tell whether the entry is about a file, or about all."""
        if self._paths is None:
            return True
        if path not in self._known:
            self._known[path] = bool(self._paths.verdict(path))
        return self._known[path]


class Suppressions:
    """The entries of a file that hold on a day, and what is wrong with the others."""

    def __init__(self, name: str, entries: Sequence[_Entry], today: date) -> None:
        self._name = name
        self._problems: list[Notice] = []
        self._usable: list[_Usable] = []
        for number, entry in enumerate(entries, start=1):
            why = _why_not(entry, today)
            usable = None if why else _Usable(number, entry)
            why = why or (
                f"its path is no pattern: {usable.problem}" if usable and usable.problem else ""
            )
            if usable is None or why:
                self._note(number, entry, f"{why}, so it does not count")
                continue
            self._usable.append(usable)
            days = (date.fromisoformat(entry.expires) - today).days
            if days <= _SOON_DAYS:
                self._note(number, entry, f"holds for {days} more days, until {entry.expires}")
        self._by_fingerprint = {
            one.entry.fingerprint: one for one in self._usable if one.entry.fingerprint
        }
        self._others = [one for one in self._usable if not one.entry.fingerprint]
        self._by_rule: dict[tuple[str, str], list[_Usable]] = {}

    def applied(self, findings: Iterable[Reported]) -> list[Reported]:
        """Return the findings with the entries that cover them; an ignore comment goes first."""
        out = []
        for one in findings:
            if one.suppression is None and (entry := self._entry_for(one)) is not None:
                entry.used += 1
                out.append(replace(one, suppression=entry.suppression))
            else:
                out.append(one)
        return out

    @property
    def notices(self) -> list[Notice]:
        """Say which entries do not count, will soon not, or were not used."""
        unused = [one for one in self._usable if not one.used]
        said = "covers nothing here; take it out if it never does"
        return [*self._problems, *(self._notice(one.number, one.entry, said) for one in unused)]

    def _entry_for(self, one: Reported) -> _Usable | None:
        path = str(one.finding.location.path)
        entry = self._by_fingerprint.get(one.fingerprint)
        if entry is not None and entry.names(one) and entry.covers_path(path):
            return entry
        key = (one.tool, one.rule.id)
        if key not in self._by_rule:
            self._by_rule[key] = [other for other in self._others if other.names(one)]
        return next((other for other in self._by_rule[key] if other.covers_path(path)), None)

    def _note(self, number: int, entry: _Entry, text: str) -> None:
        self._problems.append(self._notice(number, entry, text))

    def _notice(self, number: int, entry: _Entry, text: str) -> Notice:
        what = entry.rule or entry.fingerprint or entry.path or "nothing"
        return Notice(
            kind="suppression",
            subject=f"{self._name} entry {number}",
            reason=f"({printable(what)[:60]}) {text}",
            incomplete=False,
        )


def read_suppressions(path: Path, today: date) -> Suppressions:
    """Read a suppressions file. Raises InputError, ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="Check the path given with --suppressions.",
        ) from error
    try:
        value = load_yaml(data, name=str(path), limit=_LARGEST)
        found = msgspec.convert(value, _File)
    except MarketplaceError as error:
        raise ConfigError(str(error), hint=_HINT) from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}", hint=_HINT) from None
    return Suppressions(path.name, found.suppressions, today)


def _why_not(entry: _Entry, today: date) -> str:
    """Say why an entry does not count, empty where it does."""
    if not entry.rule.strip() and not entry.fingerprint.strip():
        return "names neither a rule nor a fingerprint"
    if not entry.reason.strip():
        return "has no reason: write why this is accepted"
    if not entry.expires:
        return "has no last day: write expires: YYYY-MM-DD"
    try:
        last = date.fromisoformat(entry.expires) if _DAY.match(entry.expires) else None
    except ValueError:
        last = None
    if last is None:
        return f"expires {printable(entry.expires)[:20]!r} is no day: write YYYY-MM-DD"
    if last < today:
        return f"expired on {entry.expires}: mend the finding, or agree on a new day"
    return ""
