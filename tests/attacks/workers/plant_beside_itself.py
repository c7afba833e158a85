# sandboxed: raised PermissionError
# evidence: tampered
import hostile
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        with open(hostile.__file__.replace("hostile.py", "json.py"), "w") as stream:
            stream.write("# loaded before the standard library by the next run\n")
