"""Kill another process through a descriptor of it."""

from __future__ import annotations

import signal
from typing import Any

EVIDENCE = "killed"
STOPPED_BY = "filter"
MEANS = "it ends your programs"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    handle = at.call("pidfd_open", at.victim, 0)
    at.call("pidfd_send_signal", handle, int(signal.SIGKILL), None, 0)
