"""Print without end (32 MB here)."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "kept"
STOPPED_BY = "host"
MEANS = "it fills the memory of tavo or your logs"


def attack(at: Any) -> None:
    for _ in range(512):
        os.write(2, b"x" * 65536)
