# sandboxed: scratch scratch
# evidence: none
import time

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        for number in range(200):
            (self.scratch / str(number)).write_bytes(bytes(1 << 18))
