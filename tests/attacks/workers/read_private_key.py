# sandboxed: raised PermissionError
# evidence: leaked
from pathlib import Path

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        return (Path(self.config["home"]) / ".ssh" / "id_rsa").read_text()
