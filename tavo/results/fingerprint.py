"""The identity of a finding across runs, computed in this one place.

Rules this module keeps:
- it does not depend on line numbers: code that moves keeps its fingerprints;
- it depends on the tool, the rule, the path and the code without its white space;
- equal findings of one file are told apart by their order.

Beside our own there is the hash of the finding's first line that code scanning on GitHub uses to
recognise results; it needs the text of the whole file.
Source of the idea: SARIF 2.1.0, section 3.27.17, partialFingerprints. Source of the line hash: the
behaviour of github/codeql-action, which recomputes it and warns about any other value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import PurePosixPath

from msgspec.structs import replace

from tavo.plugins import Finding
from tavo.results.values import Reported

__all__ = ["Fingerprints", "line_hashes", "with_line_hashes"]

_WINDOW = 100
_FACTOR = 37
_END = "\uffff"
_BLANKS = str.maketrans("", "", " \t")
_LINE_END = re.compile("\r\n?")


class Fingerprints:
    """Gives each finding of a run its fingerprint; findings of a file come in their order."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many different findings there were."""
        return len(self._seen)

    def of(self, tool: str, finding: Finding) -> str:
        """Return 32 hexadecimal digits.

        A finding about a file as a whole has no code: its evidence takes that place.
        """
        code = "".join(finding.location.snippet.split())
        evidence = {} if code else dict(sorted(finding.evidence.items()))
        parts = [tool, finding.rule_id, str(finding.location.path), code, evidence]
        content = json.dumps(parts)
        number = self._seen[content]
        self._seen[content] += 1
        return hashlib.sha256(f"{content}{number}".encode("ascii")).hexdigest()[:32]


def line_hashes(data: bytes, lines: Collection[int]) -> dict[int, str]:
    """Return GitHub's `primaryLocationLineHash` of some lines of a file, such as `a23f:1`.

    `data` is the file as it lies on disk. The hash covers 100 characters from the line's start, in
    UTF-16 units, without blanks and tabs, all line ends being one; the count after the colon tells
    lines with equal hashes apart. Lines that the file does not have are left out.
    """
    text = _LINE_END.sub("\n", data.decode("utf-8", "replace")).translate(_BLANKS) + _END
    if any(character > "\uffff" for character in text):
        units = text.encode("utf-16-le")
        text = "".join(
            chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2)
        )
    wanted = set(lines)
    last = max(wanted, default=0)
    seen: Counter[str] = Counter()
    found: dict[int, str] = {}
    start = 0
    for line in range(1, last + 1):
        window = text[start : start + _WINDOW]
        seen[window] += 1
        if line in wanted:
            found[line] = f"{_polynomial(window):x}:{seen[window]}"
        start = text.find("\n", start) + 1
        if not start:
            break
    return found


def _polynomial(window: str) -> int:
    value = 0
    for character in window.ljust(_WINDOW, "\0"):
        value = value * _FACTOR + ord(character)
    return value & 0xFFFFFFFFFFFFFFFF


def with_line_hashes(
    reported: Iterable[Reported], read: Callable[[PurePosixPath], bytes | None]
) -> Iterator[Reported]:
    """Yield findings, which come file by file, with the hash of their first line.

    `read` returns a file's bytes, or None where they cannot be had: then there is no hash.
    """
    for path, group in groupby(reported, key=lambda one: one.finding.location.path):
        items = list(group)
        lines = {r.start_line for one in items if (r := one.finding.location.region) is not None}
        hashes: Mapping[int, str] = {}
        if lines and (data := read(path)) is not None:
            hashes = line_hashes(data, lines)
        for one in items:
            region = one.finding.location.region
            line_hash = hashes.get(region.start_line, "") if region is not None else ""
            yield replace(one, line_hash=line_hash) if line_hash else one
