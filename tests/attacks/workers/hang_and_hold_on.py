# sandboxed: timeout stop
# evidence: none
# limits: wall_s_per_call: 0.5
import time

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
