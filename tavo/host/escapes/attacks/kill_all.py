"""Send a signal to every process that it may signal."""

from __future__ import annotations

import os
import signal
from typing import Any

EVIDENCE = "signalled"
STOPPED_BY = "filter"
MEANS = "it ends all your programs at once (tried with a signal that does nothing)"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    os.kill(-1, signal.SIGURG)
