"""Rename a file of the scanned project."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "landlock"
MEANS = "it moves your files away"


def attack(at: Any) -> None:
    os.rename(at.project, at.project + ".gone")
