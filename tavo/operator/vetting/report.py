"""What a check says: `tavo-vetting/1`, plain JSON that is signed as a whole.

Rules this module keeps:
- a report holds no time and no path of this machine: the same package, tavo and inputs give the
  same report, figures of the contract suite aside;
- it is bounded: what is left out is counted;
- "not done" is never "passed".

    python -m tavo.operator.vetting.report > docs/schemas/tavo-vetting-1.json
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from marketplace_db.package import InspectedPackage
from tavo import __version__
from tavo.operator.policy import Policy

__all__ = ["Material", "Outcome", "Report", "failed_if", "not_done", "report_of"]

_MOST_SENTENCES = 50
_LONGEST_SENTENCE = 400
_LARGEST_FACTS = 512 * 1024

State = Literal["passed", "failed", "not done"]
Sentence = Annotated[str, Meta(max_length=_LONGEST_SENTENCE)]


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What checks look at: the package, its files unpacked, and its wheels by file name.

    `advisories` is the snapshot, `source` the folder that its author packed it from; None where
    there is none. `accept_sandbox` are the operator's answers about weaker sandboxes.
    """

    package: InspectedPackage
    folder: Path
    wheels: Mapping[str, Path]
    policy: Policy
    advisories: Path | None = None
    source: Path | None = None
    accept_sandbox: tuple[str, ...] = ()

    def divided(self) -> tuple[list[str], list[str]]:
        """Return a sentence for each locked wheel that is not here, and the names of the others."""
        absent: list[str] = []
        here: list[str] = []
        for wheel in self.package.locked:
            if wheel.filename in self.wheels:
                here.append(wheel.filename)
            else:
                absent.append(f"{wheel.filename}: is not here, so it was not looked at")
        return absent, here


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: sentences for people, the worst first, and facts for machines."""

    outcome: State
    sentences: tuple[str, ...] = ()
    facts: Mapping[str, Any] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one package. `more` counts the sentences that were left out."""

    schema: Literal["tavo-vetting/1"] = "tavo-vetting/1"
    check: str
    outcome: State
    plugin: str
    version: str
    package: str
    tavo: str
    sentences: Annotated[tuple[Sentence, ...], Meta(max_length=_MOST_SENTENCES)] = ()
    more: int = 0
    facts: dict[str, Any] = {}


def failed_if(
    problems: Sequence[str],
    *,
    good: str,
    notes: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> Outcome:
    """Return that a check failed if there are problems; `good` is what is said otherwise."""
    if problems:
        return Outcome(outcome="failed", sentences=(*problems, *notes), facts=facts or {})
    return Outcome(outcome="passed", sentences=(good, *notes), facts=facts or {})


def not_done(*why: str, facts: Mapping[str, Any] | None = None) -> Outcome:
    """Return that a check could not be done, and why."""
    return Outcome(outcome="not done", sentences=why, facts=facts or {})


def report_of(name: str, package: InspectedPackage, found: Outcome) -> Report:
    """Return the report of one check."""
    shown = [_bounded(one) for one in found.sentences[:_MOST_SENTENCES]]
    facts = dict(found.facts)
    size = len(msgspec.json.encode(facts))
    if size > _LARGEST_FACTS:  # a statement that is too large could not be read again
        facts = {"left_out": f"{size} bytes, at most {_LARGEST_FACTS} are kept"}
    return Report(
        check=name,
        outcome=found.outcome,
        plugin=package.manifest.full_id,
        version=package.manifest.version,
        package=package.digest.hex,
        tavo=__version__,
        sentences=tuple(shown),
        more=len(found.sentences) - len(shown),
        facts=facts,
    )


def _bounded(sentence: str) -> str:
    text = " ".join(sentence.split())
    return text if len(text) <= _LONGEST_SENTENCE else text[: _LONGEST_SENTENCE - 1] + "…"


if __name__ == "__main__":
    from tavo.kit.schema import schema_of, schema_text

    sys.stdout.write(schema_text(schema_of(Report, "What one check of tavo market vet found")))
