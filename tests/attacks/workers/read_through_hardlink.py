# sandboxed: raised Error
# evidence: leaked
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        link = self.config["drop"] + "/link"
        os.link(self.config["home"] + "/.ssh/id_rsa", link)
        with open(link) as stream:
            return stream.read()
