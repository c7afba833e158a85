"""Which models may be asked.

Settings: `allow` and `deny`, names or patterns such as `gpt-*`.
"""

from __future__ import annotations

import fnmatch
from typing import ClassVar

from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Asked, Judged

__all__ = ["ModelsFilter"]


class ModelsFilter(Filter):
    """Refuses models that are not on the list."""

    kind: ClassVar[str] = "models"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._allow = settings.texts("allow", ("*",))
        self._deny = settings.texts("deny")
        settings.done()

    def judge_request(self, asked: Asked) -> Judged | None:
        if asked.dialect == "mcp":
            return None
        name = asked.model
        allowed = any(fnmatch.fnmatchcase(name, one) for one in self._allow)
        if allowed and not any(fnmatch.fnmatchcase(name, one) for one in self._deny):
            return None
        shown = name[:80] or "(none named)"
        return Judged(Action.BLOCK, "model", f"the model {shown} is not allowed ({self.name})")
