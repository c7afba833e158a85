"""System call numbers of x86_64 and aarch64, for those calls that the layers name.

Source: the Linux kernel's arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl. Both
columns are compared by a test with the package `system-calls`, which is made from the kernel's own
tables of every release, and with the kernel's headers where they are installed. The x86_64 column
is executed by our tests; the aarch64 column was never executed here.

Standard library only: this runs in the worker.
"""

from __future__ import annotations

__all__ = ["ARCHITECTURES", "HIGHEST_KNOWN", "numbers_for"]

# machine name -> (AUDIT_ARCH value, column of the table)
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
HIGHEST_KNOWN = 470

_TABLE = """
read 0 63
write 1 64
readv 19 65
writev 20 66
pread64 17 67
pwrite64 18 68
preadv 295 69
pwritev 296 70
preadv2 327 286
pwritev2 328 287
lseek 8 62
close 3 57
close_range 436 436
dup 32 23
dup2 33 -
dup3 292 24
fstat 5 80
stat 4 -
lstat 6 -
newfstatat 262 79
statx 332 291
statfs 137 43
fstatfs 138 44
access 21 -
faccessat 269 48
faccessat2 439 439
open 2 -
openat 257 56
creat 85 -
getdents 78 -
getdents64 217 61
readlink 89 -
readlinkat 267 78
ftruncate 77 46
truncate 76 45
fallocate 285 47
fsync 74 82
fdatasync 75 83
fadvise64 221 223
flock 73 32
mkdir 83 -
mkdirat 258 34
rmdir 84 -
unlink 87 -
unlinkat 263 35
rename 82 -
renameat 264 38
renameat2 316 276
getcwd 79 17
chdir 80 49
fchdir 81 50
umask 95 166
copy_file_range 326 285
sendfile 40 71
pipe 22 -
pipe2 293 59
eventfd2 290 19
epoll_create1 291 20
epoll_ctl 233 21
epoll_wait 232 -
epoll_pwait 281 22
poll 7 -
ppoll 271 73
select 23 -
pselect6 270 72
mmap 9 222
mprotect 10 226
munmap 11 215
mremap 25 216
brk 12 214
madvise 28 233
msync 26 227
mincore 27 232
futex 202 98
set_robust_list 273 99
set_tid_address 218 96
rseq 334 293
membarrier 324 283
sched_yield 24 124
sched_getaffinity 204 123
sched_get_priority_max 146 125
sched_get_priority_min 147 126
getcpu 309 168
getrandom 318 278
clock_gettime 228 113
clock_getres 229 114
clock_nanosleep 230 115
nanosleep 35 101
gettimeofday 96 169
time 201 -
times 100 153
getrusage 98 165
getrlimit 97 163
sysinfo 99 179
uname 63 160
getpid 39 172
gettid 186 178
getppid 110 173
getpgid 121 155
getpgrp 111 -
getuid 102 174
geteuid 107 175
getgid 104 176
getegid 108 177
getgroups 115 158
rt_sigaction 13 134
rt_sigprocmask 14 135
rt_sigreturn 15 139
rt_sigsuspend 130 133
rt_sigtimedwait 128 137
rt_sigpending 127 136
sigaltstack 131 132
setitimer 38 103
getitimer 36 102
alarm 37 -
pause 34 -
restart_syscall 219 128
exit 60 93
exit_group 231 94
wait4 61 260
waitid 247 95
arch_prctl 158 -
execve 59 221
recvfrom 45 207
ioctl 16 29
fcntl 72 25
clone 56 220
clone3 435 435
prctl 157 167
kill 62 129
tgkill 234 131
prlimit64 302 261
socketpair 53 199
socket 41 198
connect 42 203
getpeername 52 205
getsockname 51 204
shutdown 48 210
sendmsg 46 211
recvmsg 47 212
setsockopt 54 208
getsockopt 55 209
sendto 44 206
chmod 90 -
fchmod 91 52
fchmodat 268 53
fchmodat2 452 452
utimensat 280 88
utime 132 -
utimes 235 -
futimesat 261 -
setxattr 188 5
lsetxattr 189 6
fsetxattr 190 7
getxattr 191 8
lgetxattr 192 9
fgetxattr 193 10
listxattr 194 11
llistxattr 195 12
flistxattr 196 13
removexattr 197 14
lremovexattr 198 15
fremovexattr 199 16
landlock_create_ruleset 444 444
landlock_add_rule 445 445
landlock_restrict_self 446 446
unshare 272 97
sethostname 170 161
setdomainname 171 162
mount 165 40
umount2 166 39
pivot_root 155 41
mount_setattr 442 442
"""


def numbers_for(machine: str) -> dict[str, int]:
    """Return name -> number for a machine. Raises KeyError for one without a table."""
    column = ARCHITECTURES[machine][1]
    rows = (line.split() for line in _TABLE.split("\n") if line)
    return {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}
