# sandboxed: raised PermissionError
# evidence: marker
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        with open("/dev/shm/" + self.config["token"], "w") as stream:
            stream.write("was here")
