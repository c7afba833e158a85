"""Cut a file of the project by its name, without opening it."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "filter"
MEANS = "it empties your files"


def attack(at: Any) -> None:
    os.truncate(at.project, 0)
