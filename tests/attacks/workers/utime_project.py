# sandboxed: none
# evidence: changed
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os.utime(self.config["project"], (1, 1))
