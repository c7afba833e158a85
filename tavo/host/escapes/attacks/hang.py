"""Never answer, and ignore every signal that can be ignored (3 s here)."""

from __future__ import annotations

import signal
from typing import Any

EVIDENCE = "lasted"
STOPPED_BY = "watch"
MEANS = "tavo waits forever"
LIMITS = {"wall_s_per_call": 0.3}


def attack(at: Any) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    at.hold(3)
