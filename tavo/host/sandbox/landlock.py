"""Landlock: which files a worker may open, and that it reaches no network and no other process.

Rules this module keeps:
- everything that the running kernel's Landlock can restrict is restricted;
- only the listed paths are opened again, for reading or, for one scratch folder, for writing;
- nothing may be executed but the listed files, and no link, device, socket or pipe may be made.

Standard library only: this runs in the worker. Source: landlock(7), include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable

__all__ = ["detect", "handled_rights", "restrict"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _PORT = 1, 2
_CONNECT = 1 << 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = 1 << 6, 1 << 7, 1 << 8, 1 << 9
_MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = 1 << 10, 1 << 11, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

_READ = _READ_FILE | _READ_DIR
_SCRATCH = (
    _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
)
_DEVICE = _READ_FILE | _WRITE_FILE
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def detect() -> int:
    """Return the version of Landlock's interface. Raises OSError where there is none."""
    return _syscall("landlock_create_ruleset", _CREATE, None, 0, _VERSION_FLAG)


def handled_rights(abi: int) -> tuple[int, int, int]:
    """Return the file, network and scope rights that this version can restrict."""
    files = (1 << 13) - 1
    if abi >= 2:
        files |= _REFER
    if abi >= 3:
        files |= _TRUNCATE
    if abi >= 5:
        files |= _IOCTL_DEV
    network = 0b11 if abi >= 4 else 0  # bind and connect TCP
    scope = 0b11 if abi >= 6 else 0  # abstract sockets and signals
    return files, network, scope


def restrict(
    *,
    read: Iterable[str],
    write: Iterable[str],
    devices: Iterable[str],
    abi: int,
    port: int = 0,
    execute: Iterable[str] = (),
) -> None:
    """Restrict this process for good. Needs no_new_privs.

    A path of `read`, `devices` or `execute` that does not exist is left out; all of `write` must
    exist. `abi` is the version to use, at most the detected one. `port` is the only one to connect
    to, 0 for none. Raises OSError, ValueError for a folder whose files all might be executed.
    """
    files, network, scope = handled_rights(abi)
    attributes = struct.pack("=QQQ", files, network, scope)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    buffer = ctypes.create_string_buffer(attributes[:size], size)
    ruleset = _syscall("landlock_create_ruleset", _CREATE, buffer, size, 0)
    try:
        for path in read:
            _allow(ruleset, path, _READ & files, must_exist=False)
        for path in execute:
            if os.path.isdir(path):  # noqa: PTH112
                raise ValueError(f"{path} is a folder")
            _allow(ruleset, path, (_EXECUTE | _READ_FILE) & files, must_exist=False)
        for path in devices:
            _allow(ruleset, path, _DEVICE & files, must_exist=False)
        for path in write:
            _allow(ruleset, path, _SCRATCH & files, must_exist=True)
        if port and network:
            rule = ctypes.create_string_buffer(struct.pack("=QQ", _CONNECT, port), 16)
            _syscall("landlock_add_rule", _ADD, ruleset, _PORT, rule, 0)
        _syscall("landlock_restrict_self", _RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int, *, must_exist: bool) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        if must_exist:
            raise
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= _ON_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, handle), 12)
        _syscall("landlock_add_rule", _ADD, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(handle)


def _syscall(name: str, number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {errno.errorcode.get(code, code)}")
    return result
