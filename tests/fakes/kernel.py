"""A kernel that refuses chosen system calls, or pretends to do them: real faults for real code.

`refuse` puts a filter of its own on this process and all processes that it starts. Run it in a
process of its own.
"""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tavo.host.sandbox import seccomp
from tavo.host.sandbox.syscalls import numbers_for

ROOT = Path(__file__).parents[2]
PRETEND = 0


def refuse(name: str, answer: int, *, argument: tuple[int, int] | None = None) -> None:
    """Answer the call with an error number, or with success and no effect for `PRETEND`.

    With `argument` = (position, value) only calls with that argument are answered so; position -1
    stands for "the third argument is not null".
    """
    more = {"listen": 50, "prctl": 157, "capset": 126, "prlimit64": 302, "io_uring_setup": 425}
    number = more.get(name)
    number = number if number is not None else numbers_for("x86_64")[name]
    program = [(0x20, 0, 0, 0)]
    if argument is None:
        program += [(0x15, 0, 1, number)]
    elif argument[0] < 0:
        program += [(0x15, 0, 3, number), (0x20, 0, 0, 16 + 16), (0x15, 1, 0, 0)]
    else:
        program += [(0x15, 0, 3, number), (0x20, 0, 0, 16 + 8 * argument[0])]
        program += [(0x15, 0, 1, argument[1])]
    program += [(0x06, 0, 0, 0x00050000 | answer), (0x06, 0, 0, 0x7FFF0000)]
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
    seccomp.install(b"".join(struct.pack("=HBBI", *line) for line in program))


def python(
    code: str, *arguments: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, from the root of the project."""
    return subprocess.run(
        [sys.executable, *options, "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
