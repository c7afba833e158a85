# sandboxed: raised PermissionError
# evidence: connected
import os
import socket
import time

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(0.5)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"still here", ("127.0.0.1", self.config["udp"]))
            os._exit(0)
