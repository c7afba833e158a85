"""Mount a file system."""

from __future__ import annotations

import ctypes
import os
from typing import Any

EVIDENCE = "mounted"
STOPPED_BY = "filter"
MEANS = "it hides files under others of its own"


def attack(at: Any) -> None:
    at.checked(at.libc.unshare(0x10020000))
    options = (b"tmpfs", ctypes.c_ulong(0), None)
    at.checked(at.libc.mount(at.name.encode(), os.fsencode(at.drop), *options))
    at.hold()
