"""Read the processor time of another process."""

from __future__ import annotations

import time
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it learns what your other programs are doing, and when"
NEEDS = ("victim", "victim_clock")


def attack(at: Any) -> object:
    return time.clock_gettime_ns((~at.victim << 3) | 2)
