# sandboxed: raised SystemExit
# evidence: none
import sys

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        sys.exit(0)
