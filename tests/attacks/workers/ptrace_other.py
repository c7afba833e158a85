# sandboxed: raised PermissionError
# evidence: stopped
import ctypes
import os
import time

from hostile import Hostile, checked, libc


class Plugin(Hostile):
    def attack(self):
        seize = 16  # PTRACE_ATTACH
        checked(libc.ptrace(seize, self.config["victim"], 0, 0))
        time.sleep(0.3)
