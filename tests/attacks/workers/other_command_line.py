# sandboxed: raised PermissionError
# evidence: leaked
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        with open(f"/proc/{self.config['victim']}/cmdline", "rb") as stream:
            return stream.read()
