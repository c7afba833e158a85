"""Read the memory of another process by a system call."""

from __future__ import annotations

import ctypes
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it reads the memory of your other programs"
NEEDS = ("victim",)


def attack(at: Any) -> object:
    buffer = ctypes.create_string_buffer(at.victim_length)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), at.victim_length)
    remote = (ctypes.c_size_t * 2)(at.victim_address, at.victim_length)
    one = ctypes.c_ulong(1)
    at.checked(at.libc.process_vm_readv(at.victim, local, one, remote, one, ctypes.c_ulong(0)))
    return buffer.raw.decode()
