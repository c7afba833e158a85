# sandboxed: timeout took longer than 1 s
# evidence: none
# limits: wall_s_per_call: 1
import os
import time

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        channel = self.channel()
        os.write(channel, (8 << 20).to_bytes(4, "big"))
        while True:  # there is always something to read, and never a whole frame
            try:
                os.write(channel, b" ")
                time.sleep(0.001)
            except BaseException:
                continue
