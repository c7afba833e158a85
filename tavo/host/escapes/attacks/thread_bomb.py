"""Start many threads (64 here, 16 allowed)."""

from __future__ import annotations

import threading
import time
from typing import Any

EVIDENCE = "threads"
STOPPED_BY = "watch"
MEANS = "it makes the machine slow"


def attack(at: Any) -> None:
    threading.stack_size(65536)
    for _ in range(64):
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
    at.hold(4.0)
