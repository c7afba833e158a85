"""Switch dumps of its memory on again."""

from __future__ import annotations

import resource
from typing import Any

EVIDENCE = "dumpable"
STOPPED_BY = "limits"
MEANS = "what it was given ends in a file on your disk"


def attack(at: Any) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    at.hold()
