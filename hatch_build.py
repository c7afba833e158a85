"""`pip install .`: put the same embedded repository into the wheel as into the single file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent


class EmbeddedRepository(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the embedded repository with build.py and adds it to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add `tavo/embedded`; an editable install does without."""
        if version == "editable":
            return
        sys.path.insert(0, str(ROOT))
        import build

        folder = build.WORK / "wheel-embedded"
        folder.parent.mkdir(exist_ok=True)
        build.embed(folder, build.WORK / "wheel-repository")  # those of the single file stay
        build_data["force_include"][str(folder)] = "tavo/embedded"
