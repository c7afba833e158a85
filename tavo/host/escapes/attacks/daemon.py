"""Leave a process behind that left its session."""

from __future__ import annotations

import os
import time
from typing import Any

EVIDENCE = "left_over"
STOPPED_BY = "filter"
MEANS = "it goes on when the scan is over"


def attack(at: Any) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(3)
        os._exit(0)
    os.wait()
