# sandboxed: raised PermissionError
# evidence: limited
import resource

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        resource.prlimit(self.config["victim"], resource.RLIMIT_NOFILE, (7, 7))
