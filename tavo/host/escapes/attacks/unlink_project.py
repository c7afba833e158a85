"""Delete a file of the scanned project."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "landlock"
MEANS = "it deletes your files"


def attack(at: Any) -> None:
    os.unlink(at.project)
