# sandboxed: protocol 1073741824
# evidence: none
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        channel = self.channel()
        os.write(channel, (1 << 30).to_bytes(4, "big"))
        while True:
            os.write(channel, bytes(1 << 16))
