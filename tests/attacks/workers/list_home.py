# sandboxed: raised PermissionError
# evidence: leaked
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        return os.listdir(self.config["home"])
