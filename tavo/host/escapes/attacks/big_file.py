"""Fill the disk with one file (64 MB here, 8 MB allowed)."""

from __future__ import annotations

from typing import Any

EVIDENCE = "disk"
STOPPED_BY = "limits"
MEANS = "it fills your disk"


def attack(at: Any) -> None:
    with open(at.scratch + "/big", "wb") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
    at.hold(4.0)
