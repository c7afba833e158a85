"""Stands where bandit looks for PyYAML, which it needs for its own configuration files only.

This plugin is configured by tavo, so no such file is ever read, and PyYAML, most of which is
compiled code, stays out.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["YAMLError", "safe_dump", "safe_load"]


class YAMLError(Exception):
    """What PyYAML raises."""


def safe_load(_stream: object) -> NoReturn:
    """Refuse to read."""
    raise YAMLError("there is no PyYAML here")


def safe_dump(*_values: object, **_options: Any) -> NoReturn:
    """Refuse to write."""
    raise YAMLError("there is no PyYAML here")
