"""Rule files -> rules ready to run, and a named problem for each that is not.

One rule that cannot be used never takes the others of its file with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tavo.scan.formula import FormulaError
from tavo.scan.precedence import YIELDS_TO, cycles
from tavo.scan.rule import RuleSet
from tavo.scan.rule_entries import Names, compile_rule
from tavo.scan.rule_source import COMPILED, PACK, RuleProblem, check_rule_paths
from tavo.scan.timing import Limit, TimeUpError

__all__ = ["PACK", "PROBLEM", "entries_of", "load_rules"]

PROBLEM = "tavo problem"
"""Key of an entry that could not be read in full; its value says why."""
_Files = Iterable[tuple[Path, "list[Mapping[str, Any]] | FormulaError"]]
_LOADING_S, _LOADING_S_EACH = 120.0, 10.0
_LONGEST_REASON, _LONGEST_ID = 600, 200


def load_rules(paths: Sequence[Path]) -> RuleSet:
    """Load rule files and folders of them. Raises ConfigError for a path that does not exist.

    In a folder every `.yaml` and `.yml` file is a rule file, except below `library`.
    """
    check_rule_paths(paths)
    loaded = RuleSet()
    began = time.process_time()
    for path in paths:
        files, names = entries_of(path)
        is_empty = True
        for file, entries in files:
            is_empty = False
            if isinstance(entries, FormulaError):
                loaded.problems.append(RuleProblem(file=file, rule_id="", reason=str(entries)))
                continue
            for entry in entries:
                if time.process_time() - began > _LOADING_S:
                    reason = f"the rules before it took {_LOADING_S:g} s to load"
                    problem = RuleProblem(file=file, rule_id=_id_of(entry), reason=reason)
                    loaded.problems.append(problem)
                    continue
                _add(loaded, entry, file, names)
        if is_empty:
            reason = "no file below it ends in .yaml or .yml, so there is no rule"
            loaded.problems.append(RuleProblem(file=path, rule_id="", reason=reason))
    _leave_out_circles(loaded)
    return loaded


# -- inside


def entries_of(path: Path) -> tuple[_Files, Names]:
    """Return the entries of each rule file; of our own pack as the build has read them."""
    compiled = PACK / COMPILED
    if path == PACK and compiled.is_file():
        import json

        known = json.loads(compiled.read_bytes())
        names = {
            language: {
                text: frozenset(name.encode() for name in needed) for text, needed in texts.items()
            }
            for language, texts in known["names"].items()
        }
        return [(PACK / name, entries) for name, entries in known["files"].items()], names
    from tavo.scan.rule_files import read_folder  # brings the YAML reader

    return read_folder(path), {}


def _add(loaded: RuleSet, entry: Mapping[str, Any], file: Path, names: Names) -> None:
    rule_id = _id_of(entry)
    reason = ""
    try:
        if not rule_id:
            raise FormulaError("a rule has no id")
        if len(rule_id) > _LONGEST_ID:
            raise FormulaError(f"the id is longer than {_LONGEST_ID} characters")
        if rule_id in loaded.rules:
            raise FormulaError(f"the id is used in {loaded.rules[rule_id].file} already")
        if PROBLEM in entry:
            raise FormulaError(entry[PROBLEM])
        with Limit(_LOADING_S_EACH):
            loaded.rules[rule_id] = compile_rule(entry, rule_id, file, names)
    except (FormulaError, ValueError) as error:
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deep"
    except TimeUpError as error:
        reason = str(error) or f"it takes more than {_LOADING_S_EACH:g} s to load"
    if reason:
        shown = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
        loaded.problems.append(RuleProblem(file=file, rule_id=rule_id[:_LONGEST_ID], reason=shown))


def _leave_out_circles(loaded: RuleSet) -> None:
    """Refuse rules that yield to each other: which one is more specific nobody can say."""
    for rule_id, way in cycles(loaded.yields).items():
        reason = f"{YIELDS_TO}: rules yield to each other in a circle: {' -> '.join(way)}"
        file = loaded.rules.pop(rule_id).file
        loaded.problems.append(RuleProblem(file=file, rule_id=rule_id, reason=reason))


def _id_of(entry: Mapping[str, Any]) -> str:
    identifier = entry.get("id")
    return identifier if isinstance(identifier, str) else ""
