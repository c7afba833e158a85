"""Change the mode of a file of the project, which needs no right to open it."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "filter"
MEANS = "it opens your files to other users, or makes them executable"


def attack(at: Any) -> None:
    os.chmod(at.project, 0o777)
