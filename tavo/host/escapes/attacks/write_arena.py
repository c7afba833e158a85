"""Change the bytes that the host handed out to be analysed."""

from __future__ import annotations

import os
import stat
from typing import Any

EVIDENCE = "arena"
STOPPED_BY = "filter"
MEANS = "it changes what is analysed after it"
NEEDS = ("arena",)


def attack(at: Any) -> None:
    for number in range(3, 64):
        try:
            if stat.S_ISREG(os.fstat(number).st_mode):
                os.fchmod(number, 0o600)
                os.write(os.open(f"/proc/self/fd/{number}", os.O_RDWR), b"changed")
        except OSError:
            continue
