"""Choose another root folder, as root in a namespace of its own."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "rooted"
STOPPED_BY = "filter"
MEANS = "it sets traps for programs that run with root's rights"


def attack(at: Any) -> None:
    at.checked(at.libc.unshare(0x10000000))
    at.checked(at.libc.chroot(os.fsencode(at.drop)))
    at.hold()
