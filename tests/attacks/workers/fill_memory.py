# sandboxed: raised|memory MemoryError|128 MB allowed
# evidence: memory
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        held = [bytearray(b"x" * (64 << 20)) for _ in range(10)]
        return len(held)
