"""Change the limits of another process."""

from __future__ import annotations

import resource
from typing import Any

EVIDENCE = "limited"
STOPPED_BY = "filter"
MEANS = "it makes your programs fail"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    resource.prlimit(at.victim, resource.RLIMIT_NOFILE, (7, 7))
