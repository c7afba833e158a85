"""Kill another group of processes."""

from __future__ import annotations

import os
import signal
from typing import Any

EVIDENCE = "killed"
STOPPED_BY = "filter"
MEANS = "it ends your programs"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    os.killpg(at.victim, signal.SIGKILL)
