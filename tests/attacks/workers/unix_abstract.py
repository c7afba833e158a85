# sandboxed: raised PermissionError
# evidence: connected
import socket

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect("\0" + self.config["token"])
            connection.sendall(b"secrets")
