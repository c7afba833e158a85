# sandboxed: raised PermissionError
# evidence: connected
import socket

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        # a pair is already connected, but a datagram can name another address
        one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.sendto(b"secrets", self.config["datagram"])
