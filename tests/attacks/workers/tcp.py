# sandboxed: raised PermissionError
# evidence: connected
import socket

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        with socket.create_connection(("127.0.0.1", self.config["tcp"])) as connection:
            connection.sendall(b"secrets")
