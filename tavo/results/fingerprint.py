"""The identity of a finding across runs, computed in this one place.

Rules this module keeps:
- it does not depend on line numbers: code that moves keeps its fingerprints;
- it depends on the tool, the rule, the path and the code without its white space;
- equal findings of one file are told apart by their order.

Source of the idea: SARIF 2.1.0, section 3.27.17, partialFingerprints.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from tavo.plugins import Finding

__all__ = ["Fingerprints"]


class Fingerprints:
    """Gives each finding of a run its fingerprint; findings of a file come in their order."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, tool: str, finding: Finding) -> str:
        """Return 32 hexadecimal digits."""
        code = "".join(finding.location.snippet.split())
        evidence = finding.evidence.get("import", "") if not code else ""
        parts = (tool, finding.rule_id, str(finding.location.path), code, evidence)
        content = "\0".join(parts)
        number = self._seen[content]
        self._seen[content] += 1
        digest = hashlib.sha256(f"{content}\0{number}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:32]
