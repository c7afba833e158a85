"""Make a device node."""

from __future__ import annotations

import os
import stat
from typing import Any

EVIDENCE = "written"
STOPPED_BY = "filter"
MEANS = "as root it reaches disks past all rights of files"


def attack(at: Any) -> None:
    os.mknod(at.home + "/planted", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
