"""Descriptions of tools are pinned: a tool that changes what it says is held until it is accepted.

Settings: `pins` (a mapping from a tool's name to the sha256 of its definition), `first_use`
(`trust` or `hold`: what happens to a tool without a pin; `trust` remembers it while it runs).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import ClassVar

from tavo.llm.parts import Tool
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Arguments, Judged, Scope

__all__ = ["PinsFilter", "digest_of"]

_MOST = 10_000


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
        settings.done()
        self._seen: OrderedDict[str, str] = OrderedDict()
        self._held: OrderedDict[str, str] = OrderedDict()

    def judge_tool(self, tool: Tool, phase: str, scope: Scope) -> Judged | None:
        if scope.dialect != "mcp":
            return None
        found = digest_of(tool)
        pinned = self._pins.get(tool.name) or self._seen.get(tool.name)
        if pinned is None and self._trusts:
            self._seen[tool.name] = found
            if len(self._seen) > _MOST:
                return self._hold(tool.name, found, "there are too many tools to remember")
            return None
        if pinned == found:
            self._held.pop(tool.name, None)
            return None
        why = "it has no pin" if pinned is None else "its definition has changed"
        return self._hold(tool.name, found, why)

    def judge_call(self, name: str, arguments: Arguments, scope: Scope) -> Judged | None:
        if scope.dialect != "mcp" or name not in self._held:
            return None
        return Judged(Action.BLOCK, f"held:{name[:60]}", f"the tool {name[:60]} is held: "
                      f"accept its definition with the pin {self._held[name]}")  # fmt: skip

    def _hold(self, name: str, digest: str, why: str) -> Judged:
        self._held[name] = digest
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        return Judged(
            Action.BLOCK, f"held:{name[:60]}={digest}", f"the tool {name[:60]} is held: {why}"
        )


def digest_of(tool: Tool) -> str:
    """Return the pin of a tool: the sha256 of its whole definition in canonical JSON."""
    text = json.dumps(tool.definition, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
