# sandboxed: raised PermissionError
# evidence: tampered
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        import hostile

        os.chmod(hostile.__file__, 0o644)
        with open(hostile.__file__, "a") as stream:
            stream.write("# for the next run\n")
