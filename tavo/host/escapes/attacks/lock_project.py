"""Keep a lock on a file of the project, so that the user's programs wait."""

from __future__ import annotations

import fcntl
from typing import Any

EVIDENCE = "locked"
STOPPED_BY = "landlock"
MEANS = "it makes your programs hang on their own files"


def attack(at: Any) -> None:
    with open(at.project) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        at.hold()
