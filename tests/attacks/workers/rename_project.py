# sandboxed: raised Error
# evidence: changed
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os.rename(self.config["project"], self.config["project"] + ".gone")
