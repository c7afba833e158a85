# sandboxed: cpu processor
# evidence: none
# limits: cpu_s_per_file: 0.3
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        while True:
            pass
