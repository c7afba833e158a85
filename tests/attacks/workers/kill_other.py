# sandboxed: raised PermissionError
# evidence: killed
import os
import signal

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        os.kill(self.config["victim"], signal.SIGKILL)
