"""Descriptions of tools are pinned: a tool that changes what it says is held until it is accepted.

Settings: `pins` (a mapping from a tool's name to the sha256 of its definition), `first_use`
(`trust` or `hold`: what happens to a tool without a pin; `trust` remembers it as long as the proxy
runs, in all workers and over reloads), `file` (where it is remembered over restarts).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import ClassVar

from tavo.llm.parts import Tool
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.pinned import Pinned
from tavo.proxy.chain.values import Action, Arguments, Judged, Scope, digest_of

__all__ = ["PinsFilter", "pin_of"]


class PinsFilter(Filter):
    """Takes a tool out of a server's list, and blocks calls of it, when its definition changed."""

    kind: ClassVar[str] = "mcp-pins"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._trusts = settings.one_of("first_use", ("trust", "hold"), "trust") == "trust"
        self._pins: dict[str, str] = {}
        for name, digest in settings.mapping("pins").items():
            if not isinstance(digest, str) or len(digest) != 64:
                raise settings.error(f"pins.{name}", "a sha256 in hexadecimal", digest)
            self._pins[name] = digest.lower()
        file = settings.text("file", "")
        settings.done()
        self._table = Pinned(Path(file)) if file else settings.pinned or Pinned()

    def judge_tool(self, tool: Tool, phase: str, scope: Scope) -> Judged | None:
        if scope.dialect != "mcp":
            return None
        found = pin_of(tool)
        pinned = self._pins.get(tool.name)
        why = "its definition has changed"
        if pinned is None:
            why = "it has no pin"
            if self._trusts:
                pinned = self._table.first(tool.name, found)
                why = "there are too many tools to remember"
                if pinned is not None:
                    why = "its definition has changed"
        if pinned == found:
            if self._table.held(tool.name):
                self._table.hold(tool.name, "")
            return None
        self._table.hold(tool.name, found)
        label = f"held:{digest_of(tool.name)}={found}"
        return Judged(Action.BLOCK, label, f"the tool {tool.name[:60]} is held: {why}")

    def judge_call(self, name: str, arguments: Arguments, scope: Scope) -> Judged | None:
        if scope.dialect != "mcp":
            return None
        held = self._table.held(name)
        if not held or held == self._pins.get(name):
            return None
        return Judged(Action.BLOCK, f"held:{digest_of(name)}", f"the tool {name[:60]} is held: "
                      f"accept its definition with the pin {held}")  # fmt: skip


def pin_of(tool: Tool) -> str:
    """Return the pin of a tool: the sha256 of its whole definition in canonical JSON."""
    text = json.dumps(tool.definition, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
