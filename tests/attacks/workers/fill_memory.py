# sandboxed: raised MemoryError
# evidence: memory
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        held = [bytearray(b"x" * (64 << 20)) for _ in range(10)]
        return len(held)
