"""Rewrite its own code for the next run."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "tampered"
STOPPED_BY = "landlock"
MEANS = "code that nobody signed runs the next time"


def attack(at: Any) -> None:
    os.chmod(__file__, 0o644)
    with open(__file__, "a") as stream:
        stream.write("# for the next run")
