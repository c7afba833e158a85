"""Read shared memory of the user's other programs."""

from __future__ import annotations

import ctypes
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it reads what your programs share"
NEEDS = ("shared_memory",)


def attack(at: Any) -> object:
    at.libc.shmat.restype = ctypes.c_void_p
    place = at.libc.shmat(at.checked(at.libc.shmget(at.shared_key, 0, 0)), None, 0x1000)
    return ctypes.string_at(place, 100)
