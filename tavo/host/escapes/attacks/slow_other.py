"""Change the priority of another process."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "slowed"
STOPPED_BY = "filter"
MEANS = "it makes your programs slow"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    os.setpriority(os.PRIO_PROCESS, at.victim, 19)
