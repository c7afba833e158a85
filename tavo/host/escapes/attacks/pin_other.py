"""Choose the processor of another process."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "pinned"
STOPPED_BY = "filter"
MEANS = "it makes your programs slow"
NEEDS = ("victim", "processors")


def attack(at: Any) -> None:
    os.sched_setaffinity(at.victim, {min(os.sched_getaffinity(at.victim))})
