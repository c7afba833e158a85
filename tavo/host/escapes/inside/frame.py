"""The plugin around an attack: it runs it on its only file and reports what it returned."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import PurePosixPath

from tavo.plugins import Context, Finding, Location, Rule, Severity, StaticAnalysisPlugin

__all__ = ["Plugin"]


class Plugin(StaticAnalysisPlugin):
    """Carries one attack, which lies beside it as `attack.py`."""

    rules = (Rule(id="loot", title="What the attack got", severity=Severity.INFO),)

    def start(self, context: Context) -> None:
        """Learn where the targets are."""
        self._at = import_module("reach").At(context.config, str(context.work_directory))

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Attack."""
        loot = str(import_module("attack").attack(self._at))[:4000]
        yield Finding(
            rule_id="loot",
            message=loot or "nothing",
            severity=Severity.INFO,
            location=Location(path=file_path),
        )
