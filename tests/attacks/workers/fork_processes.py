# sandboxed: raised PermissionError
# evidence: connected
import os
import socket

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        for _ in range(5):
            if os.fork() == 0:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"a child", ("127.0.0.1", self.config["udp"]))
                os._exit(0)
