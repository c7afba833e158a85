"""List the processes of this machine."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it learns which programs run"
NEEDS = ("victim",)


def attack(at: Any) -> object:
    names = []
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/comm") as stream:
                names.append(stream.read().strip())
        except OSError:
            continue
    return [name for name in names if name.startswith("tv-")]
