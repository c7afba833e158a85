# sandboxed: none
# evidence: leaked
import ctypes
import errno

from hostile import Hostile, libc

# x86_64 numbers with harmless arguments; what answers anything but EPERM could be reached
CALLS = {
    "unshare": (272, 0x10000000), "setns": (308, -1, 0), "mount": (165, 0, 0, 0, 0, 0),
    "chroot": (161, 0), "io_uring_setup": (425, 1, 0), "inotify_init1": (294, 0),
    "fanotify_init": (300, 0, 0), "memfd_create": (319, 0, 0), "memfd_secret": (447, 0),
    "keyctl": (250, 0, -3, 0), "add_key": (248, 0, 0, 0, 0, 0), "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0), "userfaultfd": (323, 0), "shmget": (29, 0x7A76, 1, 0),
    "msgget": (68, 0x7A76, 0), "semget": (64, 0x7A76, 1, 0), "open_by_handle_at": (304, -1, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "pidfd_open": (434, 1, 0),
    "ptrace": (101, 99, 0, 0, 0), "setsid": (112,), "setpgid": (109, 0, -1), "splice": (275, -1),
    "vmsplice": (278, -1, 0, 0, 0), "personality": (135, 0xFFFFFFFF), "execveat": (322, -1, 0),
    "chown": (92, 0, -1, -1), "mknod": (133, 0, 0, 0), "link": (86, 0, 0), "symlink": (88, 0, 0),
    "tkill": (200, -1, 0), "rt_sigqueueinfo": (129, -1, 0, 0), "sched_setaffinity": (203, -1, 0),
    "setpriority": (141, 9, 0, 0), "sendmsg": (46, -1, 0, 0), "recvmsg": (47, -1, 0, 0),
    "bind": (49, -1, 0, 0), "listen": (50, -1, 0), "accept4": (288, -1, 0, 0, 0),
    "timerfd_create": (283, 99, 0), "modify_ldt": (154, 9, 0, 0), "swapon": (167, 0, 0),
    "process_madvise": (440, -1), "landlock_create_ruleset": (444, 0, 0, 1), "seccomp": (317, 2),
}


class Plugin(Hostile):
    def attack(self):
        reached = []
        for name, (number, *arguments) in CALLS.items():
            ctypes.set_errno(0)
            result = libc.syscall(number, *(ctypes.c_long(a) for a in arguments))
            if result >= 0 or ctypes.get_errno() != errno.EPERM:
                reached.append(name)
        return f"{self.config['token']} {reached}" if reached else "nothing"
