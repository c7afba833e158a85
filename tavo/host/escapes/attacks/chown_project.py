"""Give a file of the project to another user."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "filter"
MEANS = "it gives your files away"


def attack(at: Any) -> None:
    os.chown(at.project, 12345, 12345)
