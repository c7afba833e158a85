"""Use the processor for longer than allowed (1.6 s here)."""

from __future__ import annotations

import time
from typing import Any

EVIDENCE = "spun"
STOPPED_BY = "watch"
MEANS = "it makes the machine slow and hot"
LIMITS = {"cpu_s_per_file": 0.3}


def attack(at: Any) -> None:
    while time.process_time() < 1.6:
        try:
            while time.process_time() < 1.6:
                pass
        except BaseException:
            continue
