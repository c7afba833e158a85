"""Leave a process behind in its own group."""

from __future__ import annotations

import os
import time
from typing import Any

EVIDENCE = "left_over"
STOPPED_BY = "filter"
MEANS = "it goes on when the scan is over"


def attack(at: Any) -> None:
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
