"""Fill the disk with many files (64 MB here, 8 MB allowed)."""

from __future__ import annotations

from typing import Any

EVIDENCE = "disk"
STOPPED_BY = "watch"
MEANS = "it fills your disk"


def attack(at: Any) -> None:
    for number in range(256):
        with open(f"{at.scratch}/{number}", "wb") as stream:
            stream.write(bytes(1 << 18))
    at.hold(4.0)
