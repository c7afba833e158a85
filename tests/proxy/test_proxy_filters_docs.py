"""The page about filters names every filter and every setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tavo.detect.pii import PII
from tavo.proxy.chain.filter import Settings
from tavo.proxy.chain.filters import KINDS, filter_of
from tavo.proxy.chain.plugins import PluginFilter
from tavo.proxy.judging import OBSERVED

PAGE = (Path(__file__).parents[2] / "docs" / "proxy-filters.md").read_text("utf-8")
LEAST: dict[str, dict[str, Any]] = {
    "content": {"rules": [{"id": "x", "words": ["x"]}]},
    "canary": {"insert": True},
}


def section(kind: str) -> str:
    return PAGE.split(f"\n## {kind}\n", 1)[1].split("\n## ", 1)[0]


def test_each_filter_and_each_of_its_settings_is_documented() -> None:
    for kind in KINDS:
        found = filter_of(kind)
        assert found is not None
        settings = Settings({"filter": kind, **LEAST.get(kind, {})}, kind)
        found(settings)
        for name in settings._asked - {"filter", "name", "on_error"}:
            assert f"`{name}`" in section(kind), f"{kind}: {name}"
    settings = Settings({"filter": "plugin"}, "plugin")
    PluginFilter(settings, None)  # type: ignore[arg-type]
    for name in settings._asked - {"filter", "name", "on_error"}:
        assert f"`{name}" in section("plugin"), name
    assert filter_of("nothing") is None


def test_labels_and_what_is_watched_by_default_are_named() -> None:
    for rule in PII:
        assert f"`{rule.label}`" in section("pii")
    for kind in OBSERVED:
        assert f"`{kind}`" in PAGE.split("## What is looked at")[0]
