# sandboxed: raised PermissionError
# evidence: killed
import fcntl
import os
import signal

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        # asynchronous input sends a signal of choice to a process of choice
        reader, writer = os.pipe()
        fcntl.fcntl(reader, fcntl.F_SETOWN, self.config["victim"])
        fcntl.fcntl(reader, 10, signal.SIGKILL)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
        os.write(writer, b"x")
