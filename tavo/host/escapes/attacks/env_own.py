"""Read secrets in its own environment."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "host"
MEANS = "it reads the tokens in your environment"
NEEDS = ("variable",)


def attack(at: Any) -> object:
    return os.environ.get(at.variable)
