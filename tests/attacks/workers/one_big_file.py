# sandboxed: raised OSError
# evidence: none
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        (self.scratch / "big").write_bytes(bytes(64 << 20))
