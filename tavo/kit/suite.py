"""One run of the contract suite: its state, its checks, and the form of its report.

Rules this module keeps:
- a check says in one line what was found, with the first few places and how many more there are;
- what a plugin does in any part of the suite is seen by all of it: rules, output, permissions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tavo.host.local import LocalPlugin
from tavo.host.sandbox.levels import SandboxLevel
from tavo.kit.rehearsal import Life, OwnTest, Rehearsal, Rehearsed, Tested
from tavo.progress import Reporter

__all__ = ["MOST_NAMED", "Check", "Suite", "SuiteReport", "grouped"]

MOST_NAMED = 5
_MOST_PLACES = 3


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried. A `note` is advice and fails nothing."""

    name: str
    state: Literal["passed", "failed", "note", "skipped"]
    found: str
    hint: str = ""


class SuiteReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tavo plugin test` found; `schema` is the version of this form."""

    schema: Literal["tavo-plugin-test/1"] = "tavo-plugin-test/1"
    tavo: str
    python: str
    plugin: str
    version: str
    plugin_type: str
    package: str
    manifest: str
    sandbox: str
    passed: bool
    checks: tuple[Check, ...]
    rules: tuple[str, ...] = ()
    rules_not_shown: tuple[str, ...] = ()
    tried: dict[str, tuple[str, ...]] = {}
    tests: tuple[OwnTest, ...] = ()


class Suite:
    """One run over one plugin: what it was given, what was tried, and what that showed.

    `rules` are those that it declares, `shown` those that a test or a sample made it find, `seen`
    what it tried that needs a permission. `left_at_host`: a question of it to the host was not
    answered, so that not all of it could be seen. `columns` says where columns are miscounted.
    """

    def __init__(
        self,
        local: LocalPlugin,
        accept: Sequence[str],
        config: Mapping[str, Any],
        reporter: Reporter,
    ) -> None:
        self.local = local
        self.accept = accept
        self.config = config
        self.reporter = reporter
        self.checks: list[Check] = []
        self.level: SandboxLevel | None = None
        self.rules: set[str] = set()
        self.shown: set[str] = set()
        self.printed = ""
        self.seen: dict[str, set[str]] = {}
        self.left_at_host = False
        self.tests: tuple[OwnTest, ...] = ()
        self.columns: tuple[str, ...] = ()

    def note(self, name: str, problems: Sequence[str], good: str, hint: str = "") -> None:
        """Add a check that failed if there are problems."""
        if problems:
            more = len(problems) - MOST_NAMED
            named = "; ".join(problems[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
            named = " ".join(named.split())
            self.checks.append(Check(name=name, state="failed", found=named, hint=hint))
        else:
            self.checks.append(Check(name=name, state="passed", found=good))

    def take(self, answer: Life | Tested | Rehearsed) -> None:
        """Keep what every answer holds."""
        self.rules |= set(answer.rules)
        self.printed = self.printed or answer.printed
        for kind, names in answer.seen.items():
            self.seen.setdefault(kind, set()).update(names)

    def rehearsal(self, **options: Any) -> Rehearsal:
        """Return a rehearsal of the plugin."""
        return Rehearsal(self.local, accept=self.accept, config=self.config, **options)

    def begin(self, what: str) -> None:
        """Say what is tried now."""
        self.reporter.end()
        self.reporter.begin(f"testing: {what}", None)
        self.reporter.advance(0)


def grouped(problems: Iterable[tuple[str, str]]) -> list[str]:
    """Return each problem once, with the first places where it is; each comes as place, problem."""
    places: dict[str, list[str]] = {}
    for place, problem in problems:
        places.setdefault(problem, []).append(place)
    said = []
    for problem, where in places.items():
        more = len(where) - _MOST_PLACES
        named = ", ".join(where[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
        said.append(f"{named}: {problem}" if problem else named)
    return said
