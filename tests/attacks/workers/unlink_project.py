# sandboxed: raised PermissionError
# evidence: changed
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os.unlink(self.config["project"])
