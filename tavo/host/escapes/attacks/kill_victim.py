"""Kill another process."""

from __future__ import annotations

import os
import signal
from typing import Any

EVIDENCE = "killed"
STOPPED_BY = "filter"
MEANS = "it ends your programs"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    os.kill(at.victim, signal.SIGKILL)
