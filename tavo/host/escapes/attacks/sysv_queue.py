"""Read a message queue of the user's other programs."""

from __future__ import annotations

import ctypes
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it reads what your programs tell each other"
NEEDS = ("message_queue",)


def attack(at: Any) -> object:
    buffer = ctypes.create_string_buffer(208)
    queue = at.checked(at.libc.msgget(at.queue_key, 0))
    options = (ctypes.c_size_t(200), ctypes.c_long(0), 0o4000)
    at.checked(at.libc.msgrcv(queue, buffer, *options))
    return buffer.raw
