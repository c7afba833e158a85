"""List the home folder."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it learns the names of your files"


def attack(at: Any) -> object:
    return os.listdir(at.home)
