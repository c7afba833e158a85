# sandboxed: crashed SIGSEGV
# evidence: none
import ctypes

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        return ctypes.string_at(0)
