"""What a static plugin said about a file, kept until the file, the plugin or its setting changes.

Rules this module keeps:
- an answer belongs to one content at one path, one package, one configuration and one interpreter;
- failures are never kept, and an answer whose rule is not known is asked for again;
- how answers are kept, and who may have written them, is `tavo.kept`'s.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tavo.host.sandbox.levels import SandboxLevel
from tavo.kept import Kept, content_key, path_of_text
from tavo.plugins.types import Finding, Rule

__all__ = ["AnswerCache", "cache_key"]

_FORMAT = 2


class _About(msgspec.Struct):
    """What is known of all answers: the weakest level that one was given at, and their rules."""

    level: SandboxLevel
    rules: list[Rule]


def cache_key(package: str, config: Mapping[str, Any]) -> str:
    """Return the name of a plugin's cache: what else than a file decides about an answer."""
    setting = json.dumps(config, sort_keys=True)
    text = f"{_FORMAT} {package} {sys.implementation.cache_tag} {setting}"
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """The kept answers of one plugin in one configuration, below one root folder.

    Reading never fails: what cannot be read is not there.
    """

    def __init__(self, folder: Path, key: str, *, root: Path, lowest: SandboxLevel) -> None:
        """Open what is there; answers that were given at a level below `lowest` do not count."""
        self.rules: dict[str, Rule] = {}
        self.level = SandboxLevel.NONE
        self.hits = 0
        self._lowest = lowest
        self._kept = Kept(folder / f"{key}.db", root=root, usable=self._read_about)

    @property
    def is_there(self) -> bool:
        """Tell whether there are answers from an earlier run."""
        return self._kept.is_there

    def find(self, path: Path, relative: PurePosixPath) -> tuple[Finding, ...] | None:
        """Return the answer about a file that has not changed since, or None."""
        return self._decoded(self._kept.find(path, relative))

    def find_content(self, key: bytes) -> tuple[Finding, ...] | None:
        """Return the answer about a content, whatever file holds it now, or None."""
        return self._decoded(self._kept.find_content(key))

    @staticmethod
    def key_of(relative: PurePosixPath, kind: str, data: bytes | memoryview) -> bytes:
        """Return the key of a content at a path of the scan."""
        return content_key(relative, kind, data)

    def keep(
        self,
        path: Path,
        relative: PurePosixPath,
        key: bytes,
        findings: Sequence[Finding] | None,
    ) -> None:
        """Note the answer about a file; None for one that is in the cache already."""
        try:
            text = None
            if findings is not None:
                text = msgspec.json.encode(findings, enc_hook=str).decode() if findings else ""
        except UnicodeEncodeError:
            return
        self._kept.keep(path, relative, key, text)

    def save(self, *, level: SandboxLevel, rules: Mapping[str, Rule]) -> None:
        """Write what is new. What cannot be written is lost, and looked at again next time."""
        lowest = min(level, self.level) if self.rules else level
        about = _About(level=lowest, rules=list(rules.values()))
        self._kept.save(msgspec.json.encode(about).decode())

    def close(self) -> None:
        """Close the file."""
        self._kept.close()

    def _read_about(self, text: str) -> bool:
        about = msgspec.json.decode(text, type=_About)
        if about.level < self._lowest:
            return False
        self.level = about.level
        self.rules = {rule.id: rule for rule in about.rules}
        return True

    def _decoded(self, text: str | None) -> tuple[Finding, ...] | None:
        if text is None:
            return None
        if not text:
            self.hits += 1
            return ()
        try:
            findings = msgspec.json.decode(text, type=tuple[Finding, ...], dec_hook=path_of_text)
        except (msgspec.MsgspecError, ValueError):
            return None
        if any(finding.rule_id not in self.rules for finding in findings):
            return None
        self.hits += 1
        return findings
