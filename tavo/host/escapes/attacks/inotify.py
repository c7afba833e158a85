"""Watch what happens in the home folder."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it sees which files you open and make"
NEEDS = ("activity",)


def attack(at: Any) -> object:
    handle = at.checked(at.libc.inotify_init1(0o4000))
    at.checked(at.libc.inotify_add_watch(handle, os.fsencode(at.home), 0x100))
    at.hold()
    return os.read(handle, 4096).decode("latin-1")
