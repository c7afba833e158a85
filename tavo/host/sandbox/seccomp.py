"""The system call filter: what a worker may ask of the kernel; everything else is refused.

Rules this module keeps:
- an allow list; a call with arguments that matter is allowed only with the listed arguments;
- no sockets to anywhere, no new process, no other program, no signal to another process and no
  question about one, no call that changes the rights or times of a file. Only who is to become
  another program may do that, and Landlock says which ones there are to become;
- a foreign architecture (i386 calls, x32) kills the process;
- calls newer than the table answer ENOSYS, so that libraries fall back; others answer EPERM.

`assemble` is a pure function from facts to a BPF program; `install` applies it. Standard library
only: this runs in the worker. Source: seccomp(2), include/uapi/linux/{seccomp,filter}.h.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from tavo.host.sandbox.syscalls import ARCHITECTURES, HIGHEST_KNOWN, numbers_for

__all__ = ["assemble", "install", "names"]

_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _AND, _RETURN = 0x20, 0x15, 0x25, 0x54, 0x06
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_OFFSET_NR, _OFFSET_ARCH, _OFFSET_ARGS = 0, 4, 16
_X32_BIT = 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

_PLAIN_NAMES = """
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close
    close_range dup dup2 dup3 fstat stat lstat newfstatat statx statfs fstatfs access faccessat
    faccessat2 open openat creat getdents getdents64 readlink readlinkat ftruncate fallocate fsync
    fdatasync fadvise64 flock mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 getcwd
    chdir fchdir umask copy_file_range sendfile pipe pipe2 eventfd2 epoll_create1 epoll_ctl
    epoll_wait epoll_pwait poll ppoll select pselect6 mmap mprotect munmap mremap brk madvise msync
    mincore futex set_robust_list set_tid_address rseq membarrier sched_yield
    sched_get_priority_max sched_get_priority_min getcpu getrandom nanosleep gettimeofday time times
    getrusage getrlimit sysinfo uname getpid gettid getppid getpgrp getuid geteuid getgid getegid
    getgroups rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigpending
    sigaltstack setitimer getitimer alarm pause restart_syscall exit exit_group wait4 waitid
    arch_prctl recvfrom
    """
_PLAIN = frozenset(_PLAIN_NAMES.split())
# These would change files that the worker can only read; libraries expect them to work.
_PRETENDED = ("chmod", "fchmod", "fchmodat", "fchmodat2")
# The same, with the number of the argument that holds the times. Without times they are a way to
# ask whether a file is there to be touched, and to pretend that would be a lie.
_TIMES = {"utimensat": 2, "futimesat": 2, "utime": 1, "utimes": 1}
# Libraries go on without extended attributes when they hear that there are none.
_NO_XATTR = (
    "setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr", "listxattr",
    "llistxattr", "flistxattr", "removexattr", "lremovexattr", "fremovexattr",
)  # fmt: skip
_TERMINAL_SIZE, _FIONREAD, _FIONBIO, _FIOCLEX, _FIONCLEX = 0x5413, 0x541B, 0x5421, 0x5451, 0x5450
_IOCTLS = (0x5401, _TERMINAL_SIZE, _FIONREAD, _FIONBIO, _FIOCLEX, _FIONCLEX)
# Duplicating, flags and locks; not the owner and signal of asynchronous input.
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1034)
_PRCTLS = (15, 16)  # set and get the name of the thread
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
_AF_UNIX, _AF_INET, _SOCK_STREAM, _TCP = 1, 2, 1, 6
# What a client needs of a stream, once it has one; there is nobody to accept.
_CLIENT = frozenset({"connect", "getpeername", "getsockname", "shutdown", "sendmsg", "recvmsg"})
_BECOME = frozenset({"execve"})
# Level -> options of sockets: type, error, sizes, keepalive, linger, times, domain and protocol;
# without delay, keepalive, user timeout. No filters.
_OPTIONS = {1: (2, 3, 4, 7, 8, 9, 13, 20, 21, 38, 39, 66, 67), _TCP: (1, 4, 5, 6, 18)}

_Instruction = tuple[int, int, int, int]


def assemble(
    machine: str, *, pid: int, truncate: bool, streams: bool = False, becomes: bool = False
) -> bytes:
    """Return the filter as BPF instructions for a machine and the worker's process id.

    `truncate` says that Landlock restricts truncate(2), so that it may be allowed. `streams` allows
    TCP as a client, for a process whose network leads nowhere but to us. `becomes` allows to become
    another program, for a process that Landlock lets execute nothing but the one it is to become.
    Raises KeyError for a machine without a table.
    """
    numbers = numbers_for(machine)
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_JUMP_EQUAL, 1, 0, ARCHITECTURES[machine][0]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_NR),
    ]
    plain = _PLAIN | (_CLIENT if streams else frozenset()) | (_BECOME if becomes else frozenset())
    for name in sorted(plain & numbers.keys(), key=numbers.__getitem__):
        program += _when(numbers[name], [(_RETURN, 0, 0, _ALLOW)])
    if truncate:
        program += _when(numbers["truncate"], [(_RETURN, 0, 0, _ALLOW)])
    for names, answer in ((_PRETENDED, 0), (_NO_XATTR, errno.EOPNOTSUPP)):
        for name in names:
            if name in numbers:
                program += _when(numbers[name], [(_RETURN, 0, 0, _ERRNO | answer)])
    for name, block in _with_arguments(pid, streams=streams).items():
        if name in numbers:
            program += _when(numbers[name], block)
    program += [
        (_JUMP_ABOVE, 0, 1, _X32_BIT - 1),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_JUMP_ABOVE, 0, 1, HIGHEST_KNOWN),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def install(program: bytes) -> None:
    """Apply a filter to this process, for good. Needs no_new_privs. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a short, padding, a pointer
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    pointer = ctypes.create_string_buffer(header, len(header))
    arguments = (
        ctypes.c_int(_PR_SET_SECCOMP),
        ctypes.c_ulong(_SECCOMP_MODE_FILTER),
        ctypes.c_void_p(ctypes.addressof(pointer)),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )
    if libc.prctl(*arguments) != 0:
        code_number = ctypes.get_errno()
        raise OSError(code_number, f"prctl(PR_SET_SECCOMP): {errno.errorcode.get(code_number)}")


def names() -> frozenset[str]:
    """Return every call that a filter decides about by name."""
    conditional = _with_arguments(0, streams=True).keys()
    return _PLAIN | _CLIENT | _BECOME | {*_PRETENDED, *_NO_XATTR, *_TIMES, *conditional, "truncate"}


def _with_arguments(pid: int, *, streams: bool) -> dict[str, list[_Instruction]]:
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    allow = (_RETURN, 0, 0, _ALLOW)
    pretend = (_RETURN, 0, 0, _ERRNO)

    def one_of(argument: int, values: tuple[int, ...]) -> list[_Instruction]:
        block: list[_Instruction] = [(_LOAD, 0, 0, _low(argument))]
        for value in values:
            block += _when(value, [allow])
        return [*block, refuse]

    def null(argument: int, otherwise: _Instruction = refuse) -> list[_Instruction]:
        """Go on when an argument is null."""
        block: list[_Instruction] = []
        for offset in (_low(argument), _low(argument) + 4):
            block += [(_LOAD, 0, 0, offset), (_JUMP_EQUAL, 1, 0, 0), otherwise]
        return block

    def options(by_level: dict[int, tuple[int, ...]]) -> list[_Instruction]:
        block: list[_Instruction] = [(_LOAD, 0, 0, _low(1))]
        for level, names in by_level.items():
            block += _when(level, one_of(2, names))
        return [*block, refuse]

    client: dict[str, list[_Instruction]] = {}
    if streams:
        client = {
            "socket": [
                (_LOAD, 0, 0, _low(0)),
                (_JUMP_EQUAL, 1, 0, _AF_INET),
                refuse,
                (_LOAD, 0, 0, _low(1)),
                (_AND, 0, 0, 0xF),
                (_JUMP_EQUAL, 1, 0, _SOCK_STREAM),
                refuse,
                *one_of(2, (0, _TCP)),
            ],
            "setsockopt": options(_OPTIONS),
            "getsockopt": options(_OPTIONS),
        }
    # a number below zero names the clock of a process, of any process
    clock = [
        (_LOAD, 0, 0, _low(0)),
        (_JUMP_ABOVE, 0, 1, 0x7FFFFFFF),
        (_RETURN, 0, 0, _ERRNO | errno.EINVAL),
        allow,
    ]
    return {
        **client,
        **{name: [*null(argument, pretend), refuse] for name, argument in _TIMES.items()},
        "clock_gettime": clock,
        "clock_getres": clock,
        "clock_nanosleep": clock,
        # about this process only; libraries take "not built in" for an answer about their threads
        "getpgid": one_of(0, (0, pid)),
        "sched_getaffinity": [*one_of(0, (0, pid))[:-1], (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)],
        "ioctl": one_of(1, _IOCTLS),
        "fcntl": one_of(1, _FCNTLS),
        "prctl": one_of(0, _PRCTLS),
        "kill": one_of(0, (pid,)),
        "tgkill": one_of(0, (pid,)),
        # a thread of this process and nothing else: no process, no namespace
        "clone": [
            (_LOAD, 0, 0, _low(0)),
            (_AND, 0, 0, _CLONE_THREAD | _CLONE_NAMESPACES),
            (_JUMP_EQUAL, 0, 1, _CLONE_THREAD),
            allow,
            refuse,
        ],
        # its arguments lie in memory that a filter cannot read; libraries fall back to clone
        "clone3": [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)],
        # reading own limits; setting none
        "prlimit64": [*null(2), *one_of(0, (0, pid))],
        # a connected pair inside this process, as asyncio makes it; a datagram socket could still
        # reach a socket in the file system by name
        "socketpair": [
            (_LOAD, 0, 0, _low(0)),
            (_JUMP_EQUAL, 1, 0, _AF_UNIX),
            refuse,
            (_LOAD, 0, 0, _low(1)),
            (_AND, 0, 0, 0xF),
            (_JUMP_EQUAL, 0, 1, _SOCK_STREAM),
            allow,
            refuse,
        ],
        "sendto": [*null(4), allow],
    }


def _when(value: int, block: list[_Instruction]) -> list[_Instruction]:
    """Run the block, which must end with a return, when the accumulator equals the value."""
    return [(_JUMP_EQUAL, 0, len(block), value), *block]


def _low(argument: int) -> int:
    """Return the offset of the low half of an argument (little-endian machines)."""
    return _OFFSET_ARGS + 8 * argument
