# sandboxed: cpu stop
# evidence: none
# limits: cpu_s_per_file: 0.3
import itertools

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        # no byte code runs in here, so no signal is handled
        return sum(itertools.repeat(1, 10**12))
