# sandboxed: raised PermissionError
# evidence: leaked
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        link = self.scratch / "link"
        os.symlink(self.config["home"] + "/.ssh/id_rsa", link)
        return link.read_text()
