"""Read a key in the kernel's key ring of the user."""

from __future__ import annotations

import ctypes
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it reads the tickets and passwords that the kernel keeps for you"
NEEDS = ("kernel_key",)


def attack(at: Any) -> object:
    key = at.call("keyctl", 10, -4, b"user", at.key_name.encode(), 0)
    buffer = ctypes.create_string_buffer(200)
    length = at.call("keyctl", 11, key, buffer, 200)
    return buffer.raw[:length]
