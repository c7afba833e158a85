# sandboxed: raised PermissionError
# evidence: marker
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os.execv("/bin/sh", ["sh", "-c", f"echo > {self.config['drop']}/marker"])
