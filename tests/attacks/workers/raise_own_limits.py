# sandboxed: raised Error
# evidence: none
import resource

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
