"""Ask for the time and size of a private key without reading it."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "view"
MEANS = "it learns which files exist, how large and how old they are"
NEEDS = ("times",)


def attack(at: Any) -> object:
    return f"{os.stat(at.key).st_mtime_ns}"
