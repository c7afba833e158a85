# sandboxed: protocol protocol
# evidence: none
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os.write(self.channel(), b"\0\0\0\x0ahello world")
