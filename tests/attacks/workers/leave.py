# sandboxed: crashed code 3
# evidence: none
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os._exit(3)
