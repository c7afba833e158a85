# sandboxed: raised PermissionError
# evidence: changed
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os.truncate(self.config["project"], 0)
