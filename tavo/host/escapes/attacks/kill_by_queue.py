"""Kill another process by a queued signal."""

from __future__ import annotations

import signal
import struct
from typing import Any

EVIDENCE = "killed"
STOPPED_BY = "filter"
MEANS = "it ends your programs"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    information = struct.pack("=iii116x", signal.SIGKILL, 0, -1)
    at.call("rt_sigqueueinfo", at.victim, int(signal.SIGKILL), information)
