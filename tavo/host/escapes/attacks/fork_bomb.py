"""Start many processes (40 here)."""

from __future__ import annotations

import os
import time
from typing import Any

EVIDENCE = "processes"
STOPPED_BY = "filter"
MEANS = "it makes the machine unusable"


def attack(at: Any) -> None:
    for _ in range(40):
        if os.fork() == 0:
            time.sleep(1.5)
            os._exit(0)
    at.hold()
