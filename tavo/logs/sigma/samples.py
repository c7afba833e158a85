"""The samples of a rule, tried: records that it must match, and records that it must not.

Rules this module keeps:
- a sample goes the whole way that a record of a log goes, through the gate as well;
- a sample of a correlation is a list of records, and the rules that it names look at them first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tavo.logs.engine import analyze_bytes
from tavo.logs.mapping import readers
from tavo.logs.sigma.rules import LogRule

__all__ = ["Tried", "try_samples"]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How the samples of one rule went; each difference is a sentence."""

    rule_id: str
    samples: int
    differences: tuple[str, ...]


def try_samples(rule: LogRule, rules: Sequence[LogRule]) -> Tried:
    """Try a rule on its samples; `rules` are all, for the correlations among them."""
    differences: list[str] = []
    count = 0
    for key, expected in (("match", True), ("no_match", False)):
        samples = rule.samples.get(key) or []
        for number, sample in enumerate(samples if isinstance(samples, list) else [samples], 1):
            count += 1
            records = sample if isinstance(sample, list) else [sample]
            if _matches(rule, rules, records) != expected:
                said = "is not matched" if expected else "is matched"
                differences.append(f"{key} {number} {said}: {_shown(records)}")
    return Tried(rule_id=rule.id, samples=count, differences=tuple(differences))


def _matches(rule: LogRule, rules: Sequence[LogRule], records: list[Any]) -> bool:
    lines = [
        (record if isinstance(record, str) else json.dumps(record, ensure_ascii=number % 2 == 0))
        for number, record in enumerate(records)
    ]
    data = "\n".join(lines).encode("utf-8", "replace") + b"\n"
    return rule.id in analyze_bytes(data, readers()["event"], rules)


def _shown(records: list[Any]) -> str:
    text = json.dumps(records[0] if len(records) == 1 else records, ensure_ascii=True)
    return text if len(text) < 200 else f"{text[:200]}…"
