"""Fill the memory (320 MB here, 32 MB allowed)."""

from __future__ import annotations

from typing import Any

EVIDENCE = "memory"
STOPPED_BY = "limits"
MEANS = "it makes the machine unusable"
NEEDS = ("free_memory",)
LIMITS = {"memory_mb": 32, "threads": 2}


def attack(at: Any) -> object:
    held = [bytearray(b"x" * (16 << 20)) for _ in range(20)]
    at.hold()
    return len(held)
