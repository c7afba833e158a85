"""Change the times of a file of the project."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "filter"
MEANS = "it hides changes from build tools and backups"


def attack(at: Any) -> None:
    os.utime(at.project, (1, 1))
