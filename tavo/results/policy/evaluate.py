"""A policy at work: which evaluator, and what its answers mean.

Rules this module keeps:
- the program opa of PATH goes before the library; where neither is here, the policy is refused;
- a value of another shape than a text or an object with `msg` is a failure, never dropped;
- what failed is said once, with the document it failed at; nothing that was said before is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tavo.errors import ConfigError
from tavo.printable import printable
from tavo.programs import find_program
from tavo.results.policy.answers import Answers
from tavo.results.policy.files import PolicyFiles
from tavo.results.values import PolicyResult, Reported

__all__ = ["PolicyOutcome", "check_policy", "evaluated"]

_LONGEST = 2_000
_ORDER = {"deny": 0, "violation": 1, "warn": 2}


class PolicyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy said; `problem` is why it did not come to an end, empty where it did."""

    evaluator: str
    results: tuple[PolicyResult, ...] = ()
    problem: str = ""


class _ShapeError(Exception):
    """A rule gave what no rule of ours gives."""


def check_policy(files: PolicyFiles) -> None:
    """Raise ConfigError for a policy that no evaluator here can use; no document is looked at."""
    _answers(files, [])


def evaluated(
    files: PolicyFiles, documents: Sequence[bytes], findings: Sequence[Reported]
) -> PolicyOutcome:
    """Evaluate a policy on a run's documents, one for each finding and one for the run at last."""
    answers = _answers(files, documents)
    results: list[PolicyResult] = []
    problem, at = answers.problem, answers.at
    for number, values in enumerate(answers.values):
        fingerprint = findings[number].fingerprint if number < len(findings) else ""
        try:
            results += _results(values, fingerprint)
        except _ShapeError as error:
            problem, at = str(error), number
            break
    if problem:
        problem = printable(problem)[:_LONGEST] + _where(at, findings, len(documents))
    results.sort(key=lambda one: (_ORDER[one.kind], bool(one.fingerprint)))
    return PolicyOutcome(evaluator=answers.evaluator, results=tuple(results), problem=problem)


def _answers(files: PolicyFiles, documents: Sequence[bytes]) -> Answers:
    program = find_program("opa")
    if program is not None:
        from tavo.results.policy.opa import by_opa

        return by_opa(program, files, documents)
    from tavo.results.policy.regopy import by_regopy, has_regopy

    if has_regopy():
        return by_regopy(files, documents)
    raise ConfigError(
        "--policy: nothing here evaluates Rego: there is no program opa on PATH, and this tavo has"
        " no regopy",
        hint="Install opa, or use tavo-full.pyz, which brings regopy (`pip install tavo[rego]` does"
        " the same).",
    )


def _where(at: int, findings: Sequence[Reported], documents: int) -> str:
    if at < 0 or at >= documents:
        return ""
    if at >= len(findings):
        return " (at the summary)"
    one = findings[at]
    region = one.finding.location.region
    line = f":{region.start_line}" if region is not None else ""
    return f" (at {one.rule.id} in {printable(str(one.finding.location.path))}{line})"


def _results(values: dict[str, list[Any]], fingerprint: str) -> list[PolicyResult]:
    excepted = _exceptions(values.get("exception", []))
    out = []
    for name, found in values.items():
        if name == "exception":
            continue
        kind = next(kind for kind in _ORDER if name == kind or name.startswith(f"{kind}_"))
        suffix = name.removeprefix(kind).removeprefix("_")
        for value in found:
            if not isinstance(value, list):
                raise _ShapeError(
                    f"{name} is {_shape(value)}, expected a set of messages: `{name} contains msg"
                    " if { … }`"
                )
            for one in sorted(value, key=lambda item: str(item)):
                message, details = _message(name, one)
                out.append(
                    PolicyResult(
                        kind=kind, rule=name, message=message[:_LONGEST], details=details,
                        fingerprint=fingerprint, excepted=suffix in excepted,
                    )
                )  # fmt: skip
    return out


def _message(name: str, value: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and isinstance(value.get("msg"), str):
        return value["msg"], {key: one for key, one in value.items() if key != "msg"}
    raise _ShapeError(
        f"{name} holds {_shape(value)}, expected a text or an object with a text `msg`"
    )


def _exceptions(found: Sequence[Any]) -> frozenset[str]:
    names: set[str] = set()
    for value in found:
        if not isinstance(value, list) or not all(
            isinstance(rules, list) and all(isinstance(rule, str) for rule in rules)
            for rules in value
        ):
            raise _ShapeError("exception does not hold lists of the suffixes of rules")
        names.update(rule for rules in value for rule in rules)
    return frozenset(names)


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "an object" if "msg" not in value else "an object whose msg is no text"
    if value is None:
        return "null"
    return {bool: "true or false", str: "a text", list: "a list"}.get(type(value), "a number")
