"""The rules of `tavo logs` in `tavo rules` and `tavo explain`: Sigma files beside scan rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tavo.printable import counted, printable

if TYPE_CHECKING:
    from tavo.logs.sigma.rules import LogRule
    from tavo.logs.sigma.samples import Tried

__all__ = ["apart", "known", "tried", "tried_lines", "tried_value", "validated"]

_SIGMA = re.compile(rb"^(?:detection|correlation|logsource):", re.M)
_HEAD = 1 << 20


def apart(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the paths of scan rules and of Sigma rules; a folder with both is taken apart."""
    scan: list[Path] = []
    sigma: list[Path] = []
    for path in paths:
        files = [path] if not path.is_dir() else sorted(
            p for pattern in ("*.yml", "*.yaml") for p in path.rglob(pattern)
        )  # fmt: skip
        found = [file for file in files if _is_sigma(file)]
        if not found:
            scan.append(path)
        elif len(found) == len(files):
            sigma.append(path)
        else:
            sigma += found
            scan += [file for file in files if file not in set(found)]
    return scan, sigma


def _is_sigma(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return _SIGMA.search(opened.read(_HEAD)) is not None
    except OSError:
        return False


def known(paths: Sequence[Path] = ()) -> dict[str, LogRule]:
    """Return the rules of our own pack for logs, and of these paths."""
    from tavo.logs.sigma.rules import PACK, load_rules

    return load_rules([PACK, *paths]).rules


def validated(paths: Sequence[Path]) -> tuple[int, list[str]]:
    """Return how many rules can be used, and what is wrong with the others."""
    from tavo.logs.sigma.rules import load_rules

    loaded = load_rules(paths)
    return len(loaded.rules), [str(one) for one in loaded.problems]


def tried(paths: Sequence[Path]) -> tuple[list[Tried], list[str]]:
    """Try rules on their samples; return how that went, and what cannot be used."""
    from tavo.logs.sigma.rules import load_rules
    from tavo.logs.sigma.samples import try_samples

    loaded = load_rules(paths)
    every = list(loaded.rules.values())
    return [try_samples(rule, every) for rule in every], [str(one) for one in loaded.problems]


def tried_lines(tests: Sequence[Tried]) -> list[str]:
    """Return lines that say how the samples went."""
    lines = []
    for one in tests:
        if not one.samples:
            lines.append(f"no samples  {one.rule_id}")
        elif one.differences:
            lines.append(f"differs     {one.rule_id}")
            lines += [f"            {printable(said)}" for said in one.differences]
        else:
            lines.append(f"ok          {one.rule_id}: {counted(one.samples, 'sample')}")
    return lines


def tried_value(one: Tried) -> dict[str, Any]:
    """Return how the samples of a rule went, as JSON-able values."""
    return {
        "id": one.rule_id, "samples": one.samples, "passed": not one.differences,
        "differences": list(one.differences),
    }  # fmt: skip
