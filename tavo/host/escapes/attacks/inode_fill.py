"""Fill the disk with empty files (10,500 here, 10,000 allowed)."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "entries"
STOPPED_BY = "watch"
MEANS = "no new file can be made on your disk"


def attack(at: Any) -> None:
    for number in range(10_500):
        os.close(os.open(f"{at.scratch}/{number}", os.O_CREAT | os.O_WRONLY))
    at.hold(4.0)
