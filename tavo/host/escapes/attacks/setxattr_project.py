"""Set an extended attribute of a file of the project."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "filter"
MEANS = "it changes labels and attributes of your files"


def attack(at: Any) -> None:
    os.setxattr(at.project, "user.tavo", b"was here")
