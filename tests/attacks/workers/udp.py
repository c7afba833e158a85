# sandboxed: raised PermissionError
# evidence: connected
import socket

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"secrets", ("127.0.0.1", self.config["udp"]))
