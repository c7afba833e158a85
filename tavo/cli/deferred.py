"""Modules that typer imports for functions which no command here calls.

Rules this module keeps:
- each is loaded when somebody uses it, and is then the real one;
- what is imported later, by us, never sees a stand-in.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["OF_TYPER", "deferred"]

OF_TYPER = ("bz2", "lzma", "platform", "shellingham", "subprocess")
"""Together they are a tenth of what `tavo registry list` costs."""


class _StandIn(ModuleType):
    """Becomes the module of its name at the first use."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        if name == "platform" and hasattr(os, "uname"):  # the module uuid asks for nothing else
            self.system = lambda: os.uname().sysname

    def __getattr__(self, attribute: str) -> Any:
        _remove(self)
        return getattr(importlib.import_module(self.__name__), attribute)


@contextmanager
def deferred(names: tuple[str, ...]) -> Iterator[None]:
    """Hand out stand-ins for modules that were not imported yet, while the body imports others."""
    stand_ins = [_StandIn(name) for name in names if name not in sys.modules]
    sys.modules.update({one.__name__: one for one in stand_ins})
    try:
        yield
    finally:
        for one in stand_ins:
            _remove(one)


def _remove(one: _StandIn) -> None:
    if sys.modules.get(one.__name__) is one:
        del sys.modules[one.__name__]
