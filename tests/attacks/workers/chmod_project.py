# sandboxed: none
# evidence: changed
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        # answered with success and without effect, because libraries expect it to work
        os.chmod(self.config["project"], 0o777)
