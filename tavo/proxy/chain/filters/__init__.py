"""The built-in filters: one file each, named once here."""

from __future__ import annotations

from importlib import import_module

from tavo.proxy.chain.filter import Filter

__all__ = ["KINDS", "filter_of"]

KINDS = {
    "pii": "pii:PiiFilter",
    "secrets": "secrets:SecretsFilter",
    "hidden-text": "hidden:HiddenFilter",
    "content": "content:ContentFilter",
    "injection": "injection:InjectionFilter",
    "tools": "tools:ToolsFilter",
    "mcp-pins": "pins:PinsFilter",
    "media": "media:MediaFilter",
    "canary": "canary:CanaryFilter",
}
"""What a configuration calls them, and where they are."""


def filter_of(kind: str) -> type[Filter] | None:
    """Return the filter of a kind, None if there is none of that name."""
    where = KINDS.get(kind)
    if where is None:
        return None
    module, _, name = where.partition(":")
    found: type[Filter] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
