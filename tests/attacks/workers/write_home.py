# sandboxed: raised PermissionError
# evidence: marker
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        with open(self.config["drop"] + "/marker", "w") as stream:
            stream.write("was here")
